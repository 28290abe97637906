"""Everything that decides what a corpus contains. Worker counts and paths are not here: they change no byte."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from data_pipeline.files import sha256_json


@dataclass(frozen=True)
class JsonlColumns:
    """Which keys of a JSON line hold what; unset ones are looked for under their usual names."""

    id: str | None = None
    """Key of the note's id; else id, note_id, row_id; else the line number."""
    text: str | None = None
    """Key of the text; else text, note_text, content."""
    patient: str | None = None
    """Key of the patient; else patient_id, subject_id, person_id, patient; else the note's id stands for a patient."""
    type: str | None = None
    """Key of the note's type; else note_type, type, category."""
    source: str | None = None
    """Key whose value becomes the source column; unset means the name of the input."""


@dataclass(frozen=True)
class DeidConfig:
    """De-identification by patterns and, with a roster, by the patients' own identifiers."""

    roster_names: Literal["every", "own"] = "every"
    """Where a single first or last name of the roster is replaced: in every note, or only in notes of that patient.
    Full names, numbers and addresses are replaced everywhere. Take 'own' for rosters beyond some thousand patients,
    whose surnames cover much of the dictionary."""


@dataclass(frozen=True)
class GateConfig:
    """What the finished text is checked for, and when too much was held back."""

    shapes: bool = True
    """Hold a note that still holds a telephone number, a date or another identifier's shape. Set false only where the
    text is meant to hold such, as after replacement by surrogates; the attestation then says so."""
    single_names: Literal["as_deid", "every", "own"] = "as_deid"
    """Where a first or last name alone is a leak: in every note or only in that patient's own; by default as
    `deid.roster_names` says."""
    max_held_share: float = 0.05
    """The build fails when a larger share of a piece's notes is held back."""
    always_allowed: int = 10
    """So many held notes of a piece are no failure, whatever their share."""
    require_roster: bool = False
    """Refuse to build without a roster unless a reason is given by --waive-roster."""
    require_review: bool = False
    """Later stages refuse the corpus until the review of its sample has passed."""
    review_notes: int = 3_000
    """Notes drawn for people to read; 3,000 without a leak bound the rate at 0.1%. 0 draws none."""
    max_leak_rate: float = 0.001
    """The review passes when the rate of leaking notes is below this with 95% confidence."""

    @property
    def that_change_notes(self) -> dict[str, Any]:
        """The settings that decide which notes are held; the others are judged when the notes are there."""
        return {"shapes": self.shapes, "single_names": self.single_names}


@dataclass(frozen=True)
class SplitConfig:
    """Shares of patients in each split; they add up to 1."""

    train: float = 0.90
    """Share of patients in train."""
    valid: float = 0.05
    """Share of patients in valid."""
    test: float = 0.05
    """Share of patients in test."""


@dataclass(frozen=True)
class ShardConfig:
    """Sizes of the output shards and of the pieces that workers take."""

    max_rows: int = 20_000
    """Notes in a shard at most."""
    piece_rows: int = 1_000
    """Input rows that a worker takes at a time, at most."""
    piece_chars: int = 8_000_000
    """Characters that a worker takes at a time, about; together with piece_rows it bounds memory."""


@dataclass(frozen=True)
class CorpusConfig:
    """Settings of `notemill corpus build`."""

    jsonl: JsonlColumns = field(default_factory=JsonlColumns)
    """Key names for jsonl inputs."""
    deid: DeidConfig = field(default_factory=DeidConfig)
    """De-identification."""
    gate: GateConfig = field(default_factory=GateConfig)
    """The check of the output."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Train, valid and test."""
    shards: ShardConfig = field(default_factory=ShardConfig)
    """Output files."""

    def validate(self) -> list[str]:
        """Problems that a single field cannot show."""
        problems = []
        shares = dataclasses.astuple(self.split)
        if any(share < 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            problems.append(f"split.train, split.valid and split.test are {shares} and must add up to 1")
        for name in ("max_rows", "piece_rows", "piece_chars"):
            if getattr(self.shards, name) < 1:
                problems.append(f"shards.{name} is {getattr(self.shards, name)} and must be at least 1")
        for name in ("max_held_share", "max_leak_rate"):
            if not 0 <= getattr(self.gate, name) <= 1:
                problems.append(f"gate.{name} is {getattr(self.gate, name)} and must be from 0 to 1")
        for name in ("always_allowed", "review_notes"):
            if getattr(self.gate, name) < 0:
                problems.append(f"gate.{name} is {getattr(self.gate, name)} and must be 0 or more")
        if self.gate.require_review and not self.gate.review_notes:
            problems.append("gate.require_review needs gate.review_notes above 0")
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for the manifest."""
        return dataclasses.asdict(self)

    @property
    def pieces_sha256(self) -> str:
        """Hash of the settings that finished pieces depend on: a build that failed by a limit goes on with another."""
        return sha256_json(self.as_dict() | {"gate": self.gate.that_change_notes})

    @property
    def sha256(self) -> str:
        """Hash of every setting."""
        return sha256_json(self.as_dict())
