"""What every process of notemill does first, whether the command line or torchrun started it."""

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_OFFLINE = (
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
)

inherited_umask: int | None = None
"""What the process was started with, where `prepare_process` was called."""


def prepare_process() -> None:
    """Hubs and telemetry off unless the user set them otherwise; new files are their owner's only."""
    for name in _OFFLINE:
        os.environ.setdefault(name, "1")
    global inherited_umask
    before = os.umask(0o077)
    inherited_umask = before if inherited_umask is None else inherited_umask


def ranks_environment() -> dict[str, str]:
    """What torchrun's processes are to be started with: a folder in which the user happens to be, with an `eval` of its
    own, must not come before ours. A checkout that is not installed is found in no other way."""
    return {} if Path.cwd() == Path(__file__).parents[1] else {"PYTHONSAFEPATH": "1"}


def end_with_parent() -> None:
    """Let the kernel send SIGTERM when the process that started this one is gone, kill -9 and all; on Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


_PR_SET_PDEATHSIG = 1
