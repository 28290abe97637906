"""Sliding-window attention with global first tokens: linear in the length, in time and in memory.

A token sees those at most half a window away on either side, and the global tokens, which are the first of a text;
these see all and are seen by all ("Longformer: The Long-Document Transformer", Beltagy, Peters and Cohan, 2020). Unlike
there global tokens have no projections of their own: a model needs no weights but those it has.

    queries in chunks of C = window / 2     | c0 | c1 | c2 | c3 |
    keys of c2                              global, c1, c2, c3, masked to half a window on either side

Each chunk is a text of its own for the attention product. Of its 3 C keys a third is masked; texts of up to three
chunks are cheaper as one product with a mask, and those that half a window covers need none.

Shapes: B texts, N heads, L tokens, D width of a head, K chunks of C queries, G global tokens. This file uses torch
alone, so that a model's folder can hold a copy: hence the relative import.
"""

import torch
from torch.nn.functional import pad

from .dot_product import dot_product_attention


def sliding_window_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    window: int,
    num_global: int = 1,
    real: torch.Tensor | None = None,
    dropout_p: float = 0.0,
) -> torch.Tensor:
    """[B, N, L, D] → [B, N, L, D].

    `window` is even and counts both sides; `real` [B, 1, 1, L] is False where keys are padding, which stands at the
    end; None where there is none. Raises ValueError for a window or number of global tokens that cannot be.
    """
    if window < 2 or window % 2 or num_global < 1:
        raise ValueError(f"attention_window {window} must be even and above 0, num_global_tokens {num_global} above 0.")
    length, half = query.shape[-2], window // 2
    if length <= half + 1:
        return dot_product_attention(query, key, value, real, dropout_p)
    if length <= 3 * half:
        seen = window_mask(length, window, num_global, query.device)
        return dot_product_attention(query, key, value, seen if real is None else seen & real, dropout_p)
    everything = dot_product_attention(query[:, :, :num_global], key, value, real, dropout_p)
    near = _in_chunks(query, key, value, half, num_global, real, dropout_p)
    return torch.cat((everything, near[:, :, num_global:]), dim=2)


def window_mask(length: int, window: int, num_global: int, device: torch.device) -> torch.Tensor:
    """[L, L] bool: True where a query (row) sees a key."""
    place = torch.arange(length, device=device)
    is_global = place < num_global
    return ((place[:, None] - place).abs() <= window // 2) | is_global | is_global[:, None]


def _in_chunks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    half: int,
    num_global: int,
    real: torch.Tensor | None,
    dropout_p: float,
) -> torch.Tensor:
    """As if global queries were like others; their rows are to be replaced."""
    batch, heads, length, width = query.shape
    chunks = -(-length // half)
    tail = chunks * half - length
    queries = pad(query, (0, 0, 0, tail)).view(batch, heads, chunks, half, width).transpose(1, 2).flatten(0, 1)
    context = dot_product_attention(
        queries,
        _of_chunks(key, half, chunks, num_global),
        _of_chunks(value, half, chunks, num_global),
        _seen_by_chunks(query, half, chunks, num_global, real),
        dropout_p,
    )
    context = context.view(batch, chunks, heads, half, width).transpose(1, 2).reshape(batch, heads, -1, width)
    return context[:, :, :length]


def _of_chunks(states: torch.Tensor, half: int, chunks: int, num_global: int) -> torch.Tensor:
    """[B, N, L, D] → [B K, N, G + 3 C, D]: what each chunk of queries sees of keys or values."""
    batch, heads, length, width = states.shape
    around = pad(states, (0, 0, half, half + chunks * half - length))
    near = around.unfold(2, 3 * half, half).permute(0, 2, 1, 4, 3)
    first = states[:, None, :, :num_global].expand(batch, chunks, heads, num_global, width)
    return torch.cat((first, near), dim=3).flatten(0, 1)


def _seen_by_chunks(
    query: torch.Tensor, half: int, chunks: int, num_global: int, real: torch.Tensor | None
) -> torch.Tensor:
    """[B K, 1, C, G + 3 C] bool."""
    batch, _heads, length, _width = query.shape
    if real is None:
        real = torch.ones((1, 1, 1, length), dtype=torch.bool, device=query.device)
    near_keys = real.clone()
    # They are there already, as the first keys of every chunk.
    near_keys[..., :num_global] = False
    near_keys = pad(near_keys, (half, half + chunks * half - length)).unfold(-1, 3 * half, half)
    near_keys = near_keys.reshape(-1, chunks, 1, 3 * half)
    place = torch.arange(3 * half, device=query.device)
    band = (place - half - place[:half, None]).abs() <= half
    near = near_keys & band
    first = real[..., :num_global].expand(-1, chunks, half, -1)
    return torch.cat((first, near), dim=-1).expand(batch, -1, -1, -1).flatten(0, 1).unsqueeze(1)
