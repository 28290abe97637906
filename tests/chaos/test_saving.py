"""A save that is killed or finds the disk full leaves a checkpoint to go on from."""

import contextlib
import os
import random
import subprocess

import pytest

from pretrain.checkpoint import candidates, complete_checkpoints, folder_of, read_info
from pretrain.checkpoint.checksums import damage_in
from tests.chaos.forking import said
from tests.pretrain.launching import losses, rows, validations

SETTINGS = ("train.steps=12", "checkpoint.every=2", "train.valid_every=4", "model.hidden_dropout=0.1")
OPERATIONS_IN_A_SAVE = 60
LIVES = 6


def check_all(run_dir):
    """Every checkpoint that calls itself complete is whole, and so is what `latest` names."""
    complete = complete_checkpoints(run_dir)
    for folder in complete:
        assert damage_in(folder, read_info(folder)) is None
    latest = run_dir / "checkpoints" / "latest"
    if latest.is_symlink():
        assert latest.resolve() in [folder.resolve() for folder in complete]
    return complete


@pytest.mark.parametrize("processes", [1, 2])
def test_a_kill_at_any_operation_of_a_save_loses_nothing(processes, kills, forking, tokens_dir, tmp_path):
    straight = tmp_path / "straight"
    assert forking.train(tokens_dir, straight, *SETTINGS, processes=processes) == [0] * processes
    killed, seed = 0, 0
    while killed < kills // 2:
        seed += 1
        chance = random.Random(seed)
        run_dir = tmp_path / f"run-{seed}"
        newest = lives = 0
        while True:
            # Most lives end in their first or second save; the last one of a run is let live.
            kill_at = chance.randrange(1, 2 * OPERATIONS_IN_A_SAVE) if lives < LIVES and killed < kills // 2 else None
            statuses = forking.train(tokens_dir, run_dir, *SETTINGS, processes=processes, kill_at=kill_at)
            complete = check_all(run_dir)
            if statuses[0] == 0:
                break
            killed, lives = killed + 1, lives + 1
            # A checkpoint that was complete before is never lost to a later kill.
            assert max([read_info(folder).step for folder in complete], default=0) >= newest
            newest = max([read_info(folder).step for folder in complete], default=0)
        assert losses(rows(run_dir)) == losses(rows(straight))
        assert validations(rows(run_dir)) == validations(rows(straight))
        assert [row["step"] for row in rows(run_dir)] == [row["step"] for row in rows(straight)]
        left = {path.name for path in (run_dir / "checkpoints").iterdir()}
        assert left == {"latest", "step-00000010", "step-00000012"}


def test_a_save_beside_training_holds_what_a_synchronous_one_does(forking, tokens_dir, tmp_path):
    import torch
    import torch.distributed.checkpoint as dcp

    found = []
    for asynchronous in ("true", "false"):
        run_dir = tmp_path / asynchronous
        settings = ("train.steps=6", "checkpoint.every=3", f"checkpoint.asynchronous={asynchronous}")
        assert forking.train(tokens_dir, run_dir, *settings) == [0]
        reader = dcp.FileSystemReader(folder_of(run_dir, 3) / "weights")
        index = reader.read_metadata().state_dict_metadata
        state = {key: torch.empty(entry.size) for key, entry in index.items() if hasattr(entry, "size")}
        dcp.load(state, storage_reader=reader, no_dist=True)
        found.append(state)
    assert len(found[0]) > 20
    for key, tensor in found[0].items():
        assert torch.equal(tensor, found[1][key]), key


def test_retention_keeps_the_newest_every_kth_and_the_best(forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    # A rate that undoes what was learned: the best checkpoint is not the last.
    every = ("train.steps=10", "train.valid_every=1", "checkpoint.every=1")
    kept = ("checkpoint.keep=1", "checkpoint.keep_every=4", "checkpoint.keep_best=true")
    rising = ("train.lr=0.5", "train.min_lr=0.5", "train.warmup_steps=9")
    assert forking.train(tokens_dir, run_dir, *every, *kept, *rising) == [0]
    by_step = {row["step"]: row["valid_loss"] for row in rows(run_dir) if "valid_loss" in row and row["step"]}
    lowest = min(by_step, key=lambda step: by_step[step])
    checkpoints = run_dir / "checkpoints"
    assert lowest not in (4, 8, 10)
    assert [read_info(folder).step for folder in complete_checkpoints(run_dir)] == sorted({4, 8, 10, lowest})
    assert (checkpoints / "latest").resolve().name == "step-00000010"
    assert (checkpoints / "best").resolve().name == f"step-{lowest:08d}"


def test_a_checkpoint_that_does_not_fit_leaves_the_last_good_one(tokens_dir, tmp_path, forking):
    """Files may not exceed 100 kB from the second life on, as under a quota."""
    run_dir = tmp_path / "run"
    assert forking.train(tokens_dir, run_dir, "train.steps=4", "checkpoint.every=2") == [0]
    for on_failure, failures in (("stop", 1), ("continue", 2)):
        settings = ("train.steps=8", "checkpoint.every=2", f"checkpoint.on_failure={on_failure}")
        assert forking.train(tokens_dir, run_dir, *settings, largest_file=100_000) == [2]
        assert said(run_dir).count("could not be saved (File too large)") == failures
        assert (rows(run_dir)[-1]["step"] == 8) == (on_failure == "continue")
        assert candidates(run_dir, "auto")[0] == folder_of(run_dir, 4)
        assert check_all(run_dir)
        assert not list((run_dir / "checkpoints").glob(".*"))
    assert forking.train(tokens_dir, run_dir, "train.steps=8", "checkpoint.every=2") == [0]
    assert candidates(run_dir, "auto")[0] == folder_of(run_dir, 8)


def test_a_full_disk_leaves_the_last_good_checkpoint_and_training_goes_on(tokens_dir, tmp_path, forking):
    run_dir = tmp_path / "run"
    (run_dir / "checkpoints").mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(run_dir / "checkpoints")],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        settings = ("checkpoint.every=2", "train.warmup_steps=1", "train.min_lr=1e-3")
        assert forking.train(tokens_dir, run_dir, "train.steps=2", *settings) == [0]
        ballast = run_dir / "checkpoints" / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(4096))
        # 8 kB are left: begun files fit, and then nothing does.
        os.truncate(ballast, ballast.stat().st_size - 8192)
        assert forking.train(tokens_dir, run_dir, "train.steps=6", *settings) == [2]
        assert said(run_dir).count("could not be saved (No space left on device)") == 2
        assert rows(run_dir)[-1]["step"] == 6
        assert [folder.name for folder in check_all(run_dir)] == ["step-00000002"]
        ballast.unlink()
        assert forking.train(tokens_dir, run_dir, "train.steps=6", *settings) == [0]
        assert [folder.name for folder in check_all(run_dir)] == ["step-00000004", "step-00000006"]
    finally:
        subprocess.run(["umount", str(run_dir / "checkpoints")], check=True)
