"""RUN/ranks.json: where every rank is and how fast, written anew every few seconds while a run lives.

It comes from what the ranks tell the watchdog anyway. A thread of its own writes it, because the watchdog must not wait
for a file system.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import orjson

from data_pipeline.files import PRIVATE_FILE
from launch.console import say

FILE = "ranks.json"
INTERVAL_S = 5.0
SLOW_RATIO = 1.3
"""A host that takes so many times as long as the others is named."""
_SETTLED_STEPS = 10
"""Steps of a start that tell nothing yet."""
_REPORTS_TO_NAME, _REPORTS_TO_FORGET = 3, 12
"""In a row: one that is slow for a moment is not named, and one that is named is so for a while."""


@dataclass(frozen=True)
class RankReport:
    """One rank."""

    rank: int
    host: str
    step: int
    phase: str
    idle_seconds: float
    """Since it last went from one phase to the next."""
    stage: int
    """Of the pipeline; other stages have other layers, so only ranks of one stage are compared."""
    forward_seconds: float | None
    """Of a micro-batch, a running mean; see `pretrain.pace`."""


@dataclass(frozen=True)
class RanksReport:
    """ranks.json."""

    written_at: float
    """Seconds since 1970."""
    step: int
    has_ended: bool
    """Written when the run ended, however it did but by a kill."""
    slow_hosts: dict[str, float]
    """How many times as long as the others a host takes, worst first."""
    ranks: list[RankReport]


def slow_hosts(ranks: Sequence[RankReport]) -> dict[str, float]:
    """Hosts whose ranks take `SLOW_RATIO` times as long as those of the other hosts, or longer.

    A host's ranks of a pipeline stage are taken by their median and compared with the median over other hosts' ranks.
    """
    found: dict[str, float] = {}
    timed = [rank for rank in ranks if rank.forward_seconds is not None]
    for host, stage in sorted({(rank.host, rank.stage) for rank in timed}):
        of_stage = [rank for rank in timed if rank.stage == stage]
        own = [rank.forward_seconds or 0.0 for rank in of_stage if rank.host == host]
        others = [rank.forward_seconds or 0.0 for rank in of_stage if rank.host != host]
        if others and median(others) > 0 and (ratio := median(own) / median(others)) >= SLOW_RATIO:
            found[host] = max(ratio, found.get(host, 0.0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def read_report(run_dir: Path) -> RanksReport | None:
    """What a run last told; None where it told nothing that can be read."""
    try:
        found = orjson.loads((run_dir / FILE).read_bytes())
        return RanksReport(**found | {"ranks": [RankReport(**rank) for rank in found["ranks"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


@dataclass
class _Suspect:
    """A host that was slow."""

    slow: int = 0
    """Reports in a row."""
    fast: int = 0
    """The same, since."""
    ratio: float = 1.0
    is_named: bool = False


class Reporter:
    """Writes the report of a run; only the main rank has one."""

    def __init__(self, run_dir: Path, ask: Callable[[], list[RankReport]], first_step: int) -> None:
        """`ask` gives the ranks as they are now, without waiting for anyone."""
        self._run_dir, self._ask, self._first_step = run_dir, ask, first_step
        self._suspects: dict[str, _Suspect] = {}
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._write_again_and_again, name="ranks report", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The run ends."""
        self._has_ended.set()
        self._thread.join(timeout=INTERVAL_S)
        self._write(has_ended=True)

    def _write_again_and_again(self) -> None:
        self._write(has_ended=False)
        while not self._has_ended.wait(INTERVAL_S):
            self._write(has_ended=False)

    def _write(self, *, has_ended: bool) -> None:
        ranks = self._ask()
        step = max((rank.step for rank in ranks), default=0)
        slow = self._lasting(slow_hosts(ranks) if step >= self._first_step + _SETTLED_STEPS else {})
        report = RanksReport(time.time(), step, has_ended, slow, ranks)
        temporary = self._run_dir / f".{FILE}.partial"
        # Not worth an fsync, nor the end of a run.
        try:
            temporary.write_bytes(orjson.dumps(asdict(report)))
            temporary.chmod(PRIVATE_FILE)
            temporary.replace(self._run_dir / FILE)
        except OSError:
            return

    def _lasting(self, slow: dict[str, float]) -> dict[str, float]:
        """Those that have been slow for some reports; says so when one becomes it and when it is over."""
        for host in slow.keys() | self._suspects.keys():
            suspect = self._suspects.setdefault(host, _Suspect())
            suspect.slow, suspect.fast = (suspect.slow + 1, 0) if host in slow else (0, suspect.fast + 1)
            suspect.ratio = slow.get(host, suspect.ratio)
            if not suspect.is_named and suspect.slow >= _REPORTS_TO_NAME:
                suspect.is_named = True
                say(f"{host} takes {suspect.ratio:.2f} times as long as the other hosts; all wait for it.")
            elif suspect.is_named and suspect.fast >= _REPORTS_TO_FORGET:
                suspect.is_named = False
                say(f"{host} is as fast as the other hosts again.")
        return {host: suspect.ratio for host, suspect in self._suspects.items() if suspect.is_named}
