"""Where bytes of an input lie: a local path or any address that fsspec opens, shown without its password.

Local files never go through fsspec. Addresses are `memory://`, `s3://`, `https://`, `sftp://`, `zip://*.txt::notes.zip`
and whatever else is installed; fsspec takes credentials from its own configuration. What cannot be read raises
NotemillError with the name of the failure alone: a remote library's message may quote a signed address.
"""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from launch.errors import NotemillError
from launch.specs import without_secrets

GLOB_SIGNS = "*?["


@dataclass(frozen=True, repr=False)
class Location:
    """One file, folder or database."""

    shown: str
    """For messages and manifests."""
    address: str
    """What opens it: a local path, a path in `filesystem`, or a database's address. It may hold a password."""
    filesystem: Any = None
    """The fsspec file system of a remote file."""

    def __str__(self) -> str:
        return self.shown

    __repr__ = __str__

    @property
    def name(self) -> str:
        """The last part of the path in lower case, without what an http address asks for."""
        path = self.address.partition("?")[0] if "://" in self.address else self.address
        return PurePosixPath(path).name.lower()

    @property
    def identity(self) -> str:
        """Equal for two ways to write one local path."""
        return str(Path(self.address).resolve()) if self.filesystem is None else self.shown + "\0" + self.address

    def stamp(self) -> str:
        """Changes when a local file is written to; empty for a remote one."""
        if self.filesystem is not None:
            return ""
        with translated(self):
            found = Path(self.address).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes from the start, seekable where the file system allows it."""
        with translated(self):
            if self.filesystem is None:
                stream = Path(self.address).open("rb")  # noqa: SIM115
            else:
                stream = self.filesystem.open(self.address, mode="rb")
        with stream:
            yield stream


def local(path: Path) -> Location:
    """The location of a local file."""
    return Location(str(path), str(path))


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Turns what a file system raises into one sentence."""
    try:
        yield
    except (NotemillError, GeneratorExit, EOFError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotemillError(f"cannot read the input {location}: {reason}.") from None
    except Exception as error:
        if location.filesystem is None:
            raise
        raise NotemillError(f"cannot read the input {location}: {type(error).__name__}.") from None


def find(path: str) -> tuple[list[Location], bool]:
    """The file at `path`, or the files below a folder or of a glob, sorted; and whether `path` was one file itself.

    Files and folders whose name begins with a dot or an underscore, as Spark's `_SUCCESS`, are no members. Raises
    NotemillError when nothing is there.
    """
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    return _find_remote(path) if "://" in path else _find_local(path)


def _find_local(text: str) -> tuple[list[Location], bool]:
    path = Path(text).expanduser()
    if path.is_dir():
        return [local(file) for file in _files_below(path)], False
    if path.exists():
        return [local(path)], True
    if any(sign in text for sign in GLOB_SIGNS):
        found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        files = [file for match in found for file in (_files_below(match) if match.is_dir() else [match])]
        if files:
            # `**` finds a folder and also what is in it.
            return [local(file) for file in dict.fromkeys(files)], False
    raise NotemillError(f"no input at {path}; check the path.")


def _files_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [Path(parent, name) for name in files if not name.startswith((".", "_"))]
    return sorted(found)


def _find_remote(url: str) -> tuple[list[Location], bool]:
    import fsspec

    shown = without_secrets(url)
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise NotemillError(f"{shown} needs a package that is not installed: {error}.") from None
    except Exception as error:
        raise NotemillError(f"cannot open {shown}: {type(error).__name__}; check the address.") from None
    location = Location(shown, path, filesystem)
    with translated(location):
        # A web address may hold a ? of its own.
        is_glob = any(sign in path.partition("?")[0] for sign in GLOB_SIGNS) or "*" in path
        if is_glob:
            members = sorted(str(match) for match in filesystem.glob(path))
            members = [member for member in members if not filesystem.isdir(member)]
        elif filesystem.isfile(path):
            return [location], True
        else:
            members = sorted(str(member) for member in filesystem.find(path))
    members = [member for member in members if not _is_hidden(member.removeprefix(path))]
    if not members:
        raise NotemillError(f"no input at {shown}; check the address.")
    return [Location(_member_shown(url, filesystem, member), member, filesystem) for member in members], False


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(relative).parts)


def _member_shown(url: str, filesystem: Any, member: str) -> str:
    head, chained, rest = url.partition("::")
    if chained:
        return without_secrets(f"{head.partition('://')[0]}://{member}::{rest}")
    return without_secrets(str(filesystem.unstrip_protocol(member)))
