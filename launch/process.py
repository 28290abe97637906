"""What every process of notemill does first, whether the command line or torchrun started it."""

import os

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
