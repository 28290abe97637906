"""The file system that a run's checkpoints go to: speed, room, and who may read new files."""

import contextlib
import os
import shutil
import time
from pathlib import Path

from data_pipeline.files import PRIVATE_FILE
from launch import process
from launch.doctor import Check
from launch.planner.disk import checkpoint_bytes, num_checkpoints
from launch.planner.parameters import Shape
from pretrain.config import PretrainConfig

SAMPLE_BYTES = 64 * 2**20
SLOW_MB_PER_S = 100.0
_PIECE_BYTES = 4 * 2**20


def check_speed(folder: Path, checkpoint: int | None = None) -> Check:
    """Write a file into the folder, or the nearest that exists, read it back and remove it.

    The write includes its way to the disk. The read may come from memory, so it is told and not judged. `checkpoint` is
    how many bytes one will have, for how long it would take this process alone; ranks write their parts side by side.
    """
    existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    path = existing / f".notemill-speed-{os.getpid()}"
    # Random, as file systems compress zeros.
    piece = os.urandom(_PIECE_BYTES)
    try:
        begin = time.perf_counter()
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE_FILE), "wb") as stream:
            for _ in range(SAMPLE_BYTES // _PIECE_BYTES):
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        written = time.perf_counter()
        with path.open("rb") as stream:
            while stream.read(_PIECE_BYTES):
                pass
        read = time.perf_counter()
    except OSError as error:
        return Check(
            "file system", "problem", f"cannot write in {existing}: {error.strerror}", "Choose another folder."
        )
    finally:
        # Where it could not be made, neither can it be removed.
        with contextlib.suppress(OSError):
            path.unlink()
    speed = SAMPLE_BYTES / 1e6 / (written - begin)
    detail = f"{existing}: {speed:.0f} MB/s written to disk, {SAMPLE_BYTES / 1e6 / (read - written):.0f} MB/s read"
    if checkpoint is not None:
        detail += f"; a checkpoint of {checkpoint / 1e9:.1f} GB takes one writer {checkpoint / 1e6 / speed:.0f} s"
    if speed < SLOW_MB_PER_S:
        return Check("file system", "warning", detail, "Save seldom (checkpoint.every), or use a faster file system.")
    return Check("file system", "ok", detail)


def check_room(folder: Path, config: PretrainConfig, shape: Shape) -> Check:
    """Whether the checkpoints that the run keeps, and the one being written, find room."""
    existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    one, number, free = checkpoint_bytes(config, shape), num_checkpoints(config), shutil.disk_usage(existing).free
    already = sum(1 for _ in (folder / "checkpoints").glob("step-*"))
    wanted = one * max(number - already, 1)
    detail = f"{free / 1e9:.1f} GB free at {existing}, {wanted / 1e9:.1f} GB wanted ({number} of {one / 1e9:.2f} GB)"
    if free < one:
        return Check("room for checkpoints", "problem", detail, "Make room: not one checkpoint fits.")
    if free < wanted:
        return Check("room for checkpoints", "warning", detail, "Make room, or lower checkpoint.keep.")
    return Check("room for checkpoints", "ok", detail)


def check_umask() -> Check:
    """Whether files that other programs make here are open to others; those of notemill never are."""
    mask = process.inherited_umask
    if mask is None:
        mask = os.umask(0o077)
        os.umask(mask)
    if mask & 0o077 != 0o077:
        remedy = "Set umask 077 in your profile, so that copies of notes and models are yours alone."
        return Check("umask", "warning", f"{mask:03o}; notemill's own files are 0600 all the same", remedy)
    return Check("umask", "ok", f"{mask:03o}")
