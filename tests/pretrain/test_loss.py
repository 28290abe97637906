"""The chunked cross entropy against torch's own, in value and gradient."""

import pytest
import torch

from pretrain.model import loss
from pretrain.model.loss import masked_token_losses


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(loss.parallel_state, "get_tensor_model_parallel_world_size", lambda: 1)


def drawn(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 1000, generator=generator) * 4
    # One label whose probability is 0 in fp32.
    logits[0, 0], logits[0, 1] = -200.0, 100.0
    labels = torch.randint(0, 1000, (7,), generator=generator)
    labels[0] = 0
    return logits.to(dtype), labels


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
@pytest.mark.parametrize("bytes_at_once", [4000 * 3, 2**22], ids=["several-chunks", "one-chunk"])
def test_losses_and_gradient_are_torchs(dtype, tolerance, bytes_at_once, monkeypatch):
    monkeypatch.setitem(loss._BYTES_AT_ONCE, "cpu", bytes_at_once)
    logits, labels = drawn(dtype)
    weights = torch.linspace(0.5, 2, 7)
    expected_logits = logits.clone().float().requires_grad_()
    expected = torch.nn.functional.cross_entropy(expected_logits, labels, reduction="none")
    (expected * weights).sum().backward()

    ours = logits.clone().requires_grad_()
    losses = masked_token_losses(ours * 1, labels)
    (losses * weights).sum().backward()
    torch.testing.assert_close(losses, expected.detach(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(ours.grad.float(), expected_logits.grad, atol=tolerance, rtol=tolerance)


def test_logits_stay_where_no_gradient_is_wanted():
    logits, labels = drawn(torch.float32)
    before = logits.clone()
    with torch.no_grad():
        masked_token_losses(logits, labels)
    assert torch.equal(logits, before)


def test_no_masked_position_at_all():
    logits = torch.zeros(0, 1000, requires_grad=True)
    losses = masked_token_losses(logits * 1, torch.zeros(0, dtype=torch.int64))
    losses.sum().backward()
    assert losses.shape == (0,)
    assert logits.grad.shape == (0, 1000)
