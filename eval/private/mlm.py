"""Continued masked language modelling: a patient's loss is the mean over the masked pieces of the windows drawn.

The head is built anew of the model's own dense layer, norm and decoder: transformers' head holds a bare bias parameter,
for which Opacus finds no layer. The weights are the same objects, so what is trained is the model that is saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eval.audit.findings import Finding
from eval.finetune.encoder import read_model
from eval.finetune.model_config import attention_of, max_positions
from eval.finetune.text import TextEncoder
from eval.private.config import PrivateConfig
from eval.private.hidden import hidden_states
from eval.private.masking import MaskedWindow, Masking
from eval.private.patients import Patient, training_and_held_out
from eval.private.task import PrivateTask, Utility, settings_of_start, without_dropout
from eval.scorers.bootstrap import bounds, resample

_BERT = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder")
_ROBERTA = ("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder")
_HEADS = {"bert": _BERT, "megatron-bert": _BERT, "roberta": _ROBERTA}
_NO_TARGET = -100
_RESAMPLES = 1000
_QUICK_WINDOWS = 200
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class MlmBatch:
    windows: int
    input_ids: torch.Tensor
    """[patients x windows, length], padded on the right."""
    attention_mask: torch.Tensor
    places: torch.Tensor
    """[patients x windows, predicted]; rows with fewer are filled up with 0."""
    targets: torch.Tensor
    """The same shape; -100 where nothing is predicted."""


class PrivateMlm(nn.Module):
    """Encoder and head; a batch gives losses [patients]."""

    def __init__(
        self, encoder: nn.Module, dense: nn.Linear, activation: nn.Module, norm: nn.Module, decoder: nn.Linear
    ):
        super().__init__()
        self.encoder, self.dense, self.activation, self.norm, self.decoder = encoder, dense, activation, norm, decoder

    def forward(self, batch: MlmBatch) -> torch.Tensor:
        losses = self.losses(batch)
        known = (batch.targets != _NO_TARGET).view(-1, batch.windows * batch.targets.shape[1])
        return losses.view(known.shape).sum(1) / known.sum(1)

    def losses(self, batch: MlmBatch) -> torch.Tensor:
        """[patients x windows, predicted]; 0 where nothing is predicted."""
        hidden = hidden_states(self.encoder, batch.input_ids, batch.attention_mask)
        chosen = hidden.gather(1, batch.places.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        logits = self.decoder(self.norm(self.activation(self.dense(chosen)))).float()
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=_NO_TARGET, reduction="none"
        )
        return losses.view(batch.targets.shape)


class MlmTask(PrivateTask):
    measured = "heldout_loss"
    unit = "patient: all notes with one patient_key count as one sample"

    def __init__(self, config: PrivateConfig) -> None:
        folder = Path(config.model.path)
        self._windows = config.data.windows
        self._max_length = config.data.max_length
        self._full_model, self._dropout = load_masked_lm(config)
        self.model = private_mlm(self._full_model)
        self._text = TextEncoder(folder)
        self._masking = Masking(
            self._text.cls_id,
            self._text.sep_id,
            self._text.mask_id,
            self._full_model.config.vocab_size,
            config.data.mask_share,
        )
        training, held_out = training_and_held_out(config.data, self._text)
        capacity = self._max_length - 2
        self._patients = [patient.windows(capacity) for patient in training.patients]
        self._held_out = _drawn_windows(held_out.patients, capacity, config.data.held_out_windows, config.run.seed)
        self._unigram = _log_frequencies(held_out.patients, self._full_model.config.vocab_size)
        self._seed = config.run.seed
        self.data, self.sha256 = {"path": config.data.path}, training.sha256
        self.counts = {
            "notes": training.count,
            "windows": sum(map(len, self._patients)),
            "held-out patients": len(held_out.patients),
            "held-out windows scored": len(self._held_out),
        }

    @property
    def num_patients(self) -> int:
        return len(self._patients)

    def draw(self, patient: int, rng: np.random.Generator) -> list[MaskedWindow]:
        windows = self._patients[patient]
        chosen = rng.choice(len(windows), size=min(self._windows, len(windows)), replace=False)
        return [self._masking(windows[index], rng) for index in chosen]

    def collate(self, patients: list[list[MaskedWindow]], device: torch.device) -> MlmBatch:
        rows = [window for windows in patients for window in windows]
        shape = (len(rows), max(len(row.input_ids) for row in rows))
        input_ids, mask = np.full(shape, self._text.pad_id), np.zeros(shape, dtype=np.int64)
        places = np.zeros((len(rows), max(len(row.places) for row in rows)), dtype=np.int64)
        targets = np.full_like(places, _NO_TARGET)
        for index, row in enumerate(rows):
            input_ids[index, : len(row.input_ids)] = row.input_ids
            mask[index, : len(row.input_ids)] = 1
            places[index, : len(row.places)] = row.places
            targets[index, : len(row.places)] = row.targets
        ids, masks, at, wanted = (torch.from_numpy(a).to(device) for a in (input_ids, mask, places, targets))
        return MlmBatch(len(patients[0]), ids, masks, at, wanted)

    def measure(self, device: torch.device, is_quick: bool = False) -> Utility:
        rng = np.random.default_rng(self._seed)
        masked = [(patient, self._masking(window, rng)) for patient, window in self._held_out]
        masked = masked[:_QUICK_WINDOWS] if is_quick else masked
        patients = sorted({patient for patient, _ in masked})
        sums = np.zeros((len(patients), 3))
        places = {patient: index for index, patient in enumerate(patients)}
        for window, (patient, losses) in zip(masked, self._held_out_losses(masked, device), strict=True):
            row = sums[places[patient]]
            row += (losses.sum(), -self._unigram[window[1].targets].sum(), len(losses))
        return _utility(sums)

    def save(self, folder: Path) -> None:
        self._full_model.config.update(self._dropout)
        self._full_model.save_pretrained(folder)
        self._text.tokenizer.model_max_length = max_positions(self._full_model.config)
        self._text.tokenizer.save_pretrained(folder)

    @torch.no_grad()
    def _held_out_losses(
        self, masked: Sequence[tuple[int, MaskedWindow]], device: torch.device
    ) -> list[tuple[int, np.ndarray]]:
        self.model.eval()
        found = []
        for start in range(0, len(masked), _ROWS_AT_ONCE):
            some = masked[start : start + _ROWS_AT_ONCE]
            batch = self.collate([[window] for _, window in some], device)
            losses = self.model.losses(batch).cpu().double().numpy()  # type: ignore[operator]
            found += [(key, row[: len(w.targets)]) for (key, w), row in zip(some, losses, strict=True)]
        self.model.train()
        return found


def load_masked_lm(config: PrivateConfig) -> tuple[Any, dict[str, float]]:
    """The folder's masked language model without dropout, in fp32, and the dropout it had. Raises NotemillError."""
    from transformers import AutoModelForMaskedLM

    settings = settings_of_start(config, _HEADS)
    dropout = without_dropout(settings)
    if config.model.initial == "random":
        torch.manual_seed(config.run.seed)
        model = AutoModelForMaskedLM.from_config(settings, attn_implementation=attention_of(settings))
    else:
        remedy = "give a folder with its head, or model.initial=random"
        model = read_model(AutoModelForMaskedLM, Path(config.model.path), settings, "a masked language model", remedy)
    return model, dropout


def private_mlm(model: Any) -> PrivateMlm:
    """The same weights in layers that Opacus can follow."""
    from transformers.activations import ACT2FN

    dense, norm, decoder = (model.get_submodule(name) for name in _HEADS[model.config.model_type])
    activation = ACT2FN["gelu" if model.config.model_type == "roberta" else model.config.hidden_act]
    return PrivateMlm(model.base_model, dense, activation, norm, decoder)


def _drawn_windows(patients: Sequence[Patient], capacity: int, limit: int, seed: int) -> list[tuple[int, np.ndarray]]:
    """Up to `limit` windows of all, with the index of their patient."""
    every = [(index, window) for index, patient in enumerate(patients) for window in patient.windows(capacity)]
    if len(every) <= limit:
        return every
    chosen = np.random.default_rng(seed).choice(len(every), size=limit, replace=False)
    return [every[index] for index in chosen]


def _log_frequencies(patients: Sequence[Patient], vocab_size: int) -> np.ndarray:
    """[vocabulary]: of the held-out pieces themselves. No fixed frequencies predict them better, and no note that is
    trained on is counted."""
    counts = np.bincount(np.concatenate([note for p in patients for note in p.notes]), minlength=vocab_size)
    with np.errstate(divide="ignore"):
        return np.log(counts / counts.sum())


def _utility(sums: np.ndarray) -> Utility:
    """`sums` [patients, 3]: the model's losses, the unigram's, and how many."""
    columns = {"heldout_loss": 0, "unigram_loss": 1}
    methods = {
        "heldout_loss": "Mean cross entropy in nats of masked pieces in notes of patients that were not trained on; "
        "interval by bootstrap over patients.",
        "unigram_loss": "The same of the best fixed frequencies there are for these notes: their own.",
        "gain_over_unigram": "Unigram loss less the model's, on the same pieces: above 0 it has learnt something.",
    }
    total = sums.sum(0)
    values = {name: float(total[column] / total[2]) for name, column in columns.items()}
    values["gain_over_unigram"] = values["unigram_loss"] - values["heldout_loss"]
    weights = {"heldout_loss": (1, 0), "unigram_loss": (0, 1), "gain_over_unigram": (-1, 1)}
    findings = {}
    for name, (of_model, of_unigram) in weights.items():
        draws = resample(
            sums,
            lambda s, a=of_model, b=of_unigram: (a * s[:, 0] + b * s[:, 1]) / s[:, 2],  # type: ignore[misc]
            resamples=_RESAMPLES,
            seed=0,
        )
        low, high = bounds(draws) if len(sums) > 1 else (None, None)
        findings[f"utility.{name}"] = Finding(values[name], methods[name], low, high)
    line = f"held-out loss {values['heldout_loss']:.3f} beside {values['unigram_loss']:.3f} of unigram frequencies"
    return Utility(findings, line)
