"""A paragraph that a patient's earlier note holds goes from the later ones, and from no one else's."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.paragraphs import find_copied_paragraphs, paragraph_spans, without_paragraphs, write_paragraphs
from data_pipeline.dedup.sketches import NoteKeys

LONG = [f"{word} {' '.join(str(n) for n in range(15))}" for word in ("alpha", "beta", "gamma", "delta")]


def find(folder: Path, notes: list[tuple[str, int, int]], partition_bytes: int = 1 << 20) -> list[str | None]:
    """What is left of each note (text, patient, order); None for one that goes."""
    stems = []
    for first in range(0, len(notes), 2):
        part = notes[first : first + 2]
        stems.append(folder / f"{first:03d}")
        write_paragraphs(stems[-1], [t for t, _, _ in part], [NoteKeys(f"{p:016x}{0:016x}", o, 0) for _, p, o in part])
        stems[-1].with_name(f"{stems[-1].name}.digests").write_bytes(bytes(16 * len(part)))
    config = DedupConfig(remove_copied_paragraphs=True)
    mask = np.ones(len(notes), np.bool_)
    found = find_copied_paragraphs(stems, mask, config, folder / "scratch", partition_bytes)
    removed = found.of_notes(0, len(notes))
    for first in range(len(notes)):
        assert found.of_notes(first, 1) == ({0: removed[first]} if first in removed else {})
    return [
        None if found.is_copied[index] else without_paragraphs(text, removed.get(index, []))
        for index, (text, _, _) in enumerate(notes)
    ]


def test_the_earliest_stays(tmp_path: Path) -> None:
    a, b, c, d = LONG
    notes = [
        (f"PLAN:\n\n{a}\n\n{c}\n\nnew today", 1, 3),
        (f"PLAN:\n\n{a}\n\n{b}", 1, 2),
        (f"{a.upper()}  \n\n{a}\n\n{d}", 1, 1),
        (f"{a}\n\nnothing else", 2, 9),
        (f"{d}\n\n{a}", 1, 4),
    ]
    expected = [f"PLAN:\n\n{c}\n\nnew today", f"PLAN:\n\n{b}", notes[2][0], notes[3][0], None]
    for number, partition_bytes in enumerate((1 << 20, 100)):
        (tmp_path / str(number)).mkdir()
        assert find(tmp_path / str(number), notes, partition_bytes) == expected


def test_lines_are_paragraphs_where_there_are_no_blank_ones(tmp_path: Path) -> None:
    a, b, _, _ = LONG
    assert find(tmp_path, [(f"{a}\n{b}", 1, 1), (f"X\n{a}\nY", 1, 2)]) == [f"{a}\n{b}", "X\nY"]


@given(st.text(st.sampled_from("ab \n\t"), max_size=60))
def test_paragraphs_are_the_whole_text(text: str) -> None:
    assert "".join(text[start:end] for start, end in paragraph_spans(text)) == text
    assert without_paragraphs(text, []) == text.rstrip()
