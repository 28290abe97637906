"""Ends all ranks when one hangs or dies, and says which one it was.

The main thread of each rank calls `at` wherever it passes from one phase to the next. A thread of each rank tells the
rendezvous store every two seconds how far that is; rank 0's thread reads what all have told and gives a verdict, which
the others look for. Nobody asks a file system or a collective, which may be what hangs.

A rank whose thread is silent has died or was stopped. Where all threads speak, the culprit is the rank that has come
least far: the others wait for it in a collective. When even the store does not answer, a timer in C ends the process.
"""

import faulthandler
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch.distributed as dist

from pretrain.parallel.distributed import host_name
from pretrain.ranks_report import RankReport

EXIT_STATUS = 3
"""Of every rank, when one has hung or died."""
_VERDICT, _ALARM = "verdict", "alarm"
_BEATS_TO_BE_SILENT = 3


@dataclass(frozen=True)
class Position:
    """Where a rank is."""

    host: str
    phases: int
    """Phases it has gone through."""
    step: int
    """Steps it has done."""
    phase: str


@dataclass
class _Seen:
    """What is known of a rank."""

    beat: int
    position: Position
    spoke_at: float
    moved_at: float
    stage: int = 0
    forward_seconds: float | None = None


class Watchdog:
    """One rank's part."""

    def __init__(self, store: dist.Store, rank: int, world_size: int, timeout_s: float, stage: int = 0) -> None:
        """`store` is a connection of its own, so that no collective blocks it; `stage` is told to the others."""
        self._store, self._rank, self._world_size, self._timeout_s = store, rank, world_size, timeout_s
        self._interval_s = min(2.0, timeout_s / 10)
        self._beat = 1
        self._position = Position(host_name(), 0, 0, "start")
        self._stage = stage
        self.forward_seconds: float | None = None
        """How long this rank takes for a forward pass, to be told to the others with the next beat."""
        self._has_alarm, self._has_store = False, True
        # Rank 0 is watched by all, as its end may be the end of the store, and all are watched by rank 0.
        now, unknown = time.monotonic(), Position("an unknown host", 0, 0, "start")
        self._watched = range(world_size if rank == 0 else 1)
        self._seen = {watched: _Seen(0, unknown, now, now) for watched in self._watched}
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._try(self._tell)
        self._thread.start()

    def stop(self) -> None:
        """This rank has ended in good order."""
        self._has_ended.set()
        self._thread.join(timeout=self._interval_s)
        faulthandler.cancel_dump_traceback_later()

    def at(self, step: int, phase: str) -> None:
        """The main thread has done `step` steps and goes into `phase`; all ranks go through the same phases."""
        self._position = Position(self._position.host, self._position.phases + 1, step, phase)

    def blame(self, error: Exception) -> None:
        """Where `error` says that a peer is gone, wait until the rank that has died is named, which ends this one.

        Returns when there is none, or when the error is this rank's own.
        """
        if self._world_size > 1 and _is_of_a_peer(error):
            self._has_alarm = True
            self._try(lambda: self._store.set(_ALARM, "1"))
            time.sleep((_BEATS_TO_BE_SILENT + 3) * self._interval_s)

    def ranks(self) -> list[RankReport]:
        """Where the watched ranks were at their last beat, which are all of them on rank 0."""
        now = time.monotonic()
        return [
            RankReport(
                rank,
                seen.position.host,
                seen.position.step,
                seen.position.phase,
                round(now - seen.moved_at, 1),
                seen.stage,
                seen.forward_seconds,
            )
            for rank, seen in sorted(self._seen.items())
        ]

    def _watch(self) -> None:
        while not self._has_ended.wait(self._interval_s):
            # Set anew at every turn, so it fires only when this thread itself is stuck.
            faulthandler.dump_traceback_later(2 * self._timeout_s, exit=True)
            self._beat += 1
            self._try(self._tell_and_listen)
            self._judge()

    def _tell(self) -> None:
        told = json.dumps(
            {
                "beat": self._beat,
                "position": asdict(self._position),
                "stage": self._stage,
                "forward_seconds": self.forward_seconds,
            }
        )
        self._store.set(f"beat/{self._rank}", told)

    def _tell_and_listen(self) -> None:
        self._tell()
        if self._store.check([_VERDICT]):
            self._end(json.loads(self._store.get(_VERDICT)))
        ranks = [rank for rank in self._watched if self._store.check([f"beat/{rank}"])]
        for rank, found in zip(ranks, self._store.multi_get([f"beat/{rank}" for rank in ranks]), strict=True):
            self._note(rank, json.loads(found))

    def _note(self, rank: int, told: dict[str, Any]) -> None:
        now, position, before = time.monotonic(), Position(**told["position"]), self._seen[rank]
        spoke_at = before.spoke_at if before.beat == told["beat"] else now
        moved_at = before.moved_at if before.position == position else now
        self._seen[rank] = _Seen(told["beat"], position, spoke_at, moved_at, told["stage"], told["forward_seconds"])

    def _judge(self) -> None:
        now = time.monotonic()
        self._has_alarm = self._has_alarm or bool(self._try(lambda: self._store.check([_ALARM])))
        is_stuck = self._rank == 0 and now - min(seen.moved_at for seen in self._seen.values()) > self._timeout_s
        # Where something is known to be wrong, a few beats that are missing tell which rank it is.
        few_beats_s = min(_BEATS_TO_BE_SILENT * self._interval_s, self._timeout_s)
        patience_s = few_beats_s if is_stuck or self._has_alarm else self._timeout_s
        first_silent = min(self._seen, key=lambda rank: self._seen[rank].spoke_at)
        if now - self._seen[first_silent].spoke_at > patience_s:
            self._condemn(first_silent, "has died or was stopped")
        elif is_stuck:
            phases = {rank: seen.position.phases for rank, seen in self._seen.items()}
            least = min(phases, key=lambda rank: phases[rank])
            is_alone = list(phases.values()).count(phases[least]) == 1
            self._condemn(least, "hangs" if is_alone else "and others hang at the same place")

    def _condemn(self, rank: int, what: str) -> None:
        verdict = {"rank": rank, "what": what, "position": asdict(self._seen[rank].position)}
        self._try(lambda: self._store.set(_VERDICT, json.dumps(verdict)))
        self._end(verdict)

    def _end(self, verdict: dict[str, Any]) -> None:
        rank, position = verdict["rank"], Position(**verdict["position"])
        print(
            f"notemill train: rank {rank} on {position.host} {verdict['what']} after step {position.step}, in phase "
            f"{position.phase}; rank {self._rank} ends too: the same command goes on from the last checkpoint.",
            file=sys.stderr,
            flush=True,
        )
        if self._rank == rank:
            # Names of files and functions only, never what variables hold.
            faulthandler.dump_traceback(all_threads=True)
        if self._rank == 0:
            # The store may be in this process, and the others have yet to read the verdict.
            time.sleep(3 * self._interval_s)
        os._exit(EXIT_STATUS)

    def _try(self, ask: Any) -> Any:
        """A store that is gone leaves rank 0, in whose process or on whose host it is, silent."""
        try:
            return ask() if self._has_store else None
        except (RuntimeError, OSError):
            self._has_store = False
            return None


def _is_of_a_peer(error: Exception) -> bool:
    told = str(error).lower()
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and ("gloo" in told or "nccl" in told))
