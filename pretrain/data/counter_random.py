"""Random numbers that are a function of a key and a counter, with no state between calls.

What a row looks like must not depend on which rank makes it, in which micro-batch, or after which resume. So nothing
here draws from a sequence: `uniform(key, counter)` hashes both (splitmix64's mixing function), on whole arrays at once.
`permute` is a shuffle of range(n) of which any part can be asked for alone: a Feistel network over the next power of
four, walked until the value falls below n. It takes no memory, whatever n is.
"""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FEISTEL_ROUNDS = 6


def derive_key(*parts: int | str) -> np.uint64:
    """A key for one purpose, as in derive_key(seed, "mask", row)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def random_bits(key: np.uint64 | np.ndarray, counter: np.ndarray) -> np.ndarray:
    """64 random bits for each counter (non-negative integers); `key` is one or as many as there are counters."""
    return _mix(key + (counter.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def uniform(key: np.uint64 | np.ndarray, counter: np.ndarray) -> np.ndarray:
    """float64 in [0, 1) for each counter."""
    return (random_bits(key, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(positions: np.ndarray, n: int, key: np.uint64) -> np.ndarray:
    """Where each of `positions` lands in the shuffle of range(n) that `key` names; int64."""
    half_bits = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    round_keys = random_bits(key, np.arange(_FEISTEL_ROUNDS))
    values = _feistel(positions.astype(np.uint64), half_bits, round_keys)
    outside = np.flatnonzero(values >= n)
    while outside.size:
        values[outside] = _feistel(values[outside], half_bits, round_keys)
        outside = outside[values[outside] >= n]
    return values.astype(np.int64)


def _feistel(values: np.ndarray, half_bits: np.uint64, round_keys: np.ndarray) -> np.ndarray:
    low_mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = values >> half_bits, values & low_mask
    for round_key in round_keys:
        left, right = right, left ^ (_mix(round_key + (right + np.uint64(1)) * _GOLDEN) & low_mask)
    return (left << half_bits) | right


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
