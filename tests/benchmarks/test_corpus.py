"""Both sides really run, on a little text, and the result says what they did."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash
import zstandard

from benchmarks.processes import run
from benchmarks.sides import run_datatrove
from launch.errors import NotemillError

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_our_side_is_measured(tmp_path):
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.corpus", "--mb", "0.3", "--results", results, "--sides", "ours"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    measured = json.loads(results.read_text())["compare"]
    assert measured["text"]["data"] == ["invented notes"]
    ours = measured["sides"]["ours"]
    assert 0 < ours["kept"] <= measured["text"]["notes"]
    assert ours["mb_per_cpu_second"] == pytest.approx(measured["text"]["mb"] / ours["cpu_seconds"], rel=0.01)
    # Sampled: a stage of milliseconds may be missed on so little text.
    assert {"de-identify", "gate", "sketch"} <= set(ours["stages"])


def test_datatrove_reads_filters_drops_copies_and_writes(tmp_path, monkeypatch):
    """With plain words: its default needs spaCy."""
    hashes = importlib.import_module("datatrove.utils.hashes.xxhash")
    # It gives text to xxhash, of which version 4 takes bytes alone.
    monkeypatch.setattr(hashes, "xxhash64", lambda data: xxhash.xxh64_intdigest(data.encode()))
    letters = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
    texts = [f"{' '.join(letters[turn:] + letters[:turn])} write to a@example.net" for turn in (0, 3, 6, 0)] + ["short"]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    assert run_datatrove(rows, tmp_path / "work", is_light=True) == 3
    (written,) = (tmp_path / "work" / "deduplicated").iterdir()
    kept = [json.loads(line)["text"] for line in zstandard.open(written, "rt")]
    assert len(kept) == 3
    assert all("@example.com" in text or "@example.org" in text for text in kept)


def test_use_of_a_command_and_its_children(tmp_path):
    child = "x = b'x' * 50_000_000; import time; time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    use = run([sys.executable, "-c", parent], tmp_path / "log", is_watched=True, folder=tmp_path)
    assert use.worker_mb > 50
    assert use.main_mb < 50
    assert use.tree_mb > use.worker_mb
    assert use.largest_process_mb >= 50
    assert use.cpu_seconds > 0


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(NotemillError, match="ended with status 3: this went wrong"):
        run([sys.executable, "-c", "print('this went wrong'); raise SystemExit(3)"], tmp_path / "log")
