"""What a task adds to an encoder: how examples become windows, what is learnt, how windows become predictions.

    examples ─windows()─> items ─encoder─> hidden ─network─> scores ─reduce()─> small results ─decode()─> predictions

The loop (eval/finetune/loop.py) knows only this interface. Heads count in `notes` everything they cut or cannot hold.
"""

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from eval.examples import Dataset, Example
from eval.finetune.batches import Batch, Item
from eval.finetune.recipe import Recipe
from eval.finetune.text import TextEncoder
from eval.scorers.probabilities import Probabilities

RecipeT = TypeVar("RecipeT", bound=Recipe)
_INITIAL_SCALE = 0.02


class Head(ABC, Generic[RecipeT]):
    extra_tokens: tuple[str, ...] = ()
    """Tokens the head adds to the vocabulary."""
    labels: tuple[str, ...] = ()
    """Classes in the order of the network's outputs; saved beside the results."""

    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: RecipeT) -> None:
        self.dataset = dataset
        self.text = text
        self.recipe = recipe
        self.notes: Counter[str] = Counter()

    @abstractmethod
    def network(self, hidden_size: int, dropout: float) -> nn.Module:
        """A fresh head: called as network(hidden [items, length, hidden], batch) -> scores."""

    @abstractmethod
    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        """All windows of `examples`; `Item.example` is the index in the sequence given."""

    def epoch_items(self, items: list[Item], rng: random.Random) -> list[Item]:
        """The windows one training epoch uses; all of them unless a head samples."""
        return items

    @abstractmethod
    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over the batch of weight times loss; `scores` are fp32."""

    def loss_size(self, items: Sequence[Item]) -> float:
        """What the losses of an update's items are divided by, however many forward passes they took."""
        return sum(item.weight for item in items)

    @abstractmethod
    def reduce(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        """What is kept of each item's scores, one small value an item."""

    @abstractmethod
    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> Any:
        """Predictions in the form that the task's scorer reads."""

    def probabilities(self, count: int, items: list[Item], reduced: list[Any]) -> Probabilities | None:
        """Class probabilities of the `count` examples; None for heads that choose no class of a whole text."""
        return None


def wrap(text: TextEncoder, first: list[int], second: list[int] | None = None) -> tuple[list[int], int]:
    """[CLS] first [SEP] (second [SEP]) and where the second text starts (0 without one)."""
    ids = [text.cls_id, *first, text.sep_id]
    if second is None:
        return ids, 0
    return [*ids, *second, text.sep_id], len(ids)


def weights_of(batch: Batch, device: torch.device) -> torch.Tensor:
    return torch.tensor([item.weight for item in batch.items], dtype=torch.float32, device=device)


def cross_entropy_of(scores: torch.Tensor, batch: Batch, class_weights: torch.Tensor | None) -> torch.Tensor:
    """Sum over the batch of each item's cross entropy times its weight and its class's.

    `scores` [items, classes], `class_weights` [classes] or None.
    """
    targets = torch.tensor([item.target for item in batch.items], device=scores.device)
    weights = class_weights.to(scores.device) if class_weights is not None else None
    losses = nn.functional.cross_entropy(scores, targets, weights, reduction="none")
    return (losses * weights_of(batch, scores.device)).sum()


def score_layer(inputs: int, outputs: int) -> nn.Linear:
    """A fresh layer with BERT's initial spread; torch's own gives a trained encoder's states far too large scores."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=_INITIAL_SCALE)
    nn.init.zeros_(layer.bias)
    return layer


def mean_over_pieces(hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """hidden [items, length, hidden] → the mean over each item's real pieces [items, hidden]."""
    mask = batch.attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)
