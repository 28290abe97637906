"""A pooled text or pair to one of the classes seen in training: what NLI and document classification have in common."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch

from eval.finetune.batches import Batch, Item
from eval.finetune.class_weights import weights_of_classes
from eval.finetune.head import cross_entropy_of
from eval.finetune.pooled import PooledHead
from eval.finetune.recipe import ClassRecipe
from eval.scorers.probabilities import Probabilities, rounded
from launch.errors import NotemillError

ClassRecipeT = TypeVar("ClassRecipeT", bound=ClassRecipe)


class ClassHead(PooledHead[ClassRecipeT]):
    def _set_labels(self, labels: Iterable[str | None]) -> None:
        seen = [label for label in labels if label is not None]
        self.labels = self._classes(seen)
        if len(self.labels) < 2:
            raise NotemillError(
                f"the training split of {self.dataset.path} has {len(self.labels)} class; "
                f"{self.dataset.task} needs at least two."
            )
        self.num_outputs = len(self.labels)
        self._ids = {label: index for index, label in enumerate(self.labels)}
        self.class_weights = weights_of_classes(self.recipe.class_weights, self.labels, lambda: seen)

    def _classes(self, seen: Sequence[str]) -> tuple[str, ...]:
        """The classes in the order of the outputs, from the labels of the training split."""
        return tuple(sorted(set(seen)))

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        return cross_entropy_of(scores, batch, self.class_weights)

    def probabilities(self, count: int, items: list[Item], reduced: list[Any]) -> Probabilities:
        """The softmax of the windows' mean scores, of which the label is the highest."""
        scores = torch.tensor(self.mean_scores(count, items, reduced), dtype=torch.float64)
        return rounded(self.labels, torch.softmax(scores, dim=-1).tolist())

    def _decode_labels(self, count: int, items: list[Item], reduced: list[Any]) -> list[str]:
        means = self.mean_scores(count, items, reduced)
        return [self.labels[max(range(len(scores)), key=scores.__getitem__)] for scores in means]
