"""What STS, NLI and document classification share: a text or a pair → windows → one score vector, the windows' mean.

Of a pair, the longer text is cut into windows and the shorter one stands in each of them, up to half a window. So no
text is lost at prediction, unless `max_windows` says so. In training each window learns its example's target with a
share of the example's weight.
"""

import random
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from eval.finetune.batches import Batch, Item
from eval.finetune.head import Head, mean_over_pieces, score_layer, wrap
from eval.finetune.recipe import PairRecipe
from eval.finetune.windows import piece_windows

PairRecipeT = TypeVar("PairRecipeT", bound=PairRecipe)


class PooledNetwork(nn.Module):
    """hidden [items, length, hidden] → scores [items, outputs]."""

    def __init__(self, hidden_size: int, outputs: int, dropout: float, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.dense = score_layer(hidden_size, hidden_size)
        self.scores = score_layer(hidden_size, outputs)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        pooled = hidden[:, 0] if self.pooling == "cls" else mean_over_pieces(hidden, batch)
        return self.scores(self.dropout(torch.tanh(self.dense(self.dropout(pooled)))))


class PooledHead(Head[PairRecipeT], Generic[PairRecipeT]):
    """`_windows_of` makes items of texts; subclasses name outputs, targets and the loss."""

    num_outputs = 1

    def network(self, hidden_size: int, dropout: float) -> nn.Module:
        return PooledNetwork(hidden_size, self.num_outputs, dropout, self.recipe.pooling)

    def epoch_items(self, items: list[Item], rng: random.Random) -> list[Item]:
        limit = self.recipe.train_windows
        if not limit:
            return items
        by_example: dict[int, list[Item]] = {}
        for item in items:
            by_example.setdefault(item.example, []).append(item)
        chosen = [item for group in by_example.values() for item in rng.sample(group, min(limit, len(group)))]
        return [
            Item(item.input_ids, item.example, item.second_start, item.target, item.place, 1 / min(limit, item.place))
            for item in chosen
        ]

    def reduce(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        return scores.cpu().tolist()

    def mean_scores(self, count: int, items: list[Item], reduced: list[Any]) -> list[list[float]]:
        """For each example the mean of its windows' scores."""
        sums = torch.zeros(count, self.num_outputs)
        windows = torch.zeros(count, 1)
        for item, scores in zip(items, reduced, strict=True):
            sums[item.example] += torch.tensor(scores)
            windows[item.example] += 1
        return (sums / windows).tolist()

    def _windows_of(self, texts: Sequence[tuple[str, str | None]], targets: Sequence[Any] | None) -> list[Item]:
        firsts = self.text.pieces([first for first, _ in texts])
        seconds = self.text.pieces([second for _, second in texts if second is not None])
        remaining = iter(seconds)
        items: list[Item] = []
        for index, (first, (_, second_text)) in enumerate(zip(firsts, texts, strict=True)):
            second = next(remaining).ids if second_text is not None else None
            target = targets[index] if targets is not None else None
            inputs = self._read(self._inputs(first.ids, second))
            # `place` is the number of windows of the example.
            items += [Item(ids, index, start, target, len(inputs), 1 / len(inputs)) for ids, start in inputs]
        return items

    def _read(self, inputs: list[tuple[list[int], int]]) -> list[tuple[list[int], int]]:
        limit = self.recipe.max_windows
        if not limit or len(inputs) <= limit:
            return inputs
        self.notes[f"texts of which only the first {limit} windows are read"] += 1
        return inputs[:limit]

    def _inputs(self, first: list[int], second: list[int] | None) -> list[tuple[list[int], int]]:
        stride = self.recipe.stride
        if second is None:
            capacity = self.recipe.max_length - 2
            return [wrap(self.text, first[a:b]) for a, b in piece_windows(len(first), capacity, stride)]
        room = self.recipe.max_length - 3
        if len(first) >= len(second):
            second = self._shorten(second, room, len(first))
            windows = piece_windows(len(first), room - len(second), stride)
            return [wrap(self.text, first[a:b], second) for a, b in windows]
        first = self._shorten(first, room, len(second))
        return [wrap(self.text, first, second[a:b]) for a, b in piece_windows(len(second), room - len(first), stride)]

    def _shorten(self, pieces: list[int], room: int, other: int) -> list[int]:
        limit = room // 2
        if len(pieces) <= limit or len(pieces) + other <= room:
            return pieces
        self.notes["pairs whose shorter text was cut to half a window"] += 1
        return pieces[:limit]
