"""A fine-tuned document classifier as a Hugging Face sequence-classification folder, which stock transformers loads.

The network is `tanh(dense(first state))` and a linear layer (eval/finetune/pooled.py), which is what
`AutoModelForSequenceClassification` has for BERT and Megatron-BERT as pooler and classifier, and for RoBERTa as its
classification head. The weights move over as they are, and the logits are compared before anything is written.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from eval.finetune.batches import Item
from eval.finetune.cls import ClsHead
from eval.finetune.encoder import Encoder
from eval.finetune.loop import Classifier, Trainer
from eval.finetune.model_folder import config_with_labels, write_model_folder
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError

TOLERANCE = 1e-4
"""Largest difference of logits in fp32 that is rounding."""
_HEADS = (("pooler.dense", "classifier"), ("classifier.dense", "classifier.out_proj"))
"""Where architectures keep the two layers: the pooler below the model's own prefix, RoBERTa's head beside it."""


class SequenceClassifier(Encoder):
    """A whole sequence-classification model in the place of an encoder: batches in, logits [items, classes] out."""

    def forward(self, batch: Any) -> torch.Tensor:
        return self.read(batch).logits


class AsItIs(torch.nn.Module):
    """The network over a `SequenceClassifier`, whose logits are the scores already."""

    def forward(self, scores: torch.Tensor, batch: Any) -> torch.Tensor:
        return scores


def save_classifier(
    trainer: Trainer,
    text: TextEncoder,
    folder: Path,
    told: Mapping[str, Any],
    add: Callable[[Path], None] | None = None,
) -> float:
    """Write config.json, model.safetensors and the tokenizer to `folder`; gives the largest difference of logits.

    `told` goes into config.json as it is; `add` writes further files. Raises NotemillError as `classifier_of` does.
    """
    saved, difference = classifier_of(trainer, told)
    write_model_folder(folder, saved, text.tokenizer, trainer.head.recipe.max_length, add)
    return difference


def classifier_of(trainer: Trainer, told: Mapping[str, Any]) -> tuple[Any, float]:
    """transformers' sequence classifier with the same weights, trained or not yet, and its difference of logits.

    Raises NotemillError where the architecture or `pooling=mean` has no such head in transformers.
    """
    from transformers import AutoModelForSequenceClassification

    head = trainer.head
    assert isinstance(head, ClsHead)
    if head.recipe.pooling != "cls":
        raise NotemillError(
            f"pooling={head.recipe.pooling} has no counterpart in a sequence-classification folder; use pooling=cls."
        )
    encoder: Any = trainer.model.encoder.model
    config = config_with_labels(encoder, head.labels)
    for name, value in told.items():
        setattr(config, name, value)
    saved: Any = AutoModelForSequenceClassification.from_config(config)
    prefix = saved.base_model_prefix
    weights = {f"{prefix}.{name}": value.detach().cpu() for name, value in encoder.state_dict().items()}
    network: Any = trainer.model.network
    names = {name for name, _ in saved.named_parameters()}
    for dense, scores in ((f"{prefix}.{_HEADS[0][0]}", _HEADS[0][1]), _HEADS[1]):
        if {f"{dense}.weight", f"{scores}.weight"} <= names:
            for name, layer in ((dense, network.dense), (scores, network.scores)):
                weights |= {f"{name}.weight": layer.weight.detach().cpu(), f"{name}.bias": layer.bias.detach().cpu()}
            break
    loaded = saved.load_state_dict(weights, strict=False)
    difference = float("inf")
    if not loaded.missing_keys and not loaded.unexpected_keys:
        difference = _difference(trainer, saved)
    if difference > TOLERANCE:
        raise NotemillError(
            f"a {config.model_type} model cannot be saved as a sequence classifier: its head in transformers is of "
            "another kind. Take a model of the BERT, Megatron-BERT or RoBERTa family."
        )
    return saved, difference


def require_savable(trainer: Trainer) -> None:
    """Raise NotemillError, before training, where the model could not be saved after it; draws nothing from torch."""
    with torch.random.fork_rng(devices=[]):
        classifier_of(trainer, {})


def _difference(trainer: Trainer, saved: Any) -> float:
    """Largest difference between the trained and the saved model's logits over windows of every length."""
    text, recipe = trainer.head.text, trainer.head.recipe
    pieces = range(len(text.tokenizer))
    items = []
    for number, length in enumerate((1, 7, recipe.max_length - 2)):
        ids = [pieces[(31 * number + 17 * place) % len(pieces)] for place in range(length)]
        items.append(Item([text.cls_id, *ids, text.sep_id], number))
    # Alone: only one of several processes saves.
    ours = Trainer(trainer.model, trainer.head, recipe)
    theirs = Trainer(Classifier(SequenceClassifier(saved.eval()), AsItIs()), trainer.head, recipe)
    ours.bf16 = theirs.bf16 = False
    first, second = (torch.tensor(one.read(items, trainer.head.reduce)) for one in (ours, theirs))
    saved.cpu()
    return float((first - second).abs().max())
