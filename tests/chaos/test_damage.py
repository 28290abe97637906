"""A checkpoint with a file that was cut short, changed or lost is named and left out before any of it is unpickled."""

import pickle
import random
import shutil

import pytest

from launch.errors import NotemillError
from pretrain.checkpoint import candidates, complete_checkpoints, folder_of, read_info
from pretrain.checkpoint.checksums import damage_in, write_checksums
from pretrain.checkpoint.info import write_info
from pretrain.checkpoint.pickles import require_harmless_index
from tests.chaos.forking import said
from tests.pretrain.launching import losses, notemill, rows

SETTINGS = ("train.steps=6", "checkpoint.every=2", "checkpoint.keep=0")


@pytest.fixture(scope="module")
def finished(forking, tokens_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("damage") / "run"
    assert forking.train(tokens_dir, run_dir, *SETTINGS) == [0]
    return run_dir


def cut(path, chance):
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.truncate(chance.randrange(size))


def flip_a_bit(path, chance):
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def lose(path, chance):
    path.unlink()


def problem_with(checkpoint) -> str | None:
    try:
        return damage_in(checkpoint, read_info(checkpoint))
    except NotemillError as error:
        return str(error)


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


@pytest.mark.parametrize("harm", [cut, flip_a_bit, lose])
def test_harm_to_any_file_is_told(harm, finished, tmp_path, kills):
    whole = folder_of(finished, 6)
    assert problem_with(whole) is None
    assert len(files_of(whole)) > 10
    for seed in range(kills):
        for path in files_of(whole):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            harm(copy / path.relative_to(whole), random.Random(f"{path} {seed}"))
            assert problem_with(copy), f"{harm.__name__} {path.name}, seed {seed}"


def test_a_file_that_does_not_belong_is_told(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder_of(finished, 6), copy)
    (copy / "weights" / "extra.pt").write_bytes(b"")
    assert "extra.pt does not belong" in problem_with(copy)


def test_the_newest_good_checkpoint_is_taken(finished, forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir, symlinks=True)
    flip_a_bit(folder_of(run_dir, 6) / "weights" / "__0_0.distcp", random.Random(1))
    (folder_of(run_dir, 4) / "checkpoint.json").write_text("{")
    assert forking.train(tokens_dir, run_dir, *SETTINGS, processes=2) == [0, 0]
    told = said(run_dir)
    assert "step-00000006 is damaged (weights/__0_0.distcp differs from its checksum) and is left out" in told
    assert "step-00000004 is damaged" in told
    assert f"resumed from {folder_of(run_dir, 2)}" in told
    for ours, theirs in zip(losses(rows(run_dir)), losses(rows(finished)), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert [path.name for path in complete_checkpoints(run_dir)] == [f"step-0000000{step}" for step in (2, 4, 6)]
    assert sorted(path.name for path in (run_dir / "checkpoints").glob("damaged-*")) == [
        "damaged-step-00000004",
        "damaged-step-00000006",
    ]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew(finished, forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir, symlinks=True)
    for checkpoint in complete_checkpoints(run_dir):
        lose(checkpoint / "weights" / "common.pt", None)
    before = (run_dir / "metrics.jsonl").read_bytes()
    assert forking.train(tokens_dir, run_dir, *SETTINGS) == [2]
    assert "there is no other to go on from" in said(run_dir)
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def test_a_checkpoint_without_checksums_is_read(finished, forking, tokens_dir, tmp_path):
    """As versions before checksums wrote it."""
    import json

    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir, symlinks=True)
    old = folder_of(run_dir, 6)
    (old / "checksums.json").unlink()
    marker = json.loads((old / "checkpoint.json").read_text())
    for key in ("sha256", "checksums_sha256", "guard", "valid_loss"):
        del marker[key]
    (old / "checkpoint.json").write_text(json.dumps(marker))
    assert forking.train(tokens_dir, run_dir, "train.steps=8", "checkpoint.every=2") == [0]
    assert f"resumed from {old}" in said(run_dir)
    assert candidates(run_dir, "auto")[0] == folder_of(run_dir, 8)


def test_an_index_that_would_run_a_program_is_refused(finished, forking, tokens_dir, tmp_path):
    """Even where its checksum was made to match."""
    run_dir, trace = tmp_path / "run", tmp_path / "trace"
    shutil.copytree(finished, run_dir, symlinks=True)
    checkpoint = folder_of(run_dir, 6)

    class Program:
        def __reduce__(self):
            return (trace.mkdir, ())

    index = checkpoint / "weights" / ".metadata"
    require_harmless_index(index)
    index.write_bytes(pickle.dumps(Program()))
    info = read_info(checkpoint)
    (checkpoint / "checksums.json").unlink()
    from dataclasses import replace

    write_info(checkpoint, replace(info, checksums_sha256=write_checksums(checkpoint)))
    assert problem_with(checkpoint) is None
    assert forking.train(tokens_dir, run_dir, "train.steps=8") == [2]
    assert "it is not loaded" in said(run_dir)
    assert not trace.exists()


def test_export_refuses_a_damaged_checkpoint(finished, tmp_path):
    copy = tmp_path / "step-00000006"
    shutil.copytree(folder_of(finished, 6), copy)
    cut(copy / "weights" / "__0_1.distcp", random.Random(1))
    done = notemill("export", "--checkpoint", str(copy), "--out", str(tmp_path / "hf"), status=2)
    assert "__0_1.distcp" in done.stderr and not (tmp_path / "hf").exists()
