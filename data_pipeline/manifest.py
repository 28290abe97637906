"""What a corpus folder holds, and the only way that later stages read one.

    corpus/
      manifest.json                  written last: without it the folder is no corpus
      shards/train-00000.parquet     columns of SHARD_SCHEMA, zstd
      quarantine/notes-00000.parquet only where the gate held notes back; no stage reads it; .aes where encrypted
      rejected/rows-00000.parquet    only where rows became no note: which and why, without text, see `rejects`
      pieces/                        what inputs can be added to without reading the old ones again; see `work_folder`
      review/sample.json             which notes people are to read
      review/outcomes.json           what they found; the only file that changes after the build, with the report
      earlier_reviews/               reviews of samples that were drawn before notes were added
      report.html                    all of this for a privacy officer; a function of the files above

Invariant: read == kept + Σ rejected + exact_duplicates + near_duplicates + quarantined, and kept is the
rows of the shards.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pyarrow as pa

from data_pipeline.decontamination import DecontaminationTable
from data_pipeline.dedup.duplicates import DuplicateCounts
from data_pipeline.files import LOCK_NAME, PRIVATE_FILE, PRIVATE_FOLDER, read_json, sha256_file, sha256_json
from data_pipeline.gate.people import PeopleEntry
from data_pipeline.gate.quarantine import ENCRYPTED
from data_pipeline.gate.threshold import ThresholdEntry
from data_pipeline.gate.verifier import SelfTest
from data_pipeline.patients import SPLITS
from launch.errors import NotemillError

CORPUS_VERSION = 1
MANIFEST_NAME = "manifest.json"
SHARDS_FOLDER = "shards"
QUARANTINE_FOLDER = "quarantine"
REJECTED_FOLDER = "rejected"
PIECES_FOLDER = "pieces"
SHARD_COLUMNS = ("note_id", "patient_key", "source", "split", "note_type", "text")
SHARD_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in SHARD_COLUMNS])
_READ_ROWS = 1024
_BESIDE = ("review/sample.json", "review/outcomes.json", "report.html")
"""Files that are checked by what they say rather than by a hash in the manifest."""


class InputEntry(TypedDict):
    """One input. `rows` counts every record, also those that became no note, which `rejected` counts by reason.

    `sha256` is the hash of the file's bytes, of a `text` input's files, or of the rows that an `sql` input gave.
    `settings` is what followed its path.
    """

    path: str
    kind: str
    source: str
    sha256: str
    rows: int
    rejected: dict[str, int]
    settings: dict[str, str]


class ShardEntry(TypedDict):
    """One output file; `path` is relative to the corpus, `bytes` its size on disk."""

    path: str
    rows: int
    bytes: int
    sha256: str
    split: str


class Counts(TypedDict):
    """Where every row that was read went."""

    read: int
    kept: int
    rejected: dict[str, int]
    exact_duplicates: int
    near_duplicates: int
    quarantined: int


class RosterEntry(TypedDict):
    """The roster that was used, without any of its values.

    `notes_not_covered` counts notes that reached the gate and are of patients of whom the roster has no row.
    """

    sha256: str
    patients: int
    identifiers: int
    columns_used: list[str]
    columns_not_used: list[str]
    notes_not_covered: NotRequired[int]


class GateEntry(TypedDict):
    """What the verifier looked for in the output. `held` counts notes by check; one note may fail several."""

    verifier_version: int
    roster: PeopleEntry | None
    staff: PeopleEntry | None
    single_names: str
    checks: list[str]
    self_test: SelfTest
    held: dict[str, int]
    threshold: ThresholdEntry
    quarantine_encrypted: bool


class Waiver(TypedDict):
    """A check that was not made. `reason` is the user's, null where nobody gave one."""

    check: str
    meaning: str
    reason: str | None


class Attestation(TypedDict):
    """What was done about identifiers, bound to the shards that it speaks of."""

    shards_sha256: str
    detectors: list[str]
    patterns_version: int
    roster: RosterEntry | None
    waiver: str | None
    waivers: list[Waiver]
    verifier: str | None
    gate: GateEntry
    review_sample_sha256: str
    quarantined: int
    not_checked: list[str]
    statement: str


class CorpusManifest(TypedDict):
    """manifest.json."""

    version: int
    build_sha256: str
    config_sha256: str
    config: dict[str, Any]
    inputs: list[InputEntry]
    shards: list[ShardEntry]
    quarantine: list[ShardEntry]
    rejected: list[ShardEntry]
    counts: Counts
    duplicates: DuplicateCounts
    decontamination: DecontaminationTable | None
    repaired: dict[str, int]
    phi_replaced: dict[str, int]
    profile: dict[str, Any]
    pieces_sha256: str | None
    """Hash of what inputs can be added to; null where the pieces were not kept."""
    attestation: Attestation


def load_corpus(corpus_dir: Path) -> CorpusManifest:
    """The manifest, after the checks that cost nothing: version, arithmetic, attestation, sizes of the shards.

    Raises NotemillError when the folder is no finished corpus or a shard is missing or of another size. `verify_corpus`
    reads every byte.
    """
    manifest = _read_manifest(corpus_dir)
    with _told_where_damaged(corpus_dir):
        problems = _arithmetic(manifest)
        problems += [problem for entry in _files(manifest) if (problem := _size(corpus_dir, entry))]
    if problems:
        raise NotemillError(f"the corpus {corpus_dir} does not match its manifest: {problems[0]}; build it again.")
    return manifest


def attested_corpus(corpus_dir: Path, split: str | None = None) -> CorpusManifest:
    """The manifest for a stage that is about to read the notes of `split`, or of all splits.

    Raises NotemillError when a shard is not, byte by byte, the one that was attested, or when the corpus wants a review
    that has not passed.
    """
    from data_pipeline.gate.review import require_review

    manifest = load_corpus(corpus_dir)
    require_content(corpus_dir, [entry for entry in manifest["shards"] if split in (None, entry["split"])])
    require_review(corpus_dir, manifest)
    return manifest


def require_content(corpus_dir: Path, entries: Sequence[ShardEntry]) -> None:
    """Raise NotemillError when one of these shards is not, byte by byte, the one that was attested."""
    for entry in entries:
        if sha256_file(corpus_dir / entry["path"]) != entry["sha256"]:
            raise NotemillError(
                f"the attestation of {corpus_dir} does not speak of {entry['path']} as it is now: the file has other "
                f"content than was checked; run notemill corpus verify {corpus_dir} and build it again."
            )


def verify_corpus(corpus_dir: Path) -> list[str]:
    """Every difference between the folder and its manifest, re-hashing all files; empty when there is none."""
    manifest = _read_manifest(corpus_dir)
    with _told_where_damaged(corpus_dir):
        problems = _arithmetic(manifest)
        for entry in _files(manifest):
            size = _size(corpus_dir, entry)
            problems += [size] if size else _content(corpus_dir / entry["path"], entry)
        problems += _review_and_report(corpus_dir, manifest) + _pieces(corpus_dir, manifest)
    if corpus_dir.stat().st_mode & 0o077:
        problems.append(f"the folder has mode {corpus_dir.stat().st_mode & 0o777:o} instead of {PRIVATE_FOLDER:o}")
    listed = {entry["path"] for entry in _files(manifest)} | {MANIFEST_NAME, *_BESIDE}
    for path in sorted(corpus_dir.rglob("*")):
        name = path.relative_to(corpus_dir).as_posix()
        if path.name == LOCK_NAME:
            continue
        if path.is_file() and name not in listed and not name.startswith((f"{PIECES_FOLDER}/", "earlier_reviews/")):
            problems.append(f"{name} is not in the manifest")
        elif path.is_file() and path.stat().st_mode & 0o077:
            problems.append(f"{name} has mode {path.stat().st_mode & 0o777:o} instead of {PRIVATE_FILE:o}")
        elif path.is_dir() and path.stat().st_mode & 0o077:
            problems.append(f"{name}/ has mode {path.stat().st_mode & 0o777:o} instead of {PRIVATE_FOLDER:o}")
    return problems


def _review_and_report(corpus_dir: Path, manifest: CorpusManifest) -> list[str]:
    from data_pipeline.gate.review import load_outcomes, load_sample
    from data_pipeline.report.page import render_report

    try:
        numbers = {note["number"] for note in load_sample(corpus_dir, manifest)}
        unknown = set(load_outcomes(corpus_dir, manifest)) - numbers
        if unknown:
            return [f"{_BESIDE[1]} speaks of notes that the sample does not hold"]
        report = corpus_dir / _BESIDE[2]
        if not report.is_file():
            return [f"{report.name} is missing; run notemill corpus report"]
        if report.read_text(encoding="utf-8") != render_report(corpus_dir, manifest):
            return [f"{report.name} says something else than the manifest and the review; run notemill corpus report"]
    except NotemillError as error:
        return [str(error).rstrip(".")]
    return []


def _pieces(corpus_dir: Path, manifest: CorpusManifest) -> list[str]:
    from data_pipeline.work_folder import WorkFolder

    work = WorkFolder(corpus_dir)
    # They may be removed at any time; then nothing can be added.
    if manifest.get("pieces_sha256") is None or not work.has_inputs():
        return []
    try:
        inputs = work.inputs_of_corpus()
    except NotemillError as error:
        return [str(error).rstrip(".")]
    problems = work.differences(inputs)
    same = problems or work.pieces_sha256(inputs) == manifest["pieces_sha256"]
    return problems or ([] if same else [f"{PIECES_FOLDER}/ does not hold the pieces of this corpus"])


def iter_notes(corpus_dir: Path, split: str, columns: Sequence[str] = SHARD_COLUMNS) -> Iterator[dict[str, str]]:
    """Notes of one split in the order of its shards, with the columns asked for, in flat memory."""
    for batch in iter_batches(corpus_dir, split, columns):
        yield from batch.to_pylist()


def iter_batches(
    corpus_dir: Path, split: str, columns: Sequence[str] = SHARD_COLUMNS, batch_rows: int = _READ_ROWS
) -> Iterator[pa.RecordBatch]:
    """The same as Arrow batches. Raises NotemillError for an unknown split or column, or a damaged shard."""
    if split not in SPLITS:
        raise NotemillError(f"unknown split '{split}'; the splits are {', '.join(SPLITS)}.")
    unknown = [name for name in columns if name not in SHARD_COLUMNS]
    if unknown:
        raise NotemillError(f"unknown column '{unknown[0]}'; the columns are {', '.join(SHARD_COLUMNS)}.")
    for entry in load_corpus(corpus_dir)["shards"]:
        if entry["split"] != split:
            continue
        yield from iter_shard(corpus_dir, entry["path"], columns, batch_rows)


def iter_shard(
    corpus_dir: Path, shard: str, columns: Sequence[str], batch_rows: int = _READ_ROWS
) -> Iterator[pa.RecordBatch]:
    """One shard as Arrow batches. Raises NotemillError when it is damaged."""
    import pyarrow.parquet as pq

    path = corpus_dir / shard
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=batch_rows, columns=list(columns))
    except (pa.ArrowException, OSError):
        raise NotemillError(f"the shard {path} cannot be read; run notemill corpus verify {corpus_dir}.") from None


def sources(corpus_dir: Path) -> list[str]:
    """Values of the source column, sorted."""
    found: set[str] = set()
    for split in SPLITS:
        for batch in iter_batches(corpus_dir, split, columns=("source",), batch_rows=65_536):
            found.update(batch.column("source").unique().to_pylist())
    return sorted(found)


def shards_sha256(shards: Sequence[ShardEntry]) -> str:
    """The hash that binds an attestation to its shards."""
    return sha256_json([[entry["path"], entry["rows"], entry["sha256"]] for entry in shards])


def check_arithmetic(counts: Counts) -> bool:
    """Whether every row that was read is accounted for."""
    others = counts["exact_duplicates"] + counts["near_duplicates"] + counts["quarantined"]
    return counts["read"] == counts["kept"] + sum(counts["rejected"].values()) + others


def _read_manifest(corpus_dir: Path) -> CorpusManifest:
    manifest: CorpusManifest = read_json(corpus_dir / MANIFEST_NAME, "corpus manifest")
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if version != CORPUS_VERSION:
        raise NotemillError(
            f"the corpus {corpus_dir} has format version {version} and this notemill reads {CORPUS_VERSION}; "
            "build it again."
        )
    missing = CorpusManifest.__required_keys__ - manifest.keys()
    if missing:
        raise NotemillError(f"the corpus manifest in {corpus_dir} lacks {', '.join(sorted(missing))}; build it again.")
    return manifest


@contextlib.contextmanager
def _told_where_damaged(corpus_dir: Path) -> Iterator[None]:
    """A manifest that somebody edited may hold anything."""
    try:
        yield
    except (TypeError, KeyError, ValueError, AttributeError):
        raise NotemillError(
            f"the corpus manifest in {corpus_dir} holds values that no build writes; restore it from a backup or build "
            "the corpus again."
        ) from None


def _files(manifest: CorpusManifest) -> list[ShardEntry]:
    return [*manifest["shards"], *manifest["quarantine"], *manifest["rejected"]]


def _arithmetic(manifest: CorpusManifest) -> list[str]:
    problems = []
    counts = manifest["counts"]
    if not check_arithmetic(counts):
        problems.append(f"its counts do not add up to the {counts['read']} rows read")
    if sum(entry["rows"] for entry in manifest["inputs"]) != counts["read"]:
        problems.append("its inputs have another number of rows than were read")
    if sum(entry["rows"] for entry in manifest["shards"]) != counts["kept"]:
        problems.append("its shards have another number of rows than were kept")
    if sum(entry["rows"] for entry in manifest["quarantine"]) != counts["quarantined"]:
        problems.append("its quarantine has another number of rows than were quarantined")
    if sum(entry["rows"] for entry in manifest["rejected"]) != sum(counts["rejected"].values()):
        problems.append("its list of rejected rows has another length than were rejected")
    if Attestation.__required_keys__ - manifest["attestation"].keys():
        return [*problems, "its attestation lacks what this notemill attests"]
    if manifest["attestation"]["shards_sha256"] != shards_sha256(manifest["shards"]):
        problems.append("its attestation speaks of other shards than it lists")
    return problems


def _size(corpus_dir: Path, entry: ShardEntry) -> str:
    path = corpus_dir / entry["path"]
    if not path.is_file():
        return f"{entry['path']} is missing"
    size = path.stat().st_size
    return f"{entry['path']} has {size} bytes instead of {entry['bytes']}" if size != entry["bytes"] else ""


def _content(path: Path, entry: ShardEntry) -> list[str]:
    import pyarrow.parquet as pq

    if sha256_file(path) != entry["sha256"]:
        return [f"{entry['path']} has other content than was written"]
    if path.suffix == ENCRYPTED:
        # Its rows cannot be counted without the key; the hash holds them.
        return []
    rows = pq.read_metadata(path).num_rows
    return [f"{entry['path']} has {rows} rows instead of {entry['rows']}"] if rows != entry["rows"] else []
