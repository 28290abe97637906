"""Everything that decides what a corpus contains. Worker counts and paths are not here: they change no byte."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from data_pipeline.files import sha256_json

COLUMN_ROLES = ("id", "text", "patient", "type", "source", "date")
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
    """The patient; else patient_id, subject_id, person_id, patient, mrn, patient_key; else each note is its own
    patient. Once named, a row without a value is rejected as missing_patient."""
    type: str | None = None
    """The note's type; else note_type, type, category, note_title, note_type_concept_id."""
    source: str | None = None
    """Its value becomes the source column; unset means the name of the input."""
    date: str | None = None
    """The note's date; else date, note_date, charttime, chartdate, note_datetime. It tells which of two near-copies is
    later."""


@dataclass(frozen=True)
class RejectsConfig:
    """When too many rows are lost. It decides whether a build ends well, not what it contains."""

    max_share: float = 0.25
    """Share of all rows that may be rejected before the build fails at its end, with a table by input and reason. Rows
    that the source itself takes back (retracted, superseded) or that settings filter out do not count."""


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
    tagger_threshold: float = 0.0
    """A word is an identifier when the tagger gives it at least this probability; lower finds more. 0 takes what was
    chosen on the dev notes when the tagger was trained, and 0.5 where its folder does not say."""
    presidio: str = ""
    """Use Microsoft Presidio: 'patterns', or the name or folder of a spaCy pipeline on this machine."""

    roster_names: Literal["every", "own"] = "every"
    """Where a single first or last name of the roster is replaced: in every note, or only in notes of that patient.
    Full names, numbers and addresses are replaced everywhere. Take 'own' for rosters beyond some thousand patients,
    whose surnames cover much of the dictionary."""


@dataclass(frozen=True)
class CleaningConfig:
    """What is made regular in a text beyond characters and line ends."""

    unicode_form: Literal["NFC", "NFKC"] = "NFC"
    """Normal form. NFKC also turns ligatures, full-width letters and superscripts into plain signs: m² becomes m2."""
    rejoin_lines: bool = True
    """Join lines that an editor wrapped at a fixed width. Lines of tables, lists and headings stay."""


@dataclass(frozen=True)
class FilterConfig:
    """Notes and lines to leave out. All of these are off unless set, and each note left out is counted by its
    reason."""

    min_words: int = 0
    """Notes with fewer words are rejected as too_short."""
    language: str = ""
    """Notes that are clearly in another language are rejected as other_language: en, de, es, fr, it, nl or pt. Notes
    too short or too telegraphic to tell are kept."""
    boilerplate: list[str] = field(default_factory=list)
    """Regular expressions (RE2); lines that match one, from end to end and in any case, are removed. A note with
    nothing else is rejected as boilerplate."""
    max_repeated_lines: float = 1.0
    """Share of a note's characters that may stand in lines that stood in it before; beyond, it is rejected as
    boilerplate. 1 lets everything pass."""


@dataclass(frozen=True)
class DedupConfig:
    """Near-copies: notes whose runs of words are the same for the most part. Exact copies always go."""

    near: bool = True
    """Look for near-copies at all."""
    within_patient: bool = True
    """Of near-copies among one patient's notes, keep the latest."""
    across_patients: Literal["drop", "other_splits"] = "drop"
    """Of near-copies among different patients' notes, keep only the first in the order of the inputs; or keep all that
    are in the split of the first."""
    jaccard: float = 0.8
    """Near-copies share at least this much: distinct runs of words in both, of all that are in either."""
    numbers: float = 0.8
    """And at least this share of the numbers of the note with fewer numbers. 1: a note in which any number was
    changed is another note; 0: numbers are looked at like words only."""
    shingle_words: int = 3
    """Words in a run."""
    remove_copied_paragraphs: bool = False
    """Remove paragraphs that stand in an earlier note of the same patient. A note of which every
    paragraph does so counts as a near-copy."""
    copied_paragraph_words: int = 12
    """Shorter paragraphs are left where they are."""


@dataclass(frozen=True)
class DecontaminationConfig:
    """Notes that hold passages of the evaluation sets named by --decontaminate."""

    action: Literal["drop", "report"] = "drop"
    """Reject such notes as contaminated, or only count them in the manifest."""
    ngram_words: int = 13
    """Words of a passage. Evaluation texts with fewer words cannot be found."""
    min_shared: int = 1
    """Passages that a note must share with one set."""


@dataclass(frozen=True)
class GateConfig:
    """What the finished text is checked for, and when too much was held back."""

    shapes: bool = True
    """Hold a note that still holds a telephone number, a date or another identifier's shape. Set false only where the
    text is meant to hold such; the attestation then says so."""
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
class ExecutorConfig:
    """Who makes the pieces. Nothing here changes a byte of the corpus."""

    name: Literal["local", "slurm", "ray"] = "local"
    """local: `--workers` processes of this machine. slurm: job arrays. ray: a Ray cluster."""
    tasks: int = 64
    """Jobs of the SLURM array, or tasks that Ray runs at a time, at most."""
    partition: str = ""
    """SLURM partition."""
    time: str = "24:00:00"
    """SLURM time limit of a job."""
    memory_gb: int = 4
    """Memory of a job in GB."""
    setup: str = ""
    """Shell commands before each job, such as `module load python`; the packages of this process are found without."""
    sbatch: dict[str, str] = field(default_factory=dict)
    """More options of sbatch, such as {account: nlp, constraint: ib}."""
    ray_address: str = ""
    """Address of a Ray cluster; without one Ray is started on this machine."""


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
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    """Cleaning."""
    filters: FilterConfig = field(default_factory=FilterConfig)
    """Notes to leave out."""
    dedup: DedupConfig = field(default_factory=DedupConfig)
    """Near-copies."""
    decontamination: DecontaminationConfig = field(default_factory=DecontaminationConfig)
    """Evaluation sets."""
    gate: GateConfig = field(default_factory=GateConfig)
    """The check of the output."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Train, valid and test."""
    shards: ShardConfig = field(default_factory=ShardConfig)
    """Output files."""
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    """Who does the work."""

    def validate(self) -> list[str]:
        """Problems that a single field cannot show."""
        problems = []
        shares = dataclasses.astuple(self.split)
        if not (all(share >= 0 for share in shares) and abs(sum(shares) - 1) <= 1e-9):
            problems.append(f"split.train, split.valid and split.test are {shares} and must add up to 1")
        if not 0 <= self.deid.tagger_threshold < 1:
            problems.append(f"deid.tagger_threshold is {self.deid.tagger_threshold} and must be from 0 to below 1")
        if self.executor.tasks < 1:
            problems.append(f"executor.tasks is {self.executor.tasks} and must be at least 1")
        if self.executor.name == "slurm" and not self.executor.partition:
            problems.append("executor.name=slurm needs executor.partition=NAME; sinfo lists them")
        for name in ("max_rows", "piece_rows", "piece_chars"):
            if getattr(self.shards, name) < 1:
                problems.append(f"shards.{name} is {getattr(self.shards, name)} and must be at least 1")
        if not 0 <= self.rejects.max_share <= 1:
            problems.append(f"rejects.max_share is {self.rejects.max_share} and must lie between 0 and 1")
        for name in ("dedup.jaccard", "dedup.numbers", "filters.max_repeated_lines"):
            section, key = name.split(".")
            share = getattr(getattr(self, section), key)
            if not 0 <= share <= 1:
                problems.append(f"{name} is {share} and must be between 0 and 1")
        if self.dedup.jaccard < 0.5:
            problems.append(f"dedup.jaccard is {self.dedup.jaccard} and must be at least 0.5")
        for name in ("dedup.shingle_words", "decontamination.ngram_words", "decontamination.min_shared"):
            section, key = name.split(".")
            if getattr(getattr(self, section), key) < 1:
                problems.append(f"{name} is {getattr(getattr(self, section), key)} and must be at least 1")
        for name in ("max_held_share", "max_leak_rate"):
            if not 0 <= getattr(self.gate, name) <= 1:
                problems.append(f"gate.{name} is {getattr(self.gate, name)} and must be from 0 to 1")
        for name in ("always_allowed", "review_notes"):
            if getattr(self.gate, name) < 0:
                problems.append(f"gate.{name} is {getattr(self.gate, name)} and must be 0 or more")
        if self.gate.require_review and not self.gate.review_notes:
            problems.append("gate.require_review needs gate.review_notes above 0")
        from data_pipeline.cleaning.filters import problems_of

        return problems + problems_of(self.filters)

    def as_dict(self) -> dict[str, Any]:
        """The settings that decide what a corpus is, as plain values for the manifest."""
        settings = dataclasses.asdict(self)
        del settings["executor"]
        return settings

    @property
    def pieces_sha256(self) -> str:
        """Hash of the settings that finished pieces depend on: a build that failed by a limit goes on with another."""
        return sha256_json(self._deciding() | {"gate": self.gate.that_change_notes, "rejects": None})

    @property
    def sha256(self) -> str:
        """Hash of every setting that decides a byte of the corpus."""
        deciding = self._deciding()
        # It decides whether a build ends well, see `pieces_sha256`.
        del deciding["rejects"]
        return sha256_json(deciding)

    def _deciding(self) -> dict[str, Any]:
        # Where the tagger lies decides nothing; its content is part of a corpus' identity.
        return self.as_dict() | {"deid": dataclasses.asdict(self.deid) | {"tagger": bool(self.deid.tagger)}}
