"""Sliding-window attention in chunks equals one product with a mask over everything."""

import itertools

import pytest
import torch

from launch.attention.dot_product import dot_product_attention
from launch.attention.sliding_window import sliding_window_attention, window_mask


def slow_mask(length: int, window: int, num_global: int) -> torch.Tensor:
    """Entry by entry."""
    seen = torch.zeros(length, length, dtype=torch.bool)
    for i, j in itertools.product(range(length), repeat=2):
        seen[i, j] = abs(i - j) * 2 <= window or i < num_global or j < num_global
    return seen


def states(length: int, batch: int = 2, heads: int = 3, width: int = 4, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(length)
    shape = (3, batch, heads, length, width)
    query, key, value = torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)
    return [part.clone().requires_grad_() for part in (query, key, value)]


@pytest.mark.parametrize("window", [2, 8])
@pytest.mark.parametrize(
    ("length", "num_global"),
    # No text is shorter than its global tokens.
    [(1, 1), *itertools.product([4, 5, 6, 12, 13, 16, 17, 31, 40], [1, 3])],
)
def test_states_and_gradients_equal_those_of_one_product(length: int, window: int, num_global: int) -> None:
    ours, theirs = states(length), states(length)
    found = sliding_window_attention(*ours, window, num_global)
    wanted = dot_product_attention(*theirs, slow_mask(length, window, num_global))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    for output in (found, wanted):
        (output * direction).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [(40, 33), (40, 3), (40, 1), (13, 9), (9, 4)])
def test_padding_is_seen_by_no_real_token(lengths: tuple[int, int]) -> None:
    longest, window = max(lengths), 8
    parts = states(longest)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    together = sliding_window_attention(*parts, window, 1, real[:, None, None])
    assert together.isfinite().all()
    together.square().sum().backward()
    assert all(part.grad.isfinite().all() for part in parts)
    for row, length in enumerate(lengths):
        alone = sliding_window_attention(*(part[row : row + 1, :, :length] for part in parts), window)
        torch.testing.assert_close(together[row : row + 1, :, :length], alone, atol=1e-6, rtol=1e-5)


def test_bf16_on_a_cpu_is_as_exact_as_one_product() -> None:
    parts = states(40, dtype=torch.bfloat16)
    found = sliding_window_attention(*parts, 8)
    wanted = dot_product_attention(*(part.float() for part in parts), slow_mask(40, 8, 1))
    torch.testing.assert_close(found.float(), wanted, atol=2e-2, rtol=2e-2)


def test_dropout_drops_weights() -> None:
    parts = states(40)
    torch.manual_seed(0)
    dropped = sliding_window_attention(*parts, 8, dropout_p=0.5)
    assert not torch.allclose(dropped, sliding_window_attention(*parts, 8))


def test_the_mask_is_the_definition() -> None:
    assert torch.equal(window_mask(17, 6, 2, torch.device("cpu")), slow_mask(17, 6, 2))


@pytest.mark.parametrize(("window", "num_global"), [(0, 1), (7, 1), (-2, 1), (8, 0)])
def test_a_window_that_cannot_be_is_refused(window: int, num_global: int) -> None:
    with pytest.raises(ValueError, match=f"attention_window {window}"):
        sliding_window_attention(*states(20), window, num_global)


def test_memory_is_linear_in_the_length() -> None:
    """The largest tensor that is made for a text twice as long is twice as large."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, arguments=(), settings=None):
            output = function(*arguments, **(settings or {}))
            tensors = [output] if isinstance(output, torch.Tensor) else []
            self.elements = max([self.elements, *(tensor.untyped_storage().nbytes() for tensor in tensors)])
            return output

    sizes = []
    for length in (512, 1024):
        with Largest() as largest, torch.no_grad():
            sliding_window_attention(*states(length, batch=1), 32)
        sizes.append(largest.elements)
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.1)
