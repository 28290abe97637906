"""The ranking: only what can be laid out, the fastest that fits first."""

from dataclasses import replace

import pytest

from launch.planner.cluster import GPUS, Cluster
from launch.planner.layouts import evaluate, num_full_steps, rank_layouts
from launch.planner.parameters import Shape
from launch.planner.report import what_does_not_fit
from pretrain.config import load_pretrain_config
from pretrain.parallel.layout import layout_problems
from pretrain.schedule import batch_size

LARGE = load_pretrain_config("configs/gatortron-large.yaml", [])
SHAPE = Shape.of(LARGE, 50176)
NODE = Cluster(GPUS["a100-40"])


def test_every_layout_can_be_laid_out_and_they_are_in_order() -> None:
    ranked = rank_layouts(LARGE, SHAPE, NODE)
    fitting = [candidate for candidate in ranked if candidate.fits]
    assert ranked[: len(fitting)] == fitting and fitting
    assert [c.time.total for c in fitting] == sorted(c.time.total for c in fitting)
    for candidate in ranked:
        assert not layout_problems(candidate.config, world_size=8, vocab_size=50176)
        assert candidate.fits == (candidate.memory.total <= NODE.gpu.memory_bytes)
    assert {c.config.parallel.tensor for c in ranked} == {1, 2, 4, 8}


def test_what_a_node_cannot_hold_is_told_with_the_reason() -> None:
    lines = what_does_not_fit(rank_layouts(LARGE, SHAPE, NODE))
    assert lines[0].startswith("TP 1, PP 1 does not fit in 39.4 GiB, even with micro-batch 1, recompute full")
    # 8.8 billion parameters: 4 bytes of gradient each.
    assert "(gradients 32.9, weights 16.5, optimizer 12.4" in lines[0]
    assert not what_does_not_fit(rank_layouts(LARGE, SHAPE, Cluster(GPUS["h200"], nodes=4)))


def test_a_small_model_is_best_left_whole() -> None:
    config = load_pretrain_config("configs/gatortron-base.yaml", [])
    best = rank_layouts(config, Shape.of(config, 50176), Cluster(GPUS["h100"]))[0]
    assert (best.layout.tensor, best.layout.pipeline, best.layout.data) == (1, 1, 8)
    assert best.config.train.recompute == "none"


def test_a_gpu_with_less_memory_takes_smaller_micro_batches_or_splits_more() -> None:
    config = load_pretrain_config("configs/gatortron-medium.yaml", [])
    shape = Shape.of(config, 50176)
    large, small = (rank_layouts(config, shape, Cluster(GPUS[name]))[0] for name in ("a100-80", "a100-40"))
    assert small.fits and large.fits
    assert small.memory.total < 39.4 * 2**30 < large.memory.total
    assert small.time.total >= large.time.total


def test_a_growing_batch_counts_the_rows_that_the_trainer_takes() -> None:
    settings = ["train.global_batch_size=64", "train.start_batch_size=16", "train.batch_ramp_rows=1000"]
    config = load_pretrain_config(None, [*settings, "train.steps=100"])
    rows = 0
    for _ in range(100):
        rows += batch_size(rows, start=16, full=64, ramp_rows=1000)
    assert num_full_steps(config) * 64 == pytest.approx(rows)
    whole = replace(config, train=replace(config.train, start_batch_size=None, batch_ramp_rows=0))
    assert num_full_steps(whole) == 100


def test_reserved_memory_counts() -> None:
    with_reserve = evaluate(LARGE, SHAPE, NODE).memory.total
    without = evaluate(LARGE, SHAPE, replace(NODE, runtime_bytes=0, spare_share=0)).memory.total
    assert with_reserve - without == pytest.approx(NODE.reserved_bytes) == 2 * 2**30 + 0.05 * 39.4 * 2**30
