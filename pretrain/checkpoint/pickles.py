"""Reads what is pickled in a checkpoint without running what it might hold.

common.pt, shards   torch.load with weights_only: tensors and plain values
others' .pt files   the same; what else they name becomes an empty `_Inert`
.metadata           torch's index of shards, which torch unpickles without a safe form: its names are looked at before
"""

import argparse
import contextlib
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from launch.errors import NotemillError

_ALLOWED = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.planner": {"SavePlan", "TensorWriteData", "WriteItem", "WriteItemType"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo", "_StoragePrefix"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"} | {name for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    "pathlib": {"Path", "PosixPath"},
    "collections": {"OrderedDict"},
}


@contextlib.contextmanager
def weights_only() -> Iterator[None]:
    """Inside, torch.load takes tensors and plain values only, whatever torch and megatron-core ask it for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Inert:
    """Stands for any class or function that a file names: takes what it is given and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


_UNSUPPORTED = re.compile(r"GLOBAL (\S+) was not an allowed global")


def load_plain(path: Path) -> Any:
    """Tensors and plain values of a torch file that others wrote, with argparse's namespaces; nothing in it is run.

    Raises NotemillError where it cannot be read so.
    """
    allowed: list[Any] = [argparse.Namespace]
    while True:
        try:
            with torch.serialization.safe_globals(allowed):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
        except Exception as error:  # Of a damaged file torch's is a RuntimeError, EOFError, ValueError, …
            found = _UNSUPPORTED.search(str(error))
            # Torch itself says which name it does not know; once it has a stand-in, it asks for the next.
            if found is None or (_Inert, found[1]) in allowed:
                # Torch's advice stands before what it found.
                reason = " ".join(str(error).rpartition("WeightsUnpickler error:")[2].split())[:200].rstrip(".")
                raise NotemillError(
                    f"{path} cannot be read as plain tensors ({type(error).__name__}: {reason}); download it again."
                ) from None
            allowed.append((_Inert, found[1]))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def require_harmless_index(path: Path) -> None:
    """Raise NotemillError when a `.metadata` names anything but what such an index is made of, or cannot be read."""
    try:
        with path.open("rb") as stream:
            _Looker(stream).load()
    except NotemillError as error:
        raise NotemillError(f"{path} {error}") from None
    except Exception as error:  # What a damaged pickle raises is for pickle to say.
        raise NotemillError(f"{path} cannot be read ({type(error).__name__}); use another checkpoint.") from None


class _Looker(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _ALLOWED.get(module, ()):
            raise NotemillError(
                f"names {module}.{name}, which no index of weights holds; it is not loaded, as it may run any program."
            )
        return super().find_class(module, name)
