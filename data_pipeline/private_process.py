"""What a process that holds note text must not do: leave its memory in a core file, or its values in a traceback."""

import ctypes
import faulthandler
import resource
import sys
import traceback
from pathlib import Path

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """No core file of this process or its children, and no fault handler that someone's settings turned on.

    The second call matters where the kernel pipes cores to a program: that ignores the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    faulthandler.disable()


def without_values(error: BaseException) -> str:
    """An unexpected error as its type and place; its message may quote a note, so it is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames[-6:]]
    return f"{type(error).__name__} at {' < '.join(reversed(places)) or 'an unknown place'}"
