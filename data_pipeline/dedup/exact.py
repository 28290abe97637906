"""Exact duplicates across the whole corpus: the first note of each text stays, in the order of the inputs.

A text's digest ignores case and spacing and nothing else: numbers count, "K 3.1" and "K 5.9" are two notes. It is taken
from the de-identified text, so that what is equal in the output is equal here, and no text can stand in two splits.

Digests lie on disk, 16 bytes a note. They are compared in partitions, one in memory at a time; what stays in memory for
the whole corpus is one byte a note.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_pipeline.dedup.partitions import PARTITION_BYTES, Partitions

DIGEST_BYTES = 16
DIGEST_DTYPE = np.dtype([("high", ">u8"), ("low", ">u8")])
_PLAIN_ASCII = bytes(ord(" ") if chr(code).isspace() else ord(chr(code).lower()) for code in range(128)) + bytes(128)
"""Lower case, and a space for all that is one."""
_RECORD_DTYPE = np.dtype([("high", "<u8"), ("low", "<u8"), ("position", "<u8")])


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
    digest_files: Sequence[Path], scratch: Path, partition_bytes: int = PARTITION_BYTES
) -> list[npt.NDArray[np.bool_]]:
    """For each file of digests one mask: True for a note whose text stands nowhere before it.

    `scratch` is a folder of its own, removed at the end.
    """
    sizes = [file.stat().st_size // DIGEST_BYTES for file in digest_files]
    keep = np.ones(sum(sizes), dtype=np.bool_)
    partitions = Partitions(scratch, _RECORD_DTYPE, len(keep), partition_bytes)
    first = 0
    for file, size in zip(digest_files, sizes, strict=True):
        digests = np.fromfile(file, dtype=DIGEST_DTYPE)
        records = np.empty(size, _RECORD_DTYPE)
        records["high"], records["low"] = digests["high"], digests["low"]
        records["position"] = np.arange(first, first + size)
        partitions.add(records["high"], records)
        first += size
    partitions.flush()
    for path in partitions.paths:
        records = np.fromfile(path, _RECORD_DTYPE)
        # A stable order by digest leaves equal ones in the order of the inputs; all but the first of a run go.
        records = records[np.lexsort((records["low"], records["high"]))]
        is_repeated = (records["high"][1:] == records["high"][:-1]) & (records["low"][1:] == records["low"][:-1])
        keep[records["position"][1:][is_repeated]] = False
    partitions.remove()
    return np.split(keep, np.cumsum(sizes)[:-1]) if sizes else []
