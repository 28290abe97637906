"""The secret coins and noise of one private training, from a 256-bit key that only its checkpoint holds.

AES-256 in counter mode (NIST SP 800-38A), keyed by the operating system, gives a stream for each purpose, step and
index. So a killed run draws after its restart what it would have drawn, and nobody without the key can take the noise
out of the weights. torch's own generator on a CPU is a Mersenne twister with 32 bits of seed. Normals come by Box and
Muller in double precision, four added up as in Opacus's secure mode: the low bits of a float then say nothing of what
the noise was added to (Holohan and Braghin 2021, after Mironov 2012).
"""

import hashlib
import secrets
import struct
from typing import Final, Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Purpose = Literal["patients", "windows", "noise"]
_PURPOSES: Final = {"patients": 1, "windows": 2, "noise": 3}
_BLOCK = 1 << 19
"""Values drawn at a time: 4 MB of key stream."""


def new_secret(seed: int | None) -> bytes:
    """32 bytes from the operating system, or those that `seed` repeats."""
    return secrets.token_bytes(32) if seed is None else hashlib.sha256(f"notemill private {seed}".encode()).digest()


class SecretRandom:
    """Streams of random numbers by purpose, step and index; equal arguments give equal numbers."""

    def __init__(self, secret: bytes) -> None:
        self._key = algorithms.AES(secret)

    def uniforms(self, purpose: Purpose, step: int, count: int) -> np.ndarray:
        """[count] doubles, evenly from [0, 1) in steps of 2**-53."""
        return _unit(_Stream(self._key, purpose, step, 0).words(count))

    def generator(self, purpose: Purpose, step: int, index: int) -> np.random.Generator:
        """numpy's generator for one patient's part of one step."""
        return np.random.Generator(np.random.PCG64(_Stream(self._key, purpose, step, index).words(4)))

    def normals(self, purpose: Purpose, step: int, index: int, count: int) -> np.ndarray:
        """[count] doubles of mean 0 and variance 1."""
        stream = _Stream(self._key, purpose, step, index)
        drawn = np.empty(count)
        for start in range(0, count, _BLOCK):
            size = min(_BLOCK, count - start)
            drawn[start : start + size] = sum(_box_muller(stream, size) for _ in range(4)) / 2
        return drawn


class _Stream:
    """The key stream whose first counter block names purpose, step and index."""

    def __init__(self, key: algorithms.AES, purpose: Purpose, step: int, index: int) -> None:
        # The last four bytes count blocks: two streams could meet only after 64 GiB of either.
        block = struct.pack(">BxxxII", _PURPOSES[purpose], step, index) + bytes(4)
        self._encryptor = Cipher(key, modes.CTR(block)).encryptor()

    def words(self, count: int) -> np.ndarray:
        """[count] unsigned 64-bit integers."""
        return np.frombuffer(self._encryptor.update(bytes(8 * count)), dtype="<u8")


def _unit(words: np.ndarray) -> np.ndarray:
    return (words >> np.uint64(11)) * 2.0**-53


def _box_muller(stream: _Stream, count: int) -> np.ndarray:
    half = -(-count // 2)
    # 1 - u lies in (0, 1], so the logarithm is finite.
    radius = np.sqrt(-2.0 * np.log(1.0 - _unit(stream.words(half))))
    angle = 2.0 * np.pi * _unit(stream.words(half))
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:count]
