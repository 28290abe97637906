"""Which notes are copies of each other for the most part: a member's copy is no non-member, whoever's note it is.

Exact copies (white space apart) are all found. Near-copies share a band of their sketch; where many notes share it,
each is held against the MAX_COMPARED before it only, so that a template of thousands costs no thousands squared, and
a near-copy further back is overlooked unless a chain of others or another band leads to it.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.sketches import NoteKeys, SketchStore, read_bands, write_sketches

MAX_COMPARED = 64
"""A note is held against so many earlier notes of a band at most."""
_AT_ONCE = 10_000
"""Texts in memory together."""


def near_copy_clusters(texts: Iterable[str], config: DedupConfig | None = None) -> list[int]:
    """For each text the index of the first text of its cluster: exact copies and chains of near-copies.

    Texts are read once and not kept: memory is some hundred bytes each.
    """
    config = config or DedupConfig()
    first_of: dict[bytes, int] = {}
    exact: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        stems: list[Path] = []
        texts = iter(texts)
        while batch := list(islice(texts, _AT_ONCE)):
            for text in batch:
                digest = hashlib.sha256(" ".join(text.split()).encode(errors="surrogatepass")).digest()
                exact.append(first_of.setdefault(digest, len(exact)))
            stems.append(Path(folder) / f"notes-{len(stems)}")
            write_sketches(stems[-1], batch, [NoteKeys("0" * 16, index, 0) for index in range(len(batch))], config)
        clusters = Clusters(len(exact))
        for index, first in enumerate(exact):
            clusters.join(first, index)
        store = SketchStore(stems)
        for band in np.concatenate([read_bands(stem, config) for stem in stems]).T if stems else ():
            for positions in _shared(band):
                for place, position in enumerate(positions):
                    for rival in positions[max(0, place - MAX_COMPARED) : place]:
                        if clusters.root(rival) != clusters.root(position) and store.are_near_copies(
                            rival, position, config
                        ):
                            clusters.join(rival, position)
        store.close()
    return [clusters.root(index) for index in range(len(exact))]


class Clusters:
    """Disjoint sets of 0..N-1, each named by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def _shared(band: np.ndarray) -> list[list[int]]:
    """Positions of the notes that have one of the band's hashes in common."""
    order = np.argsort(band, kind="stable")
    borders = np.flatnonzero(np.diff(band[order])) + 1
    return [group.tolist() for group in np.split(order, borders) if len(group) > 1 and band[group[0]] != 0]
