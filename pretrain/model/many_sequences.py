"""Attention of many sequences in one node of autograd, for CPUs.

A row of 512 holds some pieces of forty tokens: there the operators of a piece, and what autograd does for each, take as
long as the products. Here the scores are scaled by the product that makes them, the softmax is written over them, and
results go where they belong at once.

Shapes: R queries and T keys of all sequences one after another, N heads, D the width of a head.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch


def attention_by_sequence(
    query_RND: torch.Tensor,
    key_TND: torch.Tensor,
    value_TND: torch.Tensor,
    num_queries: Sequence[int],
    num_keys: Sequence[int],
) -> torch.Tensor:
    """softmax(query keyᵀ / sqrt(D)) value [R, N, D], over each sequence by itself.

    `num_queries` and `num_keys` of the sequences add up to R and T; a sequence may have no query.
    """
    output_RND: torch.Tensor = _AttentionBySequence.apply(query_RND, key_TND, value_TND, num_queries, num_keys)
    return output_RND


class _AttentionBySequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_RND: torch.Tensor,
        key_TND: torch.Tensor,
        value_TND: torch.Tensor,
        num_queries: Sequence[int],
        num_keys: Sequence[int],
    ) -> torch.Tensor:
        output_RND = torch.empty_like(query_RND, memory_format=torch.contiguous_format)
        scale = query_RND.shape[-1] ** -0.5
        weights = []
        for (query, output), (key, value) in zip(
            _by_sequence(num_queries, query_RND, output_RND), _by_sequence(num_keys, key_TND, value_TND), strict=True
        ):
            scores = query.new_empty(query.shape[0], query.shape[1], key.shape[1])
            torch.baddbmm(scores, query, key.transpose(1, 2), beta=0, alpha=scale, out=scores)
            torch.softmax(scores, dim=-1, out=scores)
            torch.bmm(scores, value, out=output)
            weights.append(scores)
        ctx.save_for_backward(query_RND, key_TND, value_TND, *weights)
        ctx.num_queries, ctx.num_keys, ctx.scale = num_queries, num_keys, scale
        return output_RND

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query_RND, key_TND, value_TND, *weights = ctx.saved_tensors
        gradients_of = [torch.empty_like(tensor) for tensor in (query_RND, key_TND, value_TND)]
        for seen, (query, of_output, of_query), (key, value, of_key, of_value) in zip(
            weights,
            _by_sequence(ctx.num_queries, query_RND, gradients[0], gradients_of[0]),
            _by_sequence(ctx.num_keys, key_TND, value_TND, *gradients_of[1:]),
            strict=True,
        ):
            torch.bmm(seen.transpose(1, 2), of_output, out=of_value)
            of_scores = torch._softmax_backward_data(of_output @ value.transpose(1, 2), seen, -1, seen.dtype)
            torch.baddbmm(of_query, of_scores, key, beta=0, alpha=ctx.scale, out=of_query)
            torch.baddbmm(of_key, of_scores.transpose(1, 2), query, beta=0, alpha=ctx.scale, out=of_key)
        return *gradients_of, None, None


def _by_sequence(lengths: Sequence[int], *tensors_TND: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Views [N, length, D] of the tensors, a sequence at a time."""
    start = 0
    for length in lengths:
        yield tuple(tensor[start : start + length].transpose(0, 1) for tensor in tensors_TND)
        start += length
