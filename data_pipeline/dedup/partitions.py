"""Records on disk in partitions by a key, so that what belongs together can be loaded together in flat memory.

Partitions are scratch: they are made anew by every attempt, read once, and removed. Within a partition records lie in
the order in which they were added, so the result is a function of what was added.
"""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_pipeline.files import PRIVATE_FILE, make_private_folder

PARTITION_BYTES = 1 << 25
"""Size of a partition, about, where keys are spread evenly; what works on one needs a few times as much memory."""


class Partitions:
    """Writes records of `dtype`; `expected` of them decide the number of partitions."""

    def __init__(self, folder: Path, dtype: np.dtype, expected: int, partition_bytes: int = PARTITION_BYTES) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = make_private_folder(folder)
        self._dtype = dtype
        self.paths = [folder / f"{index:06d}" for index in range(-(-expected * dtype.itemsize // partition_bytes) or 1)]
        for path in self.paths:
            path.touch(PRIVATE_FILE)
        self._pending: list[tuple[npt.NDArray[np.uint64], np.ndarray]] = []
        self._pending_bytes, self._max_pending_bytes = 0, partition_bytes

    def add(self, keys: npt.NDArray[np.uint64], records: np.ndarray) -> None:
        """Add `records`; the high bits of `keys`, which must be hashes, decide where each goes."""
        self._pending.append((keys, records))
        self._pending_bytes += records.nbytes
        if self._pending_bytes >= self._max_pending_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; to be called once after the last `add`."""
        if not self._pending:
            return
        keys = np.concatenate([keys for keys, _ in self._pending])
        records = np.concatenate([records for _, records in self._pending])
        self._pending, self._pending_bytes = [], 0
        index = partition_of(keys, len(self.paths))
        order = np.argsort(index, kind="stable")
        bounds = np.searchsorted(index[order], np.arange(len(self.paths) + 1))
        for path, low, high in zip(self.paths, bounds[:-1], bounds[1:], strict=True):
            if low < high:
                with path.open("ab") as stream:
                    records[order[low:high]].tofile(stream)

    def remove(self) -> None:
        """Remove everything that was written."""
        shutil.rmtree(self._folder, ignore_errors=True)


def partition_of(keys: npt.NDArray[np.uint64], num_partitions: int) -> npt.NDArray[np.int64]:
    """Equal keys share a partition, and partitions are ranges of keys."""
    return ((keys >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)).astype(np.int64)
