"""CPU time and memory of a process by stage, from outside: nothing is added to the code that is measured.

A timer that counts the process's CPU time interrupts it; what was used since the last time goes to the stage of the
code that runs then. A stage is a set of places in the code, and of several in one stack the first in the list is
meant: so a reader that is pulled by a filter that is pulled by a writer is read as a reader.
"""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

OTHER = "other"
_INTERVAL_S = 0.004
_PAGE_MB = 4096 / 1e6


@dataclass(frozen=True)
class Stage:
    """Code that belongs together."""

    name: str
    places: tuple[str, ...]
    """Parts of a path, as `/data_pipeline/gate/`, or a path's end with a function, as `/exact.py:first_of_each`."""
    is_shared_out: bool = False
    """Whether workers share it, each with pieces of its own; else one process does it."""


@dataclass
class StageUse:
    """What one stage took."""

    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    """Resident memory of the process while it was in the stage."""


@dataclass
class StageClock:
    """What the stages have taken so far."""

    stages: Sequence[Stage]
    use: dict[str, StageUse] = field(default_factory=dict)
    _known: dict[CodeType, int] = field(default_factory=dict, repr=False)
    _last: float = 0.0

    def stage_of(self, frame: FrameType | None) -> str:
        """The first stage of the list that any frame of the stack belongs to, or OTHER."""
        first = len(self.stages)
        while frame is not None:
            code = frame.f_code
            found = self._known.get(code)
            if found is None:
                found = self._known[code] = self._place_of(code)
            first = min(first, found)
            frame = frame.f_back
        return self.stages[first].name if first < len(self.stages) else OTHER

    def tick(self, frame: FrameType | None) -> None:
        """Give the CPU time since the last tick to the stage of `frame`."""
        now = time.process_time()
        use = self.use.setdefault(self.stage_of(frame), StageUse())
        use.cpu_seconds += now - self._last
        use.peak_mb = max(use.peak_mb, _resident_mb())
        self._last = now

    def _place_of(self, code: CodeType) -> int:
        numbers = (number for number, stage in enumerate(self.stages) if any(_is_in(code, p) for p in stage.places))
        return next(numbers, len(self.stages))


@contextmanager
def sampled(stages: Sequence[Stage]) -> Iterator[StageClock]:
    """A clock that runs while the block does, in the main thread of this process; other processes are not seen."""
    clock = StageClock(stages)
    # What the process used before, its own start among it, is seen here for the first time.
    clock.use[OTHER] = StageUse(time.process_time(), _resident_mb())
    clock._last = time.process_time()
    signal.signal(signal.SIGPROF, lambda _, frame: clock.tick(frame))
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
    try:
        yield clock
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        clock.tick(sys._getframe())


def _is_in(code: CodeType, place: str) -> bool:
    path, _, function = place.partition(":")
    if not function:
        return path in code.co_filename
    return code.co_filename.endswith(path) and code.co_qualname.split(".")[0] == function


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB
