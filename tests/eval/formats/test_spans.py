"""Spans: offsets are whole numbers, labels and texts are texts, and lines are named."""

import json

import pytest

from eval.formats import load_dataset
from launch.errors import NotemillError


def read(folder, *rows):
    path = folder / "test.jsonl"
    path.write_text("\n\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return load_dataset("ner", f"spans:{path}").splits["test"]


GOOD = {"text": "Mr Smith", "spans": [{"start": 3, "end": 8, "label": "NAME"}], "found": [[0, 2]]}


def test_spans_are_read_and_numbered(tmp_path):
    first, second = read(tmp_path, GOOD, GOOD | {"id": "n"})
    assert (first.id, second.id) == ("1", "n")
    assert (first.entities[0].label, first.entities[0].spans, first.found) == ("NAME", ((3, 8),), ((0, 2),))


@pytest.mark.parametrize(
    "bad",
    [
        GOOD | {"spans": [{"start": 0.9, "end": 2.7, "label": "NAME"}]},
        GOOD | {"spans": [{"start": False, "end": True, "label": "NAME"}]},
        GOOD | {"spans": [{"start": 3, "end": 8, "label": None}]},
        GOOD | {"spans": [{"start": 3, "end": 9, "label": "NAME"}]},
        GOOD | {"text": list("Mr Smith")},
        GOOD | {"found": [[0, 2.0]]},
        {"text": "Mr Smith"},
        '{"text": "Mr Smith \\ud800", "spans": []}',
        '["Mr Smith"]',
    ],
)
def test_anything_else_is_refused_by_line(tmp_path, bad):
    with pytest.raises(NotemillError, match="line 3") as refused:
        read(tmp_path, GOOD, bad)
    assert "Smith" not in str(refused.value)
