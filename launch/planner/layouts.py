"""All layouts of a run on a cluster: which fit, how fast they are, and what keeps the others out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from launch.planner.cluster import Cluster
from launch.planner.memory import Memory, worst_rank
from launch.planner.parameters import Shape
from launch.planner.step_time import StepTime, mfu, step_time
from pretrain.config import PretrainConfig
from pretrain.parallel.layout import Layout, layout_problems

_MICRO_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_RECOMPUTE: tuple[Literal["none", "full"], ...] = ("none", "full")
"""selective saves nothing on CUDA."""
_MAX_VIRTUAL_STAGES = 8


@dataclass(frozen=True)
class Candidate:
    """One layout, with what it would need and take."""

    config: PretrainConfig
    layout: Layout
    memory: Memory
    """Of the rank that needs most."""
    memory_limit: float
    """Bytes of a GPU."""
    time: StepTime
    mfu: float

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.memory_limit

    @property
    def days(self) -> float:
        """Of the whole run, without validation, checkpoints and standstill."""
        return num_full_steps(self.config) * self.time.total / 86400


def rank_layouts(config: PretrainConfig, shape: Shape, cluster: Cluster) -> list[Candidate]:
    """Every layout that can be laid out, those that fit in memory first, each kind by step time."""
    found = [
        evaluate(candidate, shape, cluster)
        for candidate in _variants(config, shape, cluster)
        if not layout_problems(candidate, world_size=cluster.num_gpus, vocab_size=shape.vocab_size)
    ]
    return sorted(found, key=lambda candidate: (not candidate.fits, candidate.time.total, candidate.memory.total))


def evaluate(config: PretrainConfig, shape: Shape, cluster: Cluster) -> Candidate:
    """Memory and time of one layout that has no problems."""
    memory = worst_rank(config, shape, world_size=cluster.num_gpus, reserved=cluster.reserved_bytes)
    time = step_time(config, shape, cluster)
    return Candidate(
        config=config,
        layout=Layout.of(config, cluster.num_gpus),
        memory=memory,
        memory_limit=cluster.gpu.memory_bytes,
        time=time,
        mfu=mfu(config, shape, cluster, time.total),
    )


def num_full_steps(config: PretrainConfig) -> float:
    """Rows of the run in steps of the full global batch, which is less than `train.steps` where the batch grows."""
    train, start = config.train, config.start_batch_size
    rows = steps = 0
    while rows < train.batch_ramp_rows and steps < train.steps:
        rows += start * (1 + (train.global_batch_size // start - 1) * rows // train.batch_ramp_rows)
        steps += 1
    return rows / train.global_batch_size + train.steps - steps


def _variants(config: PretrainConfig, shape: Shape, cluster: Cluster) -> Iterator[PretrainConfig]:
    """The configuration with every layout that is worth a look; tensor ranks never leave a node."""
    for tensor in _divisors(cluster.gpus_per_node):
        if cluster.num_gpus % tensor or shape.num_attention_heads % tensor:
            continue
        for pipeline in _divisors(shape.num_layers):
            if (cluster.num_gpus // tensor) % pipeline:
                continue
            virtuals = [v for v in _divisors(shape.num_layers // pipeline) if v <= _MAX_VIRTUAL_STAGES]
            for virtual, sequence, micro, recompute in itertools.product(
                virtuals if pipeline > 1 else [1],
                [False, True] if tensor > 1 else [False],
                _MICRO_BATCHES,
                _RECOMPUTE,
            ):
                yield replace(
                    config,
                    parallel=replace(
                        config.parallel, tensor=tensor, pipeline=pipeline, virtual_stages=virtual, sequence=sequence
                    ),
                    train=replace(config.train, micro_batch_size=micro, recompute=recompute),
                )


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
