"""Every side of the comparison of trainers really trains, on a minute model, and the results say what it did."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def compare(tokens: Path, folder: Path, *arguments: str) -> dict:
    results = folder / "results.json"
    command = [
        *(sys.executable, "-m", "benchmarks.train", "--tokens", str(tokens), "--shape", "2x64", "--seq-len", "64"),
        *("--rows", "4", "--micro-rows", "2", "--rounds", "1", "--steps", "2", "--warmup", "1"),
        *("--work", str(folder), "--results", str(results), *arguments),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (measured,) = json.loads(results.read_text()).values()
    return measured


def test_ours_in_two_processes(tokens_dir, tmp_path):
    measured = compare(tokens_dir, tmp_path, "--sides", "ours", "--cores", "2")
    ours = measured["sides"]["ours"]
    assert (ours["processes"], ours["threads"]) in ((2, 1), (1, 2))
    assert ours["real_tokens_per_second"] > 0
    assert ours["real_tokens_per_cpu_second"] > 0
    assert ours["peak_memory_mb"] > 100
    assert ours["fill"] > 0.9
    assert measured["machine"]["cpu"]
    flops = measured["flops"]
    assert flops["mfu"] == pytest.approx(flops["flops_per_second"] / flops["peak_flops_per_second"], rel=1e-2)
    parts = measured["seconds_of_a_step_of_one_process_by_part"]
    for name in ("attention: matrices", "attention: products and softmax", "feed-forward: matrices", "head"):
        assert parts[name]["forward"] > 0, name
        assert parts[name]["backward"] > 0, name
    assert parts["optimizer"]["forward"] > 0


@pytest.mark.slow
def test_megatrons_model_on_its_own_samples(tokens_dir, tmp_path):
    measured = compare(tokens_dir, tmp_path, "--sides", "ours", "megatron", "--cores", "1")
    assert 0 < measured["sides"]["megatron"]["fill"] <= 1
    assert measured["ours is faster by"]["megatron"]["real_tokens_per_second"] > 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="Hugging Face's Trainer needs accelerate")
def test_hugging_faces_trainer(tokens_dir, tmp_path):
    sides = ("hf padded", "hf grouped", "hf grouped compiled")
    measured = compare(tokens_dir, tmp_path, "--cores", "1", "--seq-len", "512", "--sides", *sides)
    fills = {side: measured["sides"][side]["fill"] for side in sides}
    assert fills["hf padded"] < 1
    assert fills["hf grouped"] == fills["hf grouped compiled"] == 1
