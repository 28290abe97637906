"""No planted identifier is in any file that a build wrote, however it ended, and none in a core file or an error."""

import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_pipeline.private_process import without_values
from tests.data_pipeline.corpora import noteevents_row, write_jsonl, write_noteevents, write_roster

PLANTED = ["Okafor", "Priya", "7893287", "Zyxwvutsky"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "in").mkdir()
    roster = write_roster(tmp_path / "in" / "roster.csv", [["70001", "Priya", "Okafor", "1950-02-03", "7893287"]])
    rows = [
        noteevents_row(n, 70001, f"Seen, Okafor, Priya, MRN 7893287, note {n}.", category="Okafor visit")
        for n in range(150)
    ]
    rows += [noteevents_row(800 + n, 3, f"PriyaOkafor rang, {n}.", category="Letter") for n in range(8)]
    write_noteevents(tmp_path / "in" / "n.csv", rows)
    write_jsonl(
        tmp_path / "in" / "n.jsonl", [{"id": 1, "text": "ok"}, '{"text": "Zyxwvutsky, broken', '["Zyxwvutsky"]']
    )
    for name in ("key", "quarantine_key"):
        (tmp_path / name).write_text("0123456789abcdef" * 4)
        (tmp_path / name).chmod(0o600)
    return [
        "corpus", "build", "--input", f"noteevents:{tmp_path}/in/n.csv", "--input", f"jsonl:{tmp_path}/in/n.jsonl",
        "--roster", str(roster), "--out", str(tmp_path / "out" / "corpus"), "--key-file", str(tmp_path / "key"),
        "--quarantine-key", str(tmp_path / "quarantine_key"), "--workers", "2", "shards.piece_rows=10",
    ]  # fmt: skip


def notemill(arguments: list[str], scratch: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(scratch)}
    return subprocess.Popen(
        [sys.executable, "-m", "launch.main", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=scratch, env=environment,
    )  # fmt: skip


def assert_nobody_is_named(tmp_path: Path, *said: str) -> None:
    """Grep names and contents of everything that was written, decompressed; and modes and the key."""
    written = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    for path in written:
        data = path.name.encode()
        if path.is_file():
            raw = path.read_bytes()
            data += gzip.decompress(raw) if path.suffix == ".gz" else raw
            if path.suffix == ".parquet":
                data += json.dumps(pq.read_table(path, partitioning=None).to_pylist()).encode()
        found = [value for value in (*PLANTED, "0123456789abcdef") if value.lower().encode() in data.lower()]
        assert not found, f"{found} in {path.relative_to(tmp_path)}"
        if path != tmp_path / "out":
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert not [value for value in PLANTED if value.lower() in "".join(said).lower()]


def test_after_a_build_and_a_killed_and_a_failing_one(tmp_path: Path, arguments: list[str]) -> None:
    scratch = tmp_path / "out"
    scratch.mkdir(mode=0o700)
    killed = notemill(arguments, scratch)
    work = scratch / "corpus" / "pieces"
    while killed.poll() is None and not list(work.glob("*/0000005.json")):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    said = killed.communicate()
    assert killed.returncode == -signal.SIGKILL and work.is_dir()
    assert_nobody_is_named(tmp_path, *said)

    strict = [*arguments, "gate.max_held_share=0.01", "gate.always_allowed=0"]
    failing = notemill(strict, scratch)
    said = failing.communicate()
    assert failing.returncode == 2 and "the gate held back more than 1%" in said[1]
    assert list((scratch / "corpus" / "quarantine").iterdir())
    assert_nobody_is_named(tmp_path, *said)

    finished = notemill(["corpus", "build", *arguments[2:], "gate.max_held_share=1.0"], scratch)
    said = finished.communicate()
    assert finished.returncode == 0, said[1]
    manifest = json.loads((scratch / "corpus" / "manifest.json").read_text())
    assert manifest["counts"]["quarantined"] == 8 and manifest["counts"]["rejected"] == {"bad_json": 1, "broken_row": 1}
    assert_nobody_is_named(tmp_path, *said)


def test_an_unexpected_error_does_not_quote_a_note() -> None:
    try:
        int("Priya Okafor")
    except ValueError as error:
        told = without_values(error)
    assert told.startswith("ValueError at test_privacy.py:") and "Priya" not in told


def test_no_core_file_of_a_process_that_holds_notes() -> None:
    program = (
        "import resource, ctypes; from data_pipeline.private_process import keep_memory_private as k; k();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert shown.strip() == "(0, 0) 0"
