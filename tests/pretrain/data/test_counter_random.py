import numpy as np
import pytest

from pretrain.data.counter_random import derive_key, permute, random_bits, uniform


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17, 64, 1000, 4097])
def test_permute_is_a_shuffle_and_any_part_of_it_can_be_asked_for(n):
    key = derive_key("shuffle", n)
    whole = permute(np.arange(n), n, key)
    assert sorted(whole.tolist()) == list(range(n))
    part = np.arange(n // 3, n)
    np.testing.assert_array_equal(permute(part, n, key), whole[part])
    if n > 10:
        assert not np.array_equal(whole, permute(np.arange(n), n, derive_key("another shuffle", n)))


def test_permute_moves_each_position_anywhere():
    n, times = 12, 6000
    landed = np.zeros((n, n))
    for number in range(times):
        landed[np.arange(n), permute(np.arange(n), n, derive_key(number))] += 1
    # Chi-square over 121 degrees of freedom has mean 121 and deviation 15.6.
    assert ((landed - times / n) ** 2 / (times / n)).sum() < 121 + 6 * 15.6


def test_uniform_is_uniform_and_determined():
    key = derive_key(3, "test")
    draws = uniform(key, np.arange(100_000))
    assert draws.min() >= 0 and draws.max() < 1
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert np.abs(counts - 5000).max() < 6 * 70
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02


def test_bits_are_those_of_splitmix64():
    """A run can only be repeated by another version if these never change."""

    def splitmix64(state: int) -> int:
        bits = state
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
        return bits ^ (bits >> 31)

    for key in (0, 7, 2**64 - 1):
        expected = [splitmix64((key + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64) for counter in range(5)]
        assert random_bits(np.uint64(key), np.arange(5)).tolist() == expected
    assert int(derive_key(3, "mask", 12)) == 0xE5CEC7D910A057DA
