"""`notemill corpus review` as people use it: on a terminal, in a spreadsheet, several at once."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.gate.review import load_outcomes, load_sample
from data_pipeline.gate.review_sheet import read_sheet, write_sheet
from data_pipeline.manifest import load_corpus, verify_corpus
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build, noteevents_row, write_noteevents

ROOT = Path(__file__).parents[3]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = [f"Note {n} of Mrs. Okafor, stable." for n in range(5)] + ["=cmd() - " + "word and more " * 5000, "é" * 9]
    path = write_noteevents(tmp_path / "n.csv", [noteevents_row(n, n, text) for n, text in enumerate(texts)])
    build(tmp_path / "corpus", f"noteevents:{path}", settings=["dedup.near=false"])
    return tmp_path / "corpus"


def command(corpus: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "launch.main", "corpus", "review", str(corpus), *options]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}


def on_a_terminal(arguments: list[str], keys: str) -> tuple[str, int]:
    """Answers each question of the program with the next key."""
    main, other = pty.openpty()
    process = subprocess.Popen(arguments, stdin=other, stdout=other, stderr=other, env=environment(), cwd=ROOT)
    os.close(other)
    shown, answered = b"", 0
    while True:
        try:
            data = os.read(main, 65_536)
        except OSError:
            break
        if not data:
            break
        shown += data
        while answered < len(keys) and shown.count(b"stop (q): ") + shown.count(b"as it is (s): ") > answered:
            os.write(main, keys[answered].encode() + b"\n")
            answered += 1
    os.close(main)
    return shown.decode(errors="replace"), process.wait()


def test_asking_note_by_note(corpus: Path) -> None:
    shown, status = on_a_terminal(command(corpus, "--ask", "--reviewer", "A. Reader"), "clxbcsq")
    assert status == 0 and "1 of 7 unread" in shown and "[**NAME**]" in shown
    manifest = load_corpus(corpus)
    # The second was called a leak, gone back to, and called clean; the third was skipped.
    outcomes = {number: found["outcome"] for number, found in load_outcomes(corpus, manifest).items()}
    assert outcomes == {1: "clean", 2: "clean"} and verify_corpus(corpus) == []


def test_an_interrupt_keeps_what_was_recorded_and_the_report(corpus: Path) -> None:
    shown, status = on_a_terminal(command(corpus, "--ask", "--reviewer", "A. Reader"), "c\x04")
    assert status == 130 and "interrupted" in shown
    assert len(load_outcomes(corpus, load_corpus(corpus))) == 1 and verify_corpus(corpus) == []


def test_readers_at_once_lose_nothing(corpus: Path) -> None:
    running = [
        subprocess.Popen(
            command(corpus, "--record", f"{n}=clean", "--reviewer", f"Reader {n}"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), cwd=ROOT,
        )
        for n in range(1, 5)
    ]  # fmt: skip
    for process in running:
        assert process.communicate() == (None, b"") and process.returncode == 0
    assert set(load_outcomes(corpus, load_corpus(corpus))) == {1, 2, 3, 4}


def test_a_spreadsheet_there_and_back(corpus: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "to_read.csv"
    done = subprocess.run(command(corpus, "--export", str(sheet)), env=environment(), cwd=ROOT, capture_output=True)
    assert done.returncode == 0 and sheet.stat().st_mode & 0o777 == 0o600
    assert sheet.read_bytes().startswith("\ufeffnumber".encode())
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    (long,) = {row["number"] for row in rows if row["part"]}
    assert len(rows) == 9 and [row["part"] for row in rows if row["number"] == long] == ["1 of 3", "2 of 3", "3 of 3"]
    assert max(len(row["text"]) for row in rows) < 32_767 and not any(row["text"][0] in "=+-@" for row in rows)
    # Back from a spreadsheet of another country: semicolons, CP-1252, numbers as floats.
    for row in rows:
        row["number"] += ".0"
        row["outcome"] = {"1 of 3": "clean", "2 of 3": " LEAK "}.get(row["part"], "" if row["part"] else "Clean")
    again = tmp_path / "read.csv"
    with again.open("w", newline="", encoding="cp1252") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    filled_in = command(corpus, "--import", str(again), "--reviewer", "B. Reader")
    done = subprocess.run(filled_in, env=environment(), cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["state"], status["reviewed"], status["leaks"]) == ("failed", 7, 1)
    assert load_outcomes(corpus, load_corpus(corpus))[int(long)]["outcome"] == "leak"


def test_sheets_that_are_refused(corpus: Path, tmp_path: Path) -> None:
    manifest = load_corpus(corpus)
    sheet = tmp_path / "sheet.csv"
    write_sheet(sheet, [(load_sample(corpus, manifest)[0], "text")], manifest)
    with pytest.raises(NotemillError, match="may hold outcomes"):
        write_sheet(sheet, [], manifest)
    filled_in = sheet.read_text().replace(",,text", ",clean,text")
    sheet.write_text(filled_in.replace("sample-", "sample-0"))
    with pytest.raises(NotemillError, match="from another corpus"):
        read_sheet(sheet, manifest)
    sheet.write_text(filled_in.replace("clean", "maybe"))
    with pytest.raises(NotemillError, match=r"record 2 .* 'clean', 'leak' or nothing"):
        read_sheet(sheet, manifest)
