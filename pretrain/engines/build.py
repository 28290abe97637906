"""The engine that a configuration asks for."""

import torch

from pretrain.config import PretrainConfig
from pretrain.engines.base import Engine


def build_engine(config: PretrainConfig, vocab_size: int, device: torch.device) -> Engine:
    """This rank's engine with initial weights; the process groups must be there."""
    from pretrain.engines.megatron.engine import MegatronEngine

    return MegatronEngine(config, vocab_size, device)
