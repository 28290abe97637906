"""Private fine-tuning for document classification: a patient's loss is the mean over the windows drawn of its examples.

Which examples are one patient's is what `eval.clusters` says: those of a row's patient_key where the data set has such
a column, else of the same document. The ledger names the unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from data_pipeline.files import sha256_json
from eval.audit.findings import Finding
from eval.baselines import baseline_predictions
from eval.clusters import cluster_of
from eval.examples import Dataset, Example, LabelledText
from eval.finetune.batches import Batch, Item, collate
from eval.finetune.cls import ClsHead
from eval.finetune.encoder import load_encoder, require_embeddings
from eval.finetune.loop import Classifier, Trainer
from eval.finetune.recipe import ClsRecipe
from eval.finetune.text import TextEncoder
from eval.formats import load_dataset
from eval.private.config import PrivateConfig
from eval.private.hidden import hidden_states
from eval.private.task import PrivateTask, Utility, dropout_of, settings_of_start
from eval.scorers import score
from eval.splits import complete_splits
from launch.errors import NotemillError

_PLACES = {
    "bert": ("{base}.pooler.dense", "classifier"),
    "megatron-bert": ("{base}.pooler.dense", "classifier"),
    "roberta": ("classifier.dense", "classifier.out_proj"),
}
"""Where transformers keeps the two layers of a sequence classifier, by model type."""


@dataclass(frozen=True)
class ClsBatch:
    windows: int
    batch: Batch


class PrivateClassifier(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.encoder = classifier.encoder.model
        self.network = classifier.network

    def forward(self, batch: ClsBatch) -> torch.Tensor:
        """Losses [patients]."""
        inputs = batch.batch
        hidden = hidden_states(self.encoder, inputs.input_ids, inputs.attention_mask)
        scores = self.network(hidden, inputs).float()
        targets = torch.tensor([item.target for item in inputs.items], device=scores.device)
        weights = torch.tensor([item.weight for item in inputs.items], device=scores.device)
        losses = nn.functional.cross_entropy(scores, targets, reduction="none")
        by_patient = (losses * weights).view(-1, batch.windows).sum(1)
        return by_patient / weights.view(-1, batch.windows).sum(1)


class ClsTask(PrivateTask):
    measured = "test_macro_f1"

    def __init__(self, config: PrivateConfig) -> None:
        folder = Path(config.model.path)
        settings = settings_of_start(config, _PLACES)
        self._dropout = dropout_of(settings)
        self._windows, self._max_length = config.data.windows, config.data.max_length
        self._dataset = complete_splits(load_dataset("cls", config.data.path))
        _require_other_patients(self._dataset)
        recipe = ClsRecipe(
            max_length=config.data.max_length,
            hidden_dropout=0.0,
            head_dropout=0.0,
            precision="fp32",
            device=config.run.device,
        )
        self._text = TextEncoder(folder)
        require_embeddings(folder, settings, self._text)
        self._head = ClsHead(self._dataset, self._text, recipe)
        torch.manual_seed(config.run.seed)
        encoder = load_encoder(folder, config.model.initial, len(self._text.tokenizer))
        self._classifier = Classifier(encoder, self._head.network(encoder.hidden_size, 0.0))
        self.model = PrivateClassifier(self._classifier)
        self._trainer = Trainer(self._classifier, self._head, recipe)
        train = cast(Sequence[LabelledText], self._dataset.splits["train"])
        by_patient: dict[str, list[Item]] = {}
        for item in self._head.windows(train, with_targets=True):
            by_patient.setdefault(cluster_of(train[item.example]), []).append(item)
        self._patients = list(by_patient.values())
        named = all(note.document_id for note in train)
        self.unit = (
            "patient: all examples with one patient_key count as one sample"
            if named
            else "document: the data set names no patients, so each distinct text counts as one sample, and a patient "
            "with several is protected less"
        )
        self.data = {"path": config.data.path}
        self.sha256 = sha256_json([[cluster_of(note), note.text, note.label] for note in train])
        self.counts = {name: len(examples) for name, examples in self._dataset.splits.items()}

    @property
    def num_patients(self) -> int:
        return len(self._patients)

    def draw(self, patient: int, rng: np.random.Generator) -> list[Item]:
        items = self._patients[patient]
        chosen = rng.choice(len(items), size=min(self._windows, len(items)), replace=False)
        return [items[index] for index in chosen]

    def collate(self, patients: list[list[Item]], device: torch.device) -> ClsBatch:
        items = [item for windows in patients for item in windows]
        encoder = self._classifier.encoder
        return ClsBatch(len(patients[0]), collate(items, self._text.pad_id, False, encoder.max_positions, device))

    def measure(self, device: torch.device, is_quick: bool = False) -> Utility:
        name = "dev" if is_quick else "test"
        examples = self._dataset.splits[name]
        scores = self._scores(name, self._trainer.predict(examples, self._head.windows(examples, with_targets=False)))
        majority = next(iter(baseline_predictions(self._dataset, examples).values()))
        baseline = self._scores(name, majority)
        self.model.train()
        metric = scores.primary
        findings = {}
        for key, found, what in (
            (f"{name}_{metric}", scores, f"{metric} on the {name} split, whose examples were not trained on"),
            (
                f"{name}_{metric}.majority",
                baseline,
                f"{metric} of always saying the commonest class of the training split",
            ),
            (f"{name}_accuracy", scores, f"accuracy on the {name} split"),
            (f"{name}_accuracy.majority", baseline, "accuracy of always saying the commonest class"),
        ):
            of = metric if metric in key else "accuracy"
            low, high = found.intervals.get(of, (None, None))
            findings[f"utility.{key}"] = Finding(
                float(found.metrics[of]), f"{what}; interval by bootstrap over sources.", low, high
            )
        line = (
            f"{name} {metric} {scores.metrics[metric]:.3f} beside {baseline.metrics[metric]:.3f} of the commonest class"
        )
        return Utility(findings, line)

    def save(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification

        encoder: Any = self._classifier.encoder.model
        settings = encoder.config
        settings.update(self._dropout)
        settings.num_labels = len(self._head.labels)
        settings.id2label = dict(enumerate(self._head.labels))
        settings.label2id = {label: index for index, label in enumerate(self._head.labels)}
        settings.vocab_size = encoder.get_input_embeddings().num_embeddings
        whole: Any = AutoModelForSequenceClassification.from_config(settings)
        base = whole.base_model_prefix
        weights = {f"{base}.{name}": value for name, value in encoder.state_dict().items()}
        network: Any = self._classifier.network
        for place, layer in zip(_PLACES[settings.model_type], (network.dense, network.scores), strict=True):
            name = place.format(base=base)
            weights |= {f"{name}.weight": layer.weight.detach(), f"{name}.bias": layer.bias.detach()}
        whole.load_state_dict({name: value.cpu() for name, value in weights.items()})
        whole.save_pretrained(folder)
        self._text.tokenizer.model_max_length = self._max_length
        self._text.tokenizer.save_pretrained(folder)

    def _scores(self, name: str, predictions: Any) -> Any:
        return score("cls", cast(Sequence[Example], self._dataset.splits[name]), predictions)


def _require_other_patients(dataset: Dataset) -> None:
    """Raise NotemillError where a patient that is trained on is scored as well."""
    patients = {
        name: {note.document_id for note in cast(Sequence[LabelledText], notes)} - {""}
        for name, notes in dataset.splits.items()
    }
    for name in ("dev", "test"):
        both = patients["train"] & patients[name]
        if both:
            raise NotemillError(
                f"{len(both)} patients of {dataset.path} have examples in both train and {name}; a score on patients "
                "that were trained on says nothing. Divide the examples by patient."
            )
