"""Everything that decides what a corpus contains. Worker counts and paths are not here: they change no byte."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from data_pipeline.files import sha256_json

COLUMN_ROLES = ("id", "text", "patient", "type", "source")
"""What a column or key of an input can be to us; also the settings that may follow an input's path."""


@dataclass(frozen=True)
class Columns:
    """Which columns or keys of one kind of input hold what; unset ones are looked for under their usual names.

    What follows the path of one input, as in `csv:notes.csv?text=body`, goes before.
    """

    id: str | None = None
    """The note's id; else id, note_id, row_id; else the input's name and the number of the row."""
    text: str | None = None
    """The text; else text, note_text, content, body."""
    patient: str | None = None
    """The patient; else patient_id, subject_id, person_id, patient, mrn; else each note is its own patient. Once named,
    a row without a value is rejected as missing_patient."""
    type: str | None = None
    """The note's type; else note_type, type, category, note_title, note_type_concept_id."""
    source: str | None = None
    """Its value becomes the source column; unset means the name of the input."""


@dataclass(frozen=True)
class RejectsConfig:
    """When too many rows are lost. It decides whether a build ends well, not what it contains."""

    max_share: float = 0.25
    """Share of all rows that may be rejected before the build fails at its end, with a table by input and reason. Rows
    that the source itself takes back (retracted, superseded) or that settings filter out do not count."""


@dataclass(frozen=True)
class DeidConfig:
    """De-identification by patterns and, with a roster, by the patients' own identifiers."""

    roster_names: Literal["every", "own"] = "every"
    """Where a single first or last name of the roster is replaced: in every note, or only in notes of that patient.
    Full names, numbers and addresses are replaced everywhere. Take 'own' for rosters beyond some thousand patients,
    whose surnames cover much of the dictionary."""


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

    jsonl: Columns = field(default_factory=Columns)
    """Keys of jsonl inputs."""
    csv: Columns = field(default_factory=Columns)
    """Columns of csv inputs."""
    parquet: Columns = field(default_factory=Columns)
    """Columns of parquet inputs."""
    sql: Columns = field(default_factory=Columns)
    """Columns of sql inputs."""
    rejects: RejectsConfig = field(default_factory=RejectsConfig)
    """Rows that become no note."""
    deid: DeidConfig = field(default_factory=DeidConfig)
    """De-identification."""
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
        if not 0 <= self.rejects.max_share <= 1:
            problems.append(f"rejects.max_share is {self.rejects.max_share} and must lie between 0 and 1")
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for the manifest."""
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of every setting that decides a byte of the corpus."""
        deciding = self.as_dict()
        # So that a build that failed for its rejects goes on from its finished pieces with another limit.
        del deciding["rejects"]
        return sha256_json(deciding)
