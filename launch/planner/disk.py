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
    every, keep = config.checkpoint.every, config.checkpoint.keep
    saved = -(-config.train.steps // every) if every else 1
    return min(saved, keep + 1) if keep else saved
