"""Dropout of the layers: how much is dropped, that the mean stays, that a seed decides it; and the compiled forms."""

import pytest
import torch

from launch.dropout import dropout
from pretrain.model.pointwise import _bias_gelu, _compiled, get_bias_dropout_add


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_scale_and_gradient(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(1003, 101, dtype=dtype, requires_grad=True)
    y = dropout(x, p, training=True)
    y.sum().backward()
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert y.detach().float().max().item() == pytest.approx(1 / (1 - p), rel=5e-3)
    assert torch.equal(x.grad, y)


def test_neighbours_are_independent():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.5, training=True) > 0).float()
    for distance in (1, 2, 3, 4):
        both = (kept[:-distance] * kept[distance:]).mean().item()
        assert both == pytest.approx(0.25, abs=0.005)


def test_a_seed_decides_it():
    x = torch.ones(1000)
    torch.manual_seed(1)
    first = dropout(x, 0.1, training=True)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.1, training=True), first)
    assert not torch.equal(dropout(x, 0.1, training=True), first)


def test_nothing_is_dropped_outside_of_training_or_at_zero():
    x = torch.randn(100)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x


@pytest.mark.slow
def test_compiled_forms_compute_the_same():
    output, residual, bias = torch.randn(5, 1, 16), torch.randn(5, 1, 16), torch.randn(16)
    for training in (True, False):
        plain, fused = get_bias_dropout_add(training, False), get_bias_dropout_add(training, True)
        torch.testing.assert_close(fused((output, bias), residual, 0.0), plain((output, bias), residual, 0.0))
    torch.testing.assert_close(_compiled(_bias_gelu)(output, bias), _bias_gelu(output, bias))
