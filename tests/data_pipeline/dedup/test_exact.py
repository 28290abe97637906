"""The first note of each text stays, whatever lies in memory at a time."""

from pathlib import Path

import numpy as np
import pytest

from data_pipeline.dedup.exact import first_of_each, text_digest


def test_digest_ignores_case_and_spacing_and_nothing_else() -> None:
    assert text_digest("K  3.1\n\nToday") == text_digest("k 3.1 today")
    assert text_digest("K 3.1") != text_digest("K 5.9")
    assert text_digest("no pain") != text_digest("nopain")


@pytest.mark.parametrize("partition_bytes", [24, 1000, 1 << 25])
def test_masks_agree_with_a_set(tmp_path: Path, partition_bytes: int) -> None:
    rng = np.random.default_rng(5)
    pieces = [[f"note {value}" for value in rng.integers(0, 120, size)] for size in (70, 0, 90, 1)]
    files = []
    for index, piece in enumerate(pieces):
        files.append(tmp_path / f"{index}.digests")
        files[-1].write_bytes(b"".join(text_digest(text) for text in piece))
    seen: set[str] = set()
    expected = [[text not in seen and not seen.add(text) for text in piece] for piece in pieces]  # type: ignore[func-returns-value]
    assert [mask.tolist() for mask in first_of_each(files, tmp_path / "scratch", partition_bytes)] == expected
    assert first_of_each([], tmp_path / "scratch") == [] and not (tmp_path / "scratch").exists()
