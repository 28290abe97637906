"""All that is decided between notes once the pieces are there: exact copies, near-copies, copied paragraphs.

Each step looks at what the one before left: an exact copy is not counted as a near-copy too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.exact import first_of_each
from data_pipeline.dedup.near import find_near_copies
from data_pipeline.dedup.paragraphs import CopiedParagraphs, find_copied_paragraphs, without_paragraphs


class DuplicateCounts(TypedDict):
    """The manifest's `duplicates`."""

    exact: int
    near_within_patient: int
    near_across_patients: int
    copied_forward: int
    """Notes of which every paragraph stands in earlier notes of the patient."""
    copied_paragraphs: int
    """Paragraphs removed from notes that stayed."""


@dataclass
class Duplicates:
    """Which notes stay, and what is taken out of them."""

    counts: DuplicateCounts
    stays: list[npt.NDArray[np.bool_]]
    """For each piece a mask over its notes."""
    _paragraphs: CopiedParagraphs | None = field(default=None, repr=False)

    def apply(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """What stays of each piece's table, in their order; counts the paragraphs that it removes."""
        first = 0
        for table, mask in zip(tables, self.stays, strict=True):
            if self._paragraphs is not None:
                table = self._without_copied(table, first, mask)
            yield table.filter(pa.array(mask))
            first += len(mask)

    def _without_copied(self, table: pa.Table, first: int, mask: npt.NDArray[np.bool_]) -> pa.Table:
        assert self._paragraphs is not None
        removed = self._paragraphs.of_notes(first, len(mask))
        if not removed:
            return table
        texts = table.column("text").to_pylist()
        for row, numbers in removed.items():
            if mask[row]:
                texts[row] = without_paragraphs(texts[row], numbers)
                self.counts["copied_paragraphs"] += len(numbers)
        place = table.schema.get_field_index("text")
        return table.set_column(place, table.schema.field(place), pa.array(texts, pa.string()))


def find_duplicates(
    folder: Path, stems: Sequence[str], config: DedupConfig, scratch: Path, num_workers: int = 1
) -> Duplicates:
    """Compare the notes of the pieces in `folder`; `scratch` must stay until `apply` is through."""
    paths = [folder / stem for stem in stems]
    first = first_of_each([folder / f"{stem}.digests" for stem in stems], scratch / "exact")
    stays = np.concatenate([np.empty(0, np.bool_), *first])
    counts = DuplicateCounts(
        exact=int((~stays).sum()), near_within_patient=0, near_across_patients=0, copied_forward=0, copied_paragraphs=0
    )
    if config.near:
        near = find_near_copies(paths, stays, config, scratch / "near", num_workers)
        counts["near_within_patient"] = int(near.within_patient.sum())
        counts["near_across_patients"] = int(near.across_patients.sum())
        stays &= ~(near.within_patient | near.across_patients)
    paragraphs = None
    if config.remove_copied_paragraphs:
        paragraphs = find_copied_paragraphs(paths, stays, config, scratch / "paragraphs")
        counts["copied_forward"] = int((paragraphs.is_copied & stays).sum())
        stays &= ~paragraphs.is_copied
    return Duplicates(counts, np.split(stays, np.cumsum([len(mask) for mask in first])[:-1]), paragraphs)
