"""checksums.json: size and SHA-256 of every file of a checkpoint, so that a damaged one is told before it is read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_pipeline.files import read_json, sha256_file, write_json
from launch.errors import NotemillError
from pretrain.checkpoint.info import MARKER, CheckpointInfo

FILE = "checksums.json"
_THREADS = 4
"""Hashing leaves Python's lock, so that it goes on beside training; more would take the loader's cores."""


def write_checksums(checkpoint: Path) -> str:
    """Hash every file that is there; returns the SHA-256 of the list."""
    names = _files_in(checkpoint)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="checksums") as pool:
        hashes = list(pool.map(lambda name: sha256_file(checkpoint / name), names))
    listed = {
        name: {"bytes": (checkpoint / name).stat().st_size, "sha256": found}
        for name, found in zip(names, hashes, strict=True)
    }
    write_json(checkpoint / FILE, listed)
    return sha256_file(checkpoint / FILE)


def damage_in(checkpoint: Path, info: CheckpointInfo, share: int = 0, shares: int = 1) -> str | None:
    """What is wrong with one of `shares` equal parts of the files, None when nothing is.

    A checkpoint from before there were checksums passes.
    """
    if info.checksums_sha256 is None:
        return None
    path = checkpoint / FILE
    if not path.is_file():
        return f"{FILE} is missing"
    if sha256_file(path) != info.checksums_sha256:
        return f"{FILE} is damaged"
    listed = read_json(path, "list of checksums")
    unlisted = sorted(set(_files_in(checkpoint)) - set(listed))
    if unlisted:
        return f"{unlisted[0]} does not belong to it"
    problems = (_damage_of(checkpoint / name, name, **listed[name]) for name in sorted(listed)[share::shares])
    return next((problem for problem in problems if problem), None)


def require_undamaged(checkpoint: Path, info: CheckpointInfo) -> None:
    """Raise NotemillError that names the damaged file. Comes before anything of the checkpoint is unpickled."""
    problem = damage_in(checkpoint, info)
    if problem:
        raise NotemillError(f"{checkpoint} is damaged ({problem}); use another checkpoint of the run.")


def _damage_of(path: Path, name: str, *, bytes: int, sha256: str) -> str | None:
    try:
        size = path.stat().st_size
        if size != bytes:
            return f"{name} has {size} bytes and had {bytes}"
        return None if sha256_file(path) == sha256 else f"{name} differs from its checksum"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _files_in(checkpoint: Path) -> list[str]:
    files = (path for path in checkpoint.rglob("*") if path.is_file())
    names = (path.relative_to(checkpoint).as_posix() for path in files)
    return sorted(name for name in names if name not in (FILE, MARKER))
