"""What a corpus folder holds, and the only way that later stages read one.

    corpus/
      manifest.json                  written last: without it the folder is no corpus
      shards/train-00000.parquet     columns of SHARD_SCHEMA, zstd
      quarantine/notes-00000.parquet only where the verifier held notes back; same columns, no stage reads it
      rejected/rows-00000.parquet    only where rows became no note: which and why, without text, see `rejects`

Invariant: read == kept + Σ rejected + exact_duplicates + near_duplicates + quarantined, and kept is the
rows of the shards.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa

from data_pipeline.decontamination import DecontaminationTable
from data_pipeline.duplicates import DuplicateCounts
from data_pipeline.files import PRIVATE_FILE, read_json, sha256_file, sha256_json
from data_pipeline.patients import SPLITS
from launch.errors import NotemillError

CORPUS_VERSION = 1
MANIFEST_NAME = "manifest.json"
SHARDS_FOLDER = "shards"
QUARANTINE_FOLDER = "quarantine"
REJECTED_FOLDER = "rejected"
SHARD_COLUMNS = ("note_id", "patient_key", "source", "split", "note_type", "text")
SHARD_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in SHARD_COLUMNS])
_READ_ROWS = 1024


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
    """The roster that was used, without any of its values."""

    sha256: str
    patients: int
    identifiers: int
    columns_used: list[str]
    columns_not_used: list[str]


class Attestation(TypedDict):
    """What was done about identifiers, bound to the shards that it speaks of."""

    shards_sha256: str
    detectors: list[str]
    patterns_version: int
    roster: RosterEntry | None
    waiver: str | None
    verifier: str | None
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
    attestation: Attestation


def load_corpus(corpus_dir: Path) -> CorpusManifest:
    """The manifest, after the checks that cost nothing: version, arithmetic, attestation, sizes of the shards.

    Raises NotemillError when the folder is no finished corpus or a shard is missing or of another size. `verify_corpus`
    reads every byte.
    """
    manifest = _read_manifest(corpus_dir)
    problems = _arithmetic(manifest) + [problem for entry in _files(manifest) if (problem := _size(corpus_dir, entry))]
    if problems:
        raise NotemillError(f"the corpus {corpus_dir} does not match its manifest: {problems[0]}; build it again.")
    return manifest


def verify_corpus(corpus_dir: Path) -> list[str]:
    """Every difference between the folder and its manifest, re-hashing all files; empty when there is none."""
    manifest = _read_manifest(corpus_dir)
    problems = _arithmetic(manifest)
    for entry in _files(manifest):
        problems += [problem] if (problem := _size(corpus_dir, entry)) else _content(corpus_dir / entry["path"], entry)
    listed = {entry["path"] for entry in _files(manifest)} | {MANIFEST_NAME}
    for path in sorted(corpus_dir.rglob("*")):
        name = path.relative_to(corpus_dir).as_posix()
        if path.is_file() and name not in listed:
            problems.append(f"{name} is not in the manifest")
        elif path.is_file() and path.stat().st_mode & 0o077:
            problems.append(f"{name} has mode {path.stat().st_mode & 0o777:o} instead of {PRIVATE_FILE:o}")
    return problems


def iter_notes(corpus_dir: Path, split: str, columns: Sequence[str] = SHARD_COLUMNS) -> Iterator[dict[str, str]]:
    """Notes of one split in the order of its shards, with the columns asked for, in flat memory."""
    for batch in iter_batches(corpus_dir, split, columns):
        yield from batch.to_pylist()


def iter_batches(
    corpus_dir: Path, split: str, columns: Sequence[str] = SHARD_COLUMNS, batch_rows: int = _READ_ROWS
) -> Iterator[pa.RecordBatch]:
    """The same as Arrow batches. Raises NotemillError for an unknown split or column, or a damaged shard."""
    import pyarrow.parquet as pq

    if split not in SPLITS:
        raise NotemillError(f"unknown split '{split}'; the splits are {', '.join(SPLITS)}.")
    unknown = [name for name in columns if name not in SHARD_COLUMNS]
    if unknown:
        raise NotemillError(f"unknown column '{unknown[0]}'; the columns are {', '.join(SHARD_COLUMNS)}.")
    for entry in load_corpus(corpus_dir)["shards"]:
        if entry["split"] != split:
            continue
        path = corpus_dir / entry["path"]
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
    rows = pq.read_metadata(path).num_rows
    return [f"{entry['path']} has {rows} rows instead of {entry['rows']}"] if rows != entry["rows"] else []
