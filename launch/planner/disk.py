"""Bytes of a checkpoint, and of all that a run keeps."""

from __future__ import annotations

from launch.planner.activations import BYTES
from launch.planner.parameters import Shape, whole_model
from pretrain.config import PretrainConfig

_OPTIMIZER_BYTES = 12
"""fp32 masters and two moments, saved alike for every precision."""


def checkpoint_bytes(config: PretrainConfig, shape: Shape) -> int:
    """Weights and optimizer state; it does not depend on the layout."""
    return whole_model(shape) * (BYTES[config.train.precision] + _OPTIMIZER_BYTES)


def num_checkpoints(config: PretrainConfig) -> int:
    """Checkpoints on disk at most: those kept, and one that is being written."""
    checkpoint, steps = config.checkpoint, config.train.steps
    saved = -(-steps // checkpoint.every) if checkpoint.every else 1
    if not checkpoint.keep:
        return saved
    for_ever = steps // checkpoint.keep_every if checkpoint.keep_every else 0
    return min(saved, checkpoint.keep + for_ever + checkpoint.keep_best + 1)
