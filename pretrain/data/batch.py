"""One micro-batch of packed rows, as the model takes it."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Batch:
    """T = rows x seq_len tokens, rows one after another in one flat sequence.

    A row is filled with pieces and padding; each piece, and each row's padding, is a segment of its own, and attention
    never crosses segments.
    """

    input_ids: torch.Tensor
    """[1, T] int64, after masking."""
    token_type_ids: torch.Tensor
    """[1, T] int64: 0 for the first run of sentences, 1 for the second."""
    position_ids: torch.Tensor
    """[1, T] int64, from 0 in every segment."""
    cu_seqlens: torch.Tensor
    """[segments + 1] int32: where segments begin, and T."""
    max_seqlen: int
    """Longest segment."""
    masked_positions: torch.Tensor
    """[M] int64: where of T the model must predict."""
    masked_labels: torch.Tensor
    """[M] int64: the ids that stood there."""
    sequence_starts: torch.Tensor
    """[P] int64: where of T the [CLS] of each piece with a sentence order stands."""
    sop_labels: torch.Tensor
    """[P] int64: 1 where the two runs of sentences were swapped."""
    num_real_tokens: int
    """Tokens of T that are no padding."""
    masked_sources: torch.Tensor | None = None
    """[M] int64: which of the sources each masked token is of; None in rows to train on."""
    order_sources: torch.Tensor | None = None
    """[P] int64: the same of each piece with a sentence order."""

    def to(self, device: torch.device) -> "Batch":
        """The batch with its tensors on `device`."""
        tensors: dict[str, Any] = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **tensors)
