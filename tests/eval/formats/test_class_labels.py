"""A column that holds no classes is refused before its values go anywhere."""

import json
from pathlib import Path

import pytest

from eval.formats import load_dataset
from launch.errors import NotemillError


def _write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return f"jsonl:{path}"


def test_notes_and_ids_are_no_labels_and_are_not_quoted(tmp_path: Path) -> None:
    rows = [
        {"text": f"Patient {i} has fever.", "note": f"Patient {i} has fever.", "label": "ab"[i % 2]} for i in range(40)
    ]
    data = _write(tmp_path / "notes.jsonl", rows)
    assert {note.label for note in load_dataset("cls", data).splits["test"]} == {"a", "b"}
    with pytest.raises(NotemillError, match="40 labels for 40 texts") as told:
        load_dataset("cls", f"{data}?label=note")
    assert "fever" not in str(told.value)
    with pytest.raises(NotemillError, match="has 479 letters, more than"):
        load_dataset("cls", _write(tmp_path / "long.jsonl", [{"text": "x", "label": "fever " * 80}]))


def test_few_texts_may_have_a_class_each(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": f"type {i}"} for i in range(12)]
    assert len(load_dataset("cls", _write(tmp_path / "few.jsonl", rows)).splits["test"]) == 12
