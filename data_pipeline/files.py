"""Files that a crash cannot leave half written and that only their owner can read.

Every output of every stage goes through `atomic_write`: temporary name, fsync, rename. A file under its final name is
therefore complete. Files that may hold text are 0600 and folders 0700.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launch.errors import NotemillError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
LOCK_NAME = ".lock"
_RETRY_S = 0.05
_TEMPORARY_SUFFIX = ".partial"
_OLD_SUFFIX = ".old"
_BESIDE = re.compile(rf"\.(.+?)(?:(?:\{_OLD_SUFFIX})?\{_TEMPORARY_SUFFIX}|\{LOCK_NAME})")
"""What lies beside NAME while it is written: .NAME.partial, .NAME.old.partial, .NAME.lock."""


def make_private_folder(path: Path) -> Path:
    """Create `path` and its parents; `path` itself is made 0700, unless other things lie in it already.

    Raises NotemillError when it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        # A folder that others use, such as /tmp, stays as it is: what is written there is 0600 by itself.
        if not any(path.iterdir()):
            path.chmod(PRIVATE_FOLDER)
    except FileExistsError:
        what = "a link that leads nowhere" if path.is_symlink() else "a file"
        raise NotemillError(f"{path} is {what}, and a folder is to be made there; name another.") from None
    except OSError as error:
        raise NotemillError(f"cannot make the folder {path}: {error.strerror}.") from None
    return path


def make_own_folder(path: Path, names: re.Pattern[str], what: str) -> Path:
    """`make_private_folder` for a stage's output, whose files match `names`.

    Raises NotemillError, and changes nothing, where anything else lies in it; `what` it should hold is for the message.
    """
    if path.exists() and not path.is_dir():
        raise NotemillError(f"--out {path} is a file; name a folder.")
    if others_in(path, names):
        raise NotemillError(f"{path} is not empty and holds no {what}; name another folder with --out.")
    make_private_folder(path).chmod(PRIVATE_FOLDER)
    return path


def others_in(path: Path, names: re.Pattern[str]) -> list[str]:
    """What lies in the folder `path`, which may be missing, beside `names`, unfinished files of them and locks."""
    try:
        return sorted(entry.name for entry in path.iterdir() if not _is_ours(entry.name, names))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotemillError(f"cannot read the folder {path}: {error.strerror}.") from None


def _is_ours(name: str, names: re.Pattern[str]) -> bool:
    beside = _BESIDE.fullmatch(name)
    return name == LOCK_NAME or names.fullmatch(beside[1] if beside else name) is not None


@contextlib.contextmanager
def only_writer(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold `folder`, which exists, against any other process that would write it; freed however this process ends.

    Raises NotemillError when it is held, after `patience_s` seconds of waiting for it. Where the file system knows no
    locks there is none.
    """
    with _held(folder / LOCK_NAME, folder, patience_s):
        yield


@contextlib.contextmanager
def only_maker(out: Path) -> Iterator[None]:
    """`only_writer` for a folder that is made in one go and may not be there yet; the lock lies beside it."""
    whole = out.resolve()
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotemillError(f"cannot make the folder {whole.parent}: {error.strerror}.") from None
    with _held(whole.with_name(f".{whole.name}{LOCK_NAME}"), out, 0.0):
        yield


@contextlib.contextmanager
def _held(path: Path, what: Path, patience_s: float) -> Iterator[None]:
    give_up = time.monotonic() + patience_s
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() < give_up:
                time.sleep(_RETRY_S)
                continue
            raise NotemillError(f"another process is writing {what}; wait for it or name another folder.") from None
        except OSError:
            break
        # The holder before may have removed the file between our opening and our locking of it.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it is fsynced, made 0600 and renamed to `path`."""
    temporary = path.with_name(f".{path.name}{_TEMPORARY_SUFFIX}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, PRIVATE_FILE))
        yield temporary
        temporary.chmod(PRIVATE_FILE)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        fsync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require_new(out: Path) -> None:
    """Raise NotemillError where `out` is neither new nor an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NotemillError(f"{out} is there already and not empty; choose another --out.")


@contextlib.contextmanager
def whole_folder(out: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `out`; on success it is on disk, only its owner's, and `out` from then on.

    What `out` held goes then where it `replaces` it; otherwise NotemillError. Nothing is left of one that fails.
    """
    if not replaces:
        require_new(out)
    with only_maker(out):
        temporary = out.with_name(f".{out.name}{_TEMPORARY_SUFFIX}")
        old = out.with_name(f".{out.name}{_OLD_SUFFIX}{_TEMPORARY_SUFFIX}")
        if replaces and old.is_dir() and not out.exists():
            old.rename(out)  # A kill came between the two names.
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            make_private_folder(temporary)
            yield temporary
            for path in (*temporary.rglob("*"), temporary):
                path.chmod(PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE)
                fsync(path)
            if replaces and out.is_dir():
                shutil.rmtree(old, ignore_errors=True)
                out.rename(old)
            require_new(out)  # It may have been long.
            if out.is_dir():
                out.rmdir()
            temporary.rename(out)
            fsync(out.parent)
            if replaces:
                shutil.rmtree(old, ignore_errors=True)
        finally:
            if replaces and old.is_dir() and not out.exists():
                old.rename(out)
            shutil.rmtree(temporary, ignore_errors=True)


def require_private(path: Path, what: str) -> None:
    """Raise NotemillError where others than the owner may read a secret; `what` names it, as in "password file".

    OSError where it is not there.
    """
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise NotemillError(
            f"the {what} {path} has mode {mode:o} and others can read it; run chmod {PRIVATE_FILE:o} on it."
        )


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically; equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, what: str, remedy: str = "build it again") -> Any:
    """Read JSON; `what` names the file in the error, as in "corpus manifest". Raises NotemillError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotemillError(f"no {what} at {path}; check the folder's name.") from None
    except OSError as error:
        raise NotemillError(f"cannot read the {what} {path}: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise NotemillError(f"the {what} {path} is not valid JSON; {remedy}.") from None


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON: sorted keys, no spaces."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
