"""An encoder's hidden states in a form whose layers Opacus can follow: every input is there, a row for each window.

transformers fills in positions and token types that are not given with one row, or with a view, for the whole batch;
the embedding's gradient could then not be told apart by sample (opacus #841).
"""

from typing import Any

import torch
from torch import nn

from eval.finetune.model_config import max_positions


def hidden_states(model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """[rows, length] → [rows, length, width]; padding stands on the right."""
    config: Any = model.config
    # RoBERTa's table of positions is longer than what it reads, by those up to the padding index.
    first = int(config.max_position_embeddings) - max_positions(config)
    rows, length = input_ids.shape
    positions = torch.arange(first, first + length, device=input_ids.device).repeat(rows, 1)
    return model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        token_type_ids=torch.zeros_like(input_ids),
        position_ids=positions,
    ).last_hidden_state
