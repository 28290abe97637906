"""STS: a regression on the pair. Scores are standardised by the training split and given back in the set's scale."""

import statistics
from collections.abc import Sequence
from typing import Any, cast

import torch

from eval.examples import Dataset, Example, SentencePair
from eval.finetune.batches import Batch, Item
from eval.finetune.head import weights_of
from eval.finetune.pooled import PooledHead
from eval.finetune.recipe import StsRecipe
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError


class StsHead(PooledHead[StsRecipe]):
    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: StsRecipe) -> None:
        super().__init__(dataset, text, recipe)
        scores = [
            pair.score for pair in cast(Sequence[SentencePair], dataset.splits["train"]) if pair.score is not None
        ]
        if len(scores) < 2 or min(scores) == max(scores):
            raise NotemillError(f"the training split of {dataset.path} has no two different scores to learn from.")
        self.mean, self.spread = statistics.fmean(scores), statistics.pstdev(scores)
        self.low, self.high = min(scores), max(scores)

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        pairs = cast(Sequence[SentencePair], examples)
        targets = [((pair.score or 0.0) - self.mean) / self.spread for pair in pairs] if with_targets else None
        return self._windows_of([(pair.first, pair.second) for pair in pairs], targets)

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets = torch.tensor([item.target for item in batch.items], dtype=torch.float32, device=scores.device)
        return ((scores.squeeze(-1) - targets) ** 2 * weights_of(batch, scores.device)).sum()

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[float]:
        means = self.mean_scores(len(examples), items, reduced)
        return [min(self.high, max(self.low, mean[0] * self.spread + self.mean)) for mean in means]
