"""Exact duplicates across the whole corpus: the first note of each text stays, in the order of the inputs.

A text's digest ignores case and spacing and nothing else: numbers count, "K 3.1" and "K 5.9" are two notes. It is taken
from the de-identified text, so that what is equal in the output is equal here, and no text can stand in two splits.

Digests lie on disk, 16 bytes a note. They are compared in bands of their first byte that fit in memory together; what
stays in memory for the whole corpus is one byte a note.
"""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 16
DIGEST_DTYPE = np.dtype([("high", ">u8"), ("low", ">u8")])
_PLAIN_ASCII = bytes(ord(" ") if chr(code).isspace() else ord(chr(code).lower()) for code in range(128)) + bytes(128)
"""Lower case, and a space for all that is one."""
MAX_DIGESTS_IN_MEMORY = 16_000_000
"""Digests compared at a time, about; with their positions some 40 bytes each."""


def text_digest(text: str) -> bytes:
    """128 bits that equal texts share, whatever their case and spacing."""
    if text.isascii():
        # The same as below, some times faster.
        normal = text.encode("ascii").translate(_PLAIN_ASCII).strip(b" ")
        while b"  " in normal:
            normal = normal.replace(b"  ", b" ")
    else:
        normal = " ".join(text.split()).casefold().encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(normal, digest_size=DIGEST_BYTES).digest()


def first_of_each(
    digest_files: Sequence[Path], max_in_memory: int = MAX_DIGESTS_IN_MEMORY
) -> list[npt.NDArray[np.bool_]]:
    """For each file of digests one mask: True for a note whose text stands nowhere before it."""
    sizes = [file.stat().st_size // DIGEST_BYTES for file in digest_files]
    keep = np.ones(sum(sizes), dtype=np.bool_)
    num_bands = min(256, -(-sum(sizes) // max_in_memory) or 1)
    bounds = np.linspace(0, 256, num_bands + 1).astype(int)
    for low, high in itertools.pairwise(bounds):
        digests, positions = _band(digest_files, sizes, int(low), int(high))
        # A stable order by digest leaves equal ones in the order of the inputs; all but the first of a run go.
        order = np.lexsort((digests["low"], digests["high"]))
        ordered = digests[order]
        repeated = ordered[1:] == ordered[:-1]
        keep[positions[order[1:][repeated]]] = False
    return np.split(keep, np.cumsum(sizes)[:-1]) if sizes else []


def _band(
    files: Sequence[Path], sizes: Sequence[int], low: int, high: int
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """Digests whose first byte is in [low, high), with their positions in the corpus."""
    digests, positions = [np.empty(0, DIGEST_DTYPE)], [np.empty(0, np.int64)]
    offset = 0
    for file, size in zip(files, sizes, strict=True):
        rows = np.fromfile(file, dtype=DIGEST_DTYPE)
        first_byte = rows["high"] >> np.uint64(56)
        (inside,) = np.nonzero((first_byte >= low) & (first_byte < high))
        digests.append(rows[inside])
        positions.append(inside + offset)
        offset += size
    return np.concatenate(digests), np.concatenate(positions)
