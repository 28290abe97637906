"""Attention of many sequences in one node against torch's kernel on each, in value and gradient."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from pretrain.model.many_sequences import attention_by_sequence

NUM_KEYS = [7, 1, 33, 4]


@pytest.mark.parametrize("num_queries", [NUM_KEYS, [2, 0, 9, 4]], ids=["all", "some"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_torchs(dtype, tolerance, num_queries):
    generator = torch.Generator().manual_seed(0)
    queries = torch.cat(
        [
            start + torch.randperm(length, generator=generator)[:number].sort().values
            for start, length, number in zip((0, 7, 8, 41), NUM_KEYS, num_queries, strict=True)
        ]
    )
    # As the model has them: views of one product.
    all_TN3D = torch.randn(sum(NUM_KEYS), 4, 3 * 8, generator=generator)
    weights_RND = torch.randn(len(queries), 4, 8, generator=generator)
    expected_input, our_input = all_TN3D.clone().requires_grad_(), all_TN3D.to(dtype).requires_grad_()
    expected = torch.cat(
        [
            scaled_dot_product_attention(*(tensor.transpose(0, 1) for tensor in piece.split(8, dim=-1))).transpose(0, 1)
            for piece in expected_input.split(NUM_KEYS)
        ]
    )[queries]
    (expected * weights_RND).sum().backward()
    query, key, value = our_input.split(8, dim=-1)
    ours = attention_by_sequence(query[queries], key, value, num_queries, NUM_KEYS)
    (ours * weights_RND.to(dtype)).sum().backward()
    torch.testing.assert_close(ours.float(), expected.detach(), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(our_input.grad.float(), expected_input.grad, atol=10 * tolerance, rtol=10 * tolerance)
