"""The engine that a configuration or a checkpoint asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pretrain.config import PretrainConfig
from pretrain.engines.base import Engine

if TYPE_CHECKING:
    from pretrain.model.bert import MegatronBert


def build_engine(config: PretrainConfig, vocab_size: int, device: torch.device) -> Engine:
    """This rank's engine with initial weights; the process groups must be there."""
    if config.engine.name == "deepspeed":
        from pretrain.engines.deepspeed.engine import DeepSpeedEngine

        return DeepSpeedEngine(config, vocab_size, device)
    from pretrain.engines.megatron.engine import MegatronEngine

    return MegatronEngine(config, vocab_size, device)


def load_model(engine: str, folder: Path, chunk: MegatronBert) -> None:
    """Fill a whole model in this one process from the weights that an engine of that name saved, in any layout.

    Raises NotemillError when they are damaged or of another model.
    """
    if engine == "deepspeed":
        from pretrain.engines.deepspeed.weights import load_model as load
    else:
        from pretrain.engines.megatron.weights import load_model as load
    load(folder, chunk)
