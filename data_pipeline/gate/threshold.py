"""When so many notes are held back that something is wrong with the whole: the wrong roster, a blind detector.

Judged by piece, the run of input rows that a worker takes, because a fault sits in one source or one batch of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from data_pipeline.config import GateConfig

_MAX_NAMED = 10


class PieceLeaks(TypedDict):
    """Notes of one piece that reached the verifier, and how many it held back."""

    piece: str
    source: str
    notes: int
    held: int


class ThresholdEntry(TypedDict):
    """What the attestation says of the limit and how near the worst piece came to it."""

    max_share: float
    always_allowed: int
    pieces: int
    worst_share: float
    """The largest share of a piece that held back more than `always_allowed` notes, else of the whole corpus."""


@dataclass(frozen=True)
class Verdict:
    """The limit, and the pieces that broke it, worst first."""

    entry: ThresholdEntry
    failed: list[PieceLeaks]

    def sentence(self) -> str:
        """What broke the limit, for a user."""
        named = "; ".join(
            f"{item['piece']} of {item['source']}: {item['held']} of {item['notes']}"
            for item in self.failed[:_MAX_NAMED]
        )
        more = f" and {len(self.failed) - _MAX_NAMED} more" if len(self.failed) > _MAX_NAMED else ""
        return (
            f"the gate held back more than {self.entry['max_share']:.0%} of the notes in {len(self.failed)} of "
            f"{self.entry['pieces']} pieces ({named}{more})"
        )


def judge(pieces: Iterable[PieceLeaks], config: GateConfig) -> Verdict:
    """Hold every piece against `gate.max_held_share`."""
    num_pieces = notes = held = 0
    worst: float | None = None
    failed: list[PieceLeaks] = []
    for item in pieces:
        num_pieces, notes, held = num_pieces + 1, notes + item["notes"], held + item["held"]
        if item["held"] > config.always_allowed:
            worst = max(worst or 0.0, _share(item))
            if _share(item) > config.max_held_share:
                failed.append(item)
    overall = held / notes if notes else 0.0
    entry = ThresholdEntry(
        max_share=config.max_held_share,
        always_allowed=config.always_allowed,
        pieces=num_pieces,
        worst_share=round(overall if worst is None else worst, 6),
    )
    return Verdict(entry, sorted(failed, key=_share, reverse=True))


def _share(item: PieceLeaks) -> float:
    return item["held"] / item["notes"] if item["notes"] else 0.0
