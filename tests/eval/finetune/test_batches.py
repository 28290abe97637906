import random
from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.finetune.batches import Item, batch_width, collate, padded_length, training_batches, within_budget

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=200)


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 16))
def test_training_batches_use_every_item_once(lengths: list[int], batch_size: int) -> None:
    items = [Item([1] * n, i) for i, n in enumerate(lengths)]
    batches = training_batches(items, batch_size, random.Random(0))
    assert Counter(item.example for batch in batches for item in batch) == Counter(range(len(items)))
    assert all(len(batch) <= batch_size for batch in batches)


@settings(deadline=None)
@given(lengths=LENGTHS, budget=st.integers(1, 500))
def test_prediction_batches_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    items = [Item([1] * n, i) for i, n in enumerate(lengths)]
    batches = within_budget(items, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(items)))
    for batch in batches:
        width = padded_length(max(lengths[index] for index in batch))
        assert len(batch) == 1 or len(batch) * width <= budget


def test_grouping_by_length_saves_padding() -> None:
    rng = random.Random(0)
    items = [Item([1] * rng.randint(5, 200), i) for i in range(512)]
    real = sum(len(item.input_ids) for item in items)
    batches = training_batches(items, 8, random.Random(1))
    padded = sum(len(b) * padded_length(max(len(item.input_ids) for item in b)) for b in batches)
    assert real / padded > 0.9


def test_widths_are_multiples_of_eight_on_a_gpu_within_the_positions() -> None:
    widths = [batch_width(longest, 12, torch.device("cuda")) for longest in (1, 8, 9, 12)]
    assert widths == [8, 8, 12, 12]
    assert [batch_width(longest, 12, torch.device("cpu")) for longest in (1, 9, 12)] == [1, 9, 12]


def test_collate_pads_to_the_longest() -> None:
    items = [Item([2, 5, 3, 6, 3], 0, second_start=3), Item([2, 3], 1)]
    batch = collate(items, 9, True, 512, torch.device("cpu"))
    assert batch.input_ids.shape == (2, 5)
    assert batch.input_ids[1].tolist() == [2, 3, 9, 9, 9]
    assert batch.attention_mask.sum(1).tolist() == [5, 2]
    assert batch.token_type_ids is not None and batch.token_type_ids[0].tolist() == [0, 0, 0, 1, 1]
    assert collate(items, 9, False, 512, torch.device("cpu")).token_type_ids is None
