"""Relations as sentences with their two mentions marked, JSONL {"text", "label"} (ChemProt).

`<< head >>` and `[[ tail ]]`, or `[s1] head [e1]` and `[s2] tail [e2]`. The marks, and the one space inside each, are
taken out of the text and kept as spans; mentions may overlap.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Example, RelationCandidate, Span, Task
from eval.formats.base import Format, Reading, predictions_of
from eval.formats.tables import cell, find_columns, identifier, read_rows, to_jsonl
from launch.errors import NotemillError

# Chemical names and rank orders hold << and [[ of their own ("STA2>>17-phenyl", "-6[[(3-iodophenyl)"), without the
# space that a mark has inside; marks without it are believed only where there are none with it.
_PAIRS = (
    (("<< ", " >>"), ("[s1] ", " [e1]"), ("<<", ">>"), ("[s1]", "[e1]")),
    (("[[ ", " ]]"), ("[s2] ", " [e2]"), ("[[", "]]"), ("[s2]", "[e2]")),
)
"""Opening and closing mark of the head and of the tail, in the order in which they are looked for."""


class Marked(Format):
    name = "marked"
    tasks: tuple[Task, ...] = ("re",)
    suffixes: tuple[str, ...] = (".jsonl",)

    def read(self, path: Path, reading: Reading) -> tuple[RelationCandidate, ...]:
        rows = read_rows(path, "jsonl")
        columns = find_columns(path, rows, ("text", "label"), reading)
        candidates = []
        for number, row in enumerate(rows, start=1):
            parsed = _parse(cell(path, row, number, columns["text"]))
            if parsed is None:
                raise NotemillError(f"{path} line {number} does not mark two mentions with << >> and [[ ]].")
            text, head, tail = parsed
            key = identifier(row, number, reading)
            candidates.append(RelationCandidate(key, text, head, tail, cell(path, row, number, columns["label"])))
        return tuple(candidates)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[str]) -> Path:
        path = folder / "predictions.jsonl"
        candidates = [example for example in examples if isinstance(example, RelationCandidate)]
        rows = [
            {"id": candidate.id, "text": _mark(candidate), "label": label}
            for candidate, label in zip(candidates, predictions, strict=True)
        ]
        write_text(path, to_jsonl(rows))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return predictions_of(examples, self.read(path, reading), reading.task)


def _parse(marked: str) -> tuple[str, Span, Span] | None:
    """Text without marks and the spans of head and tail; None where a mark is missing."""
    marks = []
    for role, pairs in enumerate(_PAIRS):
        found = next((place for pair in pairs if (place := _find(marked, *pair)) is not None), None)
        if found is None:
            return None
        marks += [(*found[0], role), (*found[1], role)]
    text, position = "", 0
    bounds: list[list[int]] = [[], []]
    for start, end, role in sorted(marks):
        text += marked[position:start]
        bounds[role].append(len(text))
        position = end
    (head_start, head_end), (tail_start, tail_end) = bounds
    return text + marked[position:], (head_start, head_end), (tail_start, tail_end)


def _find(marked: str, opening: str, closing: str) -> tuple[Span, Span] | None:
    """Where the first pair of marks stands."""
    start = marked.find(opening)
    end = marked.find(closing, start + len(opening))
    if start < 0 or end < 0:
        return None
    return (start, start + len(opening)), (end, end + len(closing))


def _mark(candidate: RelationCandidate) -> str:
    inserts: list[tuple[int, int, str]] = []
    for (start, end), opening, closing in ((candidate.head, "<< ", " >>"), (candidate.tail, "[[ ", " ]]")):
        inserts += [(start, 1, opening + closing)] if start == end else [(start, 1, opening), (end, 0, closing)]
    text = candidate.text
    # From the end, and at one place the closing mark before the opening one.
    for position, _, mark in sorted(inserts, reverse=True):
        text = text[:position] + mark + text[position:]
    return text
