"""A pretrained encoder on its way in, whatever it was read from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from launch.errors import NotemillError
from pretrain.config import ModelConfig

HEADS = {
    "the pooler": ("pooler.",),
    "the language-model head": ("lm_head.", "output_layer."),
    "the sentence-order head": ("binary_head.",),
}
"""What an encoder may lack, in words, and how the names of its tensors begin."""


def require_finite(name: str, tensor: torch.Tensor, folder: Path) -> None:
    """Raise NotemillError where a weight holds infinities or NaN, which no comparison of logits would survive."""
    if not tensor.isfinite().all():
        raise NotemillError(f"{name} in {folder} holds values that are not finite; it is damaged.")


@dataclass(frozen=True)
class Encoder:
    """What a reader gives; everything behind it knows no other names than megatron-core's."""

    model: ModelConfig
    """Its shape; dropout is what it was trained with, as far as that can run here."""
    vocab_size: int
    """Rows of its embedding, which may be more than its tokenizer has pieces."""
    weights: dict[str, torch.Tensor]
    """fp32, unsharded, under megatron-core's names; heads in `missing` are left out."""
    missing: list[str]
    """Heads that it lacks, in words."""
    sha256: str
    """Of the names and bytes of the files it was read from."""
    assumed: tuple[str, ...] = ()
    """What its files do not say, in words, with the value that was taken."""

    @property
    def positions(self) -> int:
        """Longest input."""
        return self.weights["embedding.position_embeddings.weight"].shape[0]


@dataclass(frozen=True)
class Published:
    """An encoder with what transformers needs to compute the same."""

    encoder: Encoder
    config: Any
    """A transformers.MegatronBertConfig."""
    tensors: dict[str, torch.Tensor]
    """fp32, under the names of MegatronBertForPreTraining, as they were found and without second names of tied ones;
    empty where the source has no such names."""
