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
    """De-identification by patterns, name lexicons, the roster and, where they are named, a tagger and Presidio."""

    mode: Literal["replace", "surrogate", "verify"] = "replace"
    """What becomes of identifiers: placeholders such as [**NAME**]; invented values, the same for the same value of a
    patient, with dates moved by the patient's own number of days; or nothing, and a note that holds one is
    quarantined, for notes that are said to be de-identified already."""
    tagger: str = ""
    """Folder of a Hugging Face token-classification model, such as `notemill eval run --task ner … save_model=true`
    leaves in OUT/model."""
    tagger_threshold: float = 0.5
    """A word is an identifier when the tagger gives it at least this probability; lower finds more."""
    presidio: str = ""
    """Use Microsoft Presidio: 'patterns', or the name or folder of a spaCy pipeline on this machine."""

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

    jsonl: JsonlColumns = field(default_factory=JsonlColumns)
    """Key names for jsonl inputs."""
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
        if not 0 < self.deid.tagger_threshold < 1:
            problems.append(f"deid.tagger_threshold is {self.deid.tagger_threshold} and must be between 0 and 1")
        for name in ("max_rows", "piece_rows", "piece_chars"):
            if getattr(self.shards, name) < 1:
                problems.append(f"shards.{name} is {getattr(self.shards, name)} and must be at least 1")
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for the manifest."""
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of every setting. Where the tagger lies decides nothing; its content is part of a corpus' identity."""
        deid = dataclasses.asdict(self.deid) | {"tagger": bool(self.deid.tagger)}
        return sha256_json(self.as_dict() | {"deid": deid})
