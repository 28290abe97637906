"""A pooled text or pair to one of the classes seen in training: what NLI and document classification have in common."""

from collections.abc import Iterable
from typing import Any

import torch

from eval.finetune.batches import Batch, Item
from eval.finetune.head import cross_entropy_of
from eval.finetune.pooled import PairRecipeT, PooledHead
from eval.scorers.probabilities import Probabilities, rounded
from launch.errors import NotemillError


class ClassHead(PooledHead[PairRecipeT]):
    def _set_labels(self, labels: Iterable[str | None]) -> None:
        self.labels = tuple(sorted({label for label in labels if label is not None}))
        if len(self.labels) < 2:
            raise NotemillError(
                f"the training split of {self.dataset.path} has {len(self.labels)} class; "
                f"{self.dataset.task} needs at least two."
            )
        self.num_outputs = len(self.labels)
        self._ids = {label: index for index, label in enumerate(self.labels)}

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        return cross_entropy_of(scores, batch)

    def probabilities(self, count: int, items: list[Item], reduced: list[Any]) -> Probabilities:
        """The softmax of the windows' mean scores, of which the label is the highest."""
        scores = torch.tensor(self.mean_scores(count, items, reduced), dtype=torch.float64)
        return rounded(self.labels, torch.softmax(scores, dim=-1).tolist())

    def _decode_labels(self, count: int, items: list[Item], reduced: list[Any]) -> list[str]:
        means = self.mean_scores(count, items, reduced)
        return [self.labels[max(range(len(scores)), key=scores.__getitem__)] for scores in means]
