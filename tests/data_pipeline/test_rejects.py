"""Rejected rows are counted by input and reason, can be found again, and end a build when they are too many."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_pipeline.manifest import load_corpus, verify_corpus
from data_pipeline.patients import note_key
from launch.errors import NotemillError
from tests.data_pipeline.corpora import (
    KEY,
    build,
    folder_hashes,
    noteevents_row,
    write_jsonl,
    write_noteevents,
    write_roster,
)


def rejected(out: Path) -> list[tuple[int, int, str, str]]:
    tables = [pq.read_table(out / entry["path"], partitioning=None) for entry in load_corpus(out)["rejected"]]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_each_rejected_row_can_be_found_again_and_names_nobody(tmp_path: Path) -> None:
    roster = write_roster(tmp_path / "roster.csv", [["70001", "Priya", "Okafor", "1950-02-03", "7893287"]])
    rows = [noteevents_row(n, 1, f"Fine {n}.") for n in range(1, 9)]
    rows[2:2] = [
        ["Okafor has pain", "cut"],
        noteevents_row(21, 1, "gone", iserror="1"),
        noteevents_row(22, "", "whose"),
    ]
    rows.append(["70001-DS-3", "70001", "", "", "", "", "", " "])
    table = write_noteevents(tmp_path / "n.csv", rows)
    lines = write_jsonl(tmp_path / "n.jsonl", [{"id": n, "text": f"Line {n}."} for n in range(9)] + ['{"id": 9, "te'])
    out = tmp_path / "corpus"
    manifest = build(out, f"noteevents:{table}", f"jsonl:{lines}", roster=roster, settings=["shards.piece_rows=3"])
    assert rejected(out) == [
        (0, 3, "", "broken_row"),
        (0, 4, "21", "retracted"),
        (0, 5, note_key(KEY, "22"), "missing_patient"),
        (0, 12, note_key(KEY, "70001-DS-3"), "empty_text"),
        (1, 10, "", "bad_json"),
    ]
    assert [entry["rejected"] for entry in manifest["inputs"]] == [
        {"broken_row": 1, "empty_text": 1, "missing_patient": 1, "retracted": 1},
        {"bad_json": 1},
    ]
    assert verify_corpus(out) == []
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert not any(value in everything for value in (b"Okafor", b"70001", b"7893287"))
    (out / manifest["rejected"][0]["path"]).write_bytes(b"")
    assert verify_corpus(out)


def test_too_many_rejects_fail_at_the_end_and_a_higher_limit_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [noteevents_row(n, 1 if n % 3 else "", f"Note {n}.") for n in range(30)]
    rows += [noteevents_row(100 + n, 1, "gone", iserror="1") for n in range(60)]
    path = write_noteevents(tmp_path / "n.csv", rows)
    out, small = tmp_path / "corpus", ["shards.piece_rows=7"]
    with pytest.raises(NotemillError, match=r"10 of 90 rows \(11\.1%\) were rejected.*rejects\.max_share=0\.1"):
        build(out, f"noteevents:{path}", settings=[*small, "rejects.max_share=0.1"])
    table = capsys.readouterr().err
    assert "60   66.7%  retracted" in table and "10   11.1%  missing_patient" in table
    assert not (out / "manifest.json").exists() and list((out / "rejected").iterdir())
    made = {path.name: path.stat().st_mtime_ns for path in (out / "pieces").glob("*/0*.json")}
    assert len(made) > 10
    # What is retracted is no loss: 10 of 90 rows are allowed now, 70 are not asked about.
    build(out, f"noteevents:{path}", settings=[*small, "rejects.max_share=0.12"])
    assert "going on with the pieces" in capsys.readouterr().err
    build(tmp_path / "fresh", f"noteevents:{path}", settings=[*small, "rejects.max_share=0.12"])
    assert folder_hashes(out) == folder_hashes(tmp_path / "fresh")
