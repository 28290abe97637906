"""How much attention a transformer pays to marked pieces, read beside its own forward pass; gradients pass through.

Works on every model whose self-attention has `query`, `key` and `num_attention_heads` (BERT, Megatron-BERT, RoBERTa,
ELECTRA in transformers). The weights are computed again from the layer's input, because fused kernels give none.
"""

from typing import Any

import torch
from torch import nn


class AttentionTap:
    """Hooks on every self-attention below `model`; `watch` before a forward pass, `take` after it."""

    def __init__(self, model: nn.Module) -> None:
        modules = [module for module in model.modules() if is_attention(module)]
        self.num_layers = len(modules)
        self.num_heads = int(modules[0].num_attention_heads) if modules else 0  # type: ignore[arg-type]
        self._watched: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._found: list[torch.Tensor] = []
        self._handles = [module.register_forward_hook(self._read, with_kwargs=True) for module in modules]

    def watch(self, rows: torch.Tensor, marks: torch.Tensor, mask: torch.Tensor) -> None:
        """Look at `rows` [n] of the next batch: `marks` [n, length] is 1 at marked pieces, `mask` at real ones."""
        self._watched, self._found = (rows, marks, mask), []

    def take(self) -> torch.Tensor:
        """[n, layers, heads]: the share of attention that a real piece pays to the marked ones, mean over pieces."""
        found = torch.stack(self._found, dim=1)
        self._watched, self._found = None, []
        return found

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _read(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        if self._watched is None:
            return
        rows, marks, mask = self._watched
        hidden = (arguments[0] if arguments else named["hidden_states"])[rows]
        count, length, _ = hidden.shape

        def heads(layer: nn.Module) -> torch.Tensor:
            return layer(hidden).float().view(count, length, module.num_attention_heads, -1).transpose(1, 2)

        query, key = heads(module.query), heads(module.key)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        scores = scores.masked_fill(mask[:, None, None, :] == 0, float("-inf"))
        paid = (scores.softmax(dim=-1) * marks[:, None, None, :]).sum(-1)
        real = mask[:, None, :].to(paid.dtype)
        self._found.append((paid * real).sum(-1) / real.sum(-1))


def is_attention(module: nn.Module | None) -> bool:
    """Whether a module is self-attention of BERT's shape."""
    return all(hasattr(module, name) for name in ("query", "key", "value", "num_attention_heads"))
