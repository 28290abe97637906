"""What to do with a step whose loss is not finite or spikes: leave it out, go back, or give up.

    a bad step                    its gradients are thrown away and its rows are recorded
    `skip_limit` of them in a row the run goes back to the newest checkpoint from before them and leaves their rows out
    more than `rollback_limit`    the run ends

Everything follows from the losses and the state, which is saved with each checkpoint: a run that is resumed decides as
one that was not. No rank communicates here, as all see the same losses.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import orjson

from data_pipeline.files import write_text
from pretrain.config import TrainConfig

FILE = "skipped.jsonl"


@dataclass(frozen=True)
class Skip:
    """A step that changed nothing, a line of RUN/skipped.jsonl."""

    step: int
    """Counted as in metrics.jsonl: the first step is 1."""
    rows: list[list[int]]
    """The rows of the run's sequence that it took, as [first, last] of each unbroken stretch."""
    loss: float | None
    """None where it is not finite."""
    reason: str


@dataclass
class GuardState:
    """What is saved."""

    skips: list[Skip] = field(default_factory=list)
    """All of the run, also those it has gone back over."""
    in_a_row: int = 0
    rollbacks: int = 0
    recent: list[float] = field(default_factory=list)
    """Losses of the last steps that counted, for spikes."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "GuardState":
        return cls(**found | {"skips": [Skip(**skip) for skip in found["skips"]]})


class Guard:
    """Judges the steps of one run."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self.state = GuardState()

    @property
    def skipped_rows(self) -> list[tuple[int, int]]:
        """[first, last] of every stretch of rows that the run leaves out from now on, in order."""
        return sorted((first, last) for skip in self.state.skips for first, last in skip.rows)

    @property
    def wants_rollback(self) -> bool:
        return self.state.in_a_row >= self._config.skip_limit

    @property
    def is_exhausted(self) -> bool:
        """Whether going back once more is not worth it."""
        return self.state.rollbacks >= self._config.rollback_limit

    @property
    def first_bad_step(self) -> int:
        """The step with which the present series of bad ones began."""
        return self.state.skips[-self.state.in_a_row].step

    def fault_in(self, loss: float) -> str | None:
        """Why the step with this loss is to be left out, None when it is not."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        recent, deviations = self.state.recent, self._config.spike_deviations
        if deviations and len(recent) == self._config.spike_window:
            limit = fmean(recent) + deviations * pstdev(recent)
            if loss > limit:
                return f"the loss {loss:.4f} is above {limit:.4f}"
        return None

    def passed(self, loss: float) -> None:
        """Record a step that counted."""
        self.state.in_a_row = 0
        if self._config.spike_deviations:
            self.state.recent = [*self.state.recent, loss][-self._config.spike_window :]

    def skipped(self, step: int, rows: list[int], loss: float, reason: str) -> None:
        """Record a step that was left out."""
        self.state.in_a_row += 1
        told = loss if math.isfinite(loss) else None
        self.state.skips.append(Skip(step, stretches(rows), told, reason))

    def resume(self, saved: dict[str, Any] | None, *, same_rows: bool) -> None:
        """Go on from a checkpoint; `same_rows` says whether the numbers of its rows mean the same rows now."""
        self.state = GuardState.from_json(saved) if saved else GuardState()
        if not same_rows:
            self.state = GuardState(skips=[replace(skip, rows=[]) for skip in self.state.skips])

    def go_back_to(self, saved: dict[str, Any] | None) -> None:
        """Judge on as at that checkpoint, but remember what has been skipped since."""
        before = GuardState.from_json(saved) if saved else GuardState()
        self.state = GuardState(self.state.skips, 0, self.state.rollbacks + 1, before.recent)

    def write(self, run_dir: Path) -> None:
        """Bring RUN/skipped.jsonl up to date."""
        lines = [orjson.dumps(asdict(skip)).decode() + "\n" for skip in self.state.skips]
        if lines or (run_dir / FILE).exists():
            write_text(run_dir / FILE, "".join(lines))


def next_rows(rows_seen: int, count: int, skipped: list[tuple[int, int]]) -> list[int]:
    """The `count` rows that come after the first `rows_seen`, without those in the [first, last] of `skipped`.

    The next step begins one after the last of them.
    """
    rows: list[int] = []
    position = rows_seen
    for first, last in skipped:
        end = min(first, position + count - len(rows))
        rows += range(position, end)
        if first > end or len(rows) == count:
            return rows
        position = max(position, last + 1)
    return rows + list(range(position, position + count - len(rows)))


def stretches(rows: list[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of each unbroken stretch."""
    found: list[list[int]] = []
    for row in rows:
        if found and found[-1][1] == row - 1:
            found[-1][1] = row
        else:
            found.append([row, row])
    return found
