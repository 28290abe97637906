"""Windows to padded batches.

Items of similar length go together, so little of a batch is padding: training shuffles first and sorts only within
pools of some batches; prediction sorts everything and fills batches up to a budget of padded pieces.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

PAD_MULTIPLE = 8
"""Lengths that tensor cores multiply fastest; elsewhere the padding would only cost."""
POOL_BATCHES = 64
"""Batches whose items are sorted by length together; more would tie what an update sees to text length."""


@dataclass(frozen=True, slots=True)
class Item:
    """One window of one example, as the model reads it."""

    input_ids: list[int]
    """Pieces, special ones included."""
    example: int
    """Index of the example in its split."""
    second_start: int = 0
    """Where the second text of a pair starts; 0 means that there is one text."""
    target: Any = None
    """What the head's loss needs; None where only a prediction is wanted."""
    place: Any = None
    """What the head needs to put windows together: its own bookkeeping."""
    weight: float = 1.0
    """Share of this window in the loss."""


@dataclass(frozen=True, slots=True)
class Batch:
    items: list[Item]
    input_ids: torch.Tensor
    """[items, length], padded on the right; on a GPU to a multiple of eight."""
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor | None


def training_batches(items: Sequence[Item], batch_size: int, rng: random.Random) -> list[list[Item]]:
    """Every item once, in random batches of neighbours in length, the batches in random order."""
    order = list(items)
    rng.shuffle(order)
    pool = batch_size * POOL_BATCHES
    batches: list[list[Item]] = []
    for start in range(0, len(order), pool):
        by_length = sorted(order[start : start + pool], key=lambda item: len(item.input_ids))
        batches += [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    rng.shuffle(batches)
    return batches


def within_budget(items: Sequence[Item], max_tokens: int) -> list[list[int]]:
    """Indices of `items`, longest first, in batches of at most `max_tokens` padded pieces (at least one item each)."""
    batches: list[list[int]] = []
    for index in sorted(range(len(items)), key=lambda i: -len(items[i].input_ids)):
        width = padded_length(len(items[batches[-1][0]].input_ids)) if batches else 0
        if batches and (len(batches[-1]) + 1) * width <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def padded_length(length: int) -> int:
    return -(-length // PAD_MULTIPLE) * PAD_MULTIPLE


def batch_width(longest: int, max_positions: int, device: torch.device) -> int:
    return min(padded_length(longest), max_positions) if device.type == "cuda" else longest


def collate(items: list[Item], pad_id: int, with_segments: bool, max_positions: int, device: torch.device) -> Batch:
    """Pad to the longest item, rounded up on a GPU; `max_positions` wins over the rounding."""
    width = batch_width(max(len(item.input_ids) for item in items), max_positions, device)
    input_ids = torch.full((len(items), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    segments = torch.zeros((len(items), width), dtype=torch.long) if with_segments else None
    for row, item in enumerate(items):
        length = len(item.input_ids)
        input_ids[row, :length] = torch.tensor(item.input_ids, dtype=torch.long)
        mask[row, :length] = 1
        if segments is not None and item.second_start:
            segments[row, item.second_start : length] = 1
    return Batch(
        items, input_ids.to(device), mask.to(device), segments.to(device) if segments is not None else segments
    )
