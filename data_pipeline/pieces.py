"""The pure step: a run of input rows becomes one piece on disk, whoever runs it and however often.

A piece is some files under one stem in the folder of its input (see `work_folder`): `.parquet` with the notes that
passed (shard columns), `.digests` with 16 bytes a note for exact duplicates, what `sketches` and `paragraphs` write for
near-copies and copied paragraphs, `.quarantine.parquet` (or `.aes`) where notes were held back, `.rejected.parquet`
where rows became no note, and `.json` with the counts, written last. A piece with a `.json` is complete; a rerun takes
it as it is if it was made of the very rows that are read now. Of a file they always are; a database may have moved on.
"""

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from data_pipeline.cleaning.characters import clean
from data_pipeline.cleaning.encodings import undo_mojibake
from data_pipeline.cleaning.filters import filter_note
from data_pipeline.cleaning.wraps import rejoin
from data_pipeline.config import CorpusConfig, DeidConfig
from data_pipeline.decontamination import Contamination, load_index
from data_pipeline.dedup.exact import text_digest
from data_pipeline.dedup.note_order import order_of
from data_pipeline.dedup.paragraphs import write_paragraphs
from data_pipeline.dedup.sketches import NoteKeys, write_sketches
from data_pipeline.deid.detect import Deidentified, Deidentifier
from data_pipeline.deid.roster import Roster
from data_pipeline.files import atomic_write, make_private_folder, read_json, sha256_file, write_json
from data_pipeline.gate.quarantine import QUARANTINE_SCHEMA, quarantine_name, write_held
from data_pipeline.gate.verifier import Verifier, verifier_for
from data_pipeline.manifest import SHARD_SCHEMA
from data_pipeline.notes import Note, Rejection, RejectionReason, Row
from data_pipeline.parquet_files import write_table
from data_pipeline.patients import SPLITS, note_key, patient_key, split_of
from data_pipeline.placeholders import PlaceholderClass
from data_pipeline.private_process import without_values
from data_pipeline.rejects import REJECTED_ROW_SCHEMA, kept_id
from launch.errors import NotemillError

_TOGETHER = 256
"""Notes that are de-identified together."""
_OPTIONAL_ENDINGS = (".quarantine.parquet", ".quarantine.parquet.aes", ".rejected.parquet")


@dataclass(frozen=True)
class PieceContext:
    """What a worker needs for every piece; small enough to be sent to each once."""

    config: CorpusConfig
    hmac_key: bytes
    roster_path: Path | None
    folder: Path
    evaluation: Path | None = None
    """Index of the evaluation sets whose passages are looked for."""
    staff_path: Path | None = None
    quarantine_key: bytes | None = None

    def held_path(self, stem: str) -> Path:
        """Where a piece's held notes lie, if it has any."""
        return self.folder / quarantine_name(f"{stem}.quarantine", self.quarantine_key)

    def verifier(self) -> Verifier:
        """The gate's verifier, which knows the output and the lists of people alone."""
        gate, deid = self.config.gate, self.config.deid
        single_names = deid.roster_names if gate.single_names == "as_deid" else gate.single_names
        return verifier_for(self.roster_path, self.staff_path, single_names, self.config.gate.shapes, self.hmac_key)


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one input."""

    input_key: str
    """Name of the input's folder among the pieces."""
    index: int
    rows: list[Row]
    first_row: int = 1
    """Number of the first row within its input, counted from 1."""

    @property
    def stem(self) -> str:
        """Path of the piece below the folder of all pieces, without ending."""
        return piece_stem(self.input_key, self.index)


def piece_stem(input_key: str, index: int) -> str:
    """Sorts in the order of the input's rows."""
    return f"{input_key}/{index:07d}"


class PieceCounts(TypedDict):
    """Where the rows of a piece went. read == kept + Σ rejected + quarantined; `held` counts quarantined by check."""

    rows_sha256: str
    """Hash of the rows as they were read."""
    read: int
    kept: int
    rejected: dict[str, int]
    quarantined: int
    held: dict[str, int]
    repaired: dict[str, int]
    phi_replaced: dict[str, int]
    contaminated: dict[str, Contamination]
    """By the name of the evaluation set."""
    files: dict[str, str]
    """Hashes of the piece's other files, by their endings."""
    not_in_roster: int
    """Notes of patients of whom the roster has no row; 0 without a roster."""


def cut_pieces(rows: Iterator[Row], input_key: str, config: CorpusConfig) -> Iterator[Piece]:
    """Group rows by number and size alone, so that the cuts do not depend on who works on them."""
    batch: list[Row] = []
    index = chars = 0
    first_row = 1
    for row in rows:
        batch.append(row)
        chars += len(row.text) if isinstance(row, Note) else 0
        if len(batch) >= config.shards.piece_rows or chars >= config.shards.piece_chars:
            yield Piece(input_key, index, batch, first_row)
            first_row += len(batch)
            batch, index, chars = [], index + 1, 0
    if batch:
        yield Piece(input_key, index, batch, first_row)


def run_piece(piece: Piece, context: PieceContext) -> PieceCounts:
    """Clean, de-identify, verify, key and digest the rows of a piece; write it unless it is there already.

    An unexpected error is told by its place alone: its message might quote a note.
    """
    try:
        return _run_piece(piece, context)
    except (NotemillError, OSError):
        # A full disk is no fault of the inputs, and its message holds a path at most.
        raise
    except Exception as error:
        raise NotemillError(
            f"piece {piece.stem} failed with an unexpected {without_values(error)}; its message is left out because it "
            "may hold note text."
        ) from None


def _run_piece(piece: Piece, context: PieceContext) -> PieceCounts:
    counts_file = context.folder / f"{piece.stem}.json"
    rows_sha256 = hash_rows(piece.rows)
    if counts_file.exists():
        made: PieceCounts = read_json(counts_file, "piece")
        if made["rows_sha256"] == rows_sha256:
            return made
        # While its files are replaced, no piece is complete.
        counts_file.unlink()
        for ending in _OPTIONAL_ENDINGS:
            (context.folder / f"{piece.stem}{ending}").unlink(missing_ok=True)
    tools = _tools(context)
    kept: list[dict[str, str]] = []
    quarantined: list[dict[str, str]] = []
    held: Counter[str] = Counter()
    rejected: list[dict[str, str | int]] = []
    repaired: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    keys: list[NoteKeys] = []
    not_in_roster = 0
    rows = [row if isinstance(row, Rejection) else _clean(row, context.config, repaired) for row in piece.rows]
    rows, contaminated = _without_contaminated(rows, context)
    for number, (row, note) in enumerate(_finish_all(rows, tools), start=piece.first_row):
        if isinstance(note, Rejection):
            note_id = _safe_id(row, tools)
            rejected.append({"row": number, "note_id": note_id, "reason": note.reason})
            continue
        not_in_roster += tools.roster is not None and not tools.roster.has_patient(row.patient_id)
        repaired["encoding"] += isinstance(row, Note) and row.repaired_encoding
        checks = sorted(tools.verifier.check(note.masked) | ({"detectors' roster"} if note.leaks else set()))
        if checks:
            held.update(checks)
            quarantined.append(note.columns | {"checks": "; ".join(checks)})
        else:
            kept.append(note.columns)
            replaced.update(note.replaced)
            keys.append(note.keys)
    _write_files(piece, context, kept, keys, quarantined, rejected)
    counts = PieceCounts(
        rows_sha256=rows_sha256,
        read=len(piece.rows),
        kept=len(kept),
        rejected=dict(sorted(Counter(str(row["reason"]) for row in rejected).items())),
        quarantined=len(quarantined),
        held=dict(sorted(held.items())),
        repaired=dict(sorted(repaired.items())),
        phi_replaced=dict(sorted(replaced.items())),
        contaminated=contaminated,
        files={
            path.name.removeprefix(f"{piece.index:07d}"): sha256_file(path)
            for path in sorted(counts_file.parent.glob(f"{piece.index:07d}.*"))
        },
        not_in_roster=not_in_roster,
    )
    assert counts["read"] == counts["kept"] + len(rejected) + counts["quarantined"]
    write_json(counts_file, counts)
    return counts


def _write_files(
    piece: Piece,
    context: PieceContext,
    kept: list[dict[str, str]],
    keys: list[NoteKeys],
    quarantined: list[dict[str, str]],
    rejected: list[dict[str, str | int]],
) -> None:
    """All files of a piece but its counts; `keys` has one item for each of `kept`."""
    make_private_folder(context.folder / piece.input_key)
    write_table(context.folder / f"{piece.stem}.parquet", pa.Table.from_pylist(kept, SHARD_SCHEMA))
    if quarantined:
        held_notes = pa.Table.from_pylist(quarantined, QUARANTINE_SCHEMA)
        write_held(context.held_path(piece.stem), held_notes, context.quarantine_key)
    if rejected:
        write_table(
            context.folder / f"{piece.stem}.rejected.parquet", pa.Table.from_pylist(rejected, REJECTED_ROW_SCHEMA)
        )
    texts = [columns["text"] for columns in kept]
    with atomic_write(context.folder / f"{piece.stem}.digests") as temporary:
        temporary.write_bytes(b"".join(map(text_digest, texts)))
    if context.config.dedup.near:
        write_sketches(context.folder / piece.stem, texts, keys, context.config.dedup)
    if context.config.dedup.remove_copied_paragraphs:
        write_paragraphs(context.folder / piece.stem, texts, keys)


@dataclass(frozen=True)
class _Tools:
    """What the notes of a piece are worked on with."""

    config: CorpusConfig
    hmac_key: bytes
    roster: Roster | None
    deidentifier: Deidentifier
    verifier: Verifier


@dataclass(frozen=True, slots=True)
class _Finished:
    columns: dict[str, str]
    masked: dict[str, str]
    """The same with placeholders where `columns` may have surrogates: what the gate reads, since a surrogate looks like
    an identifier on purpose."""
    keys: NoteKeys
    replaced: Counter[PlaceholderClass]
    leaks: bool


def _clean(note: Note, config: CorpusConfig, repaired: Counter[str]) -> Row:
    """The note with its text made regular and filtered; what was mended is added to `repaired`."""
    decoded = undo_mojibake(note.text)
    repaired["mojibake"] += decoded != note.text
    text = clean(decoded, config.cleaning.unicode_form)
    if not text:
        return _reject(note, "empty_text")
    if config.cleaning.rejoin_lines:
        joined = rejoin(text)
        repaired["rejoined_lines"] += joined is not text
        text = joined
    filtered = filter_note(text, config.filters)
    repaired["boilerplate_lines"] += filtered.removed_lines
    if filtered.reason:
        return _reject(note, filtered.reason)
    return note if filtered.text == note.text else replace(note, text=filtered.text)


def _reject(note: Note, reason: RejectionReason) -> Rejection:
    return Rejection(reason, note.note_id, note.patient_id, note.is_id_private)


def _without_contaminated(rows: list[Row], context: PieceContext) -> tuple[list[Row], dict[str, Contamination]]:
    """Looks before de-identification: an evaluation set has its own way of hiding names."""
    if context.evaluation is None:
        return rows, {}
    notes = [row for row in rows if isinstance(row, Note)]
    found = load_index(context.evaluation).find([note.text for note in notes], context.config.decontamination)
    if context.config.decontamination.action == "report":
        return rows, found.by_set
    dropped = iter(found.notes)
    return [
        _reject(row, "contaminated") if isinstance(row, Note) and next(dropped) else row for row in rows
    ], found.by_set


def _finish_all(rows: list[Row], tools: _Tools) -> Iterator[tuple[Row, _Finished | Rejection]]:
    """Every row with what becomes of it; many at a time are de-identified together."""
    for first in range(0, len(rows), _TOGETHER):
        batch = rows[first : first + _TOGETHER]
        notes = [row for row in batch if isinstance(row, Note)]
        results = iter(tools.deidentifier.run_all([note.text for note in notes], [note.patient_id for note in notes]))
        for row in batch:
            yield row, row if isinstance(row, Rejection) else _finish(row, next(results), tools)


def _finish(note: Note, result: Deidentified, tools: _Tools) -> _Finished:
    # The type of a note is free text in some sources, and a person may have typed into it.
    note_type = tools.deidentifier.run_title(clean(undo_mojibake(note.note_type)), note.patient_id)
    split = split_of(tools.hmac_key, note.patient_id, tools.config.split)
    columns = {
        "note_id": _safe_id(note, tools),
        "patient_key": patient_key(tools.hmac_key, note.patient_id),
        "source": note.source,
        "split": split,
        "note_type": note_type.text,
        "text": result.text,
    }
    order = order_of(note.date, tools.hmac_key, note.patient_id)
    keys = NoteKeys(columns["patient_key"], order, SPLITS.index(split))
    masked = columns | {"note_type": note_type.masked, "text": result.masked}
    return _Finished(columns, masked, keys, result.replaced, result.leaks or note_type.leaks)


def _safe_id(row: Row, tools: _Tools) -> str:
    """The row's id, or its HMAC where the detectors' roster or the gate's lists find a person in it."""
    note_id = kept_id(tools.hmac_key, clean(row.note_id), row, tools.roster)
    if not tools.verifier.knows_people:
        return note_id
    own_key = patient_key(tools.hmac_key, row.patient_id)
    return note_key(tools.hmac_key, note_id) if tools.verifier.check_id(note_id, own_key) else note_id


def hash_rows(rows: list[Row]) -> str:
    """Hash of everything that a reader gave; equal rows have equal hashes in every process and on every machine."""
    digest = hashlib.sha256()
    for row in rows:
        # The parts' lengths go before them, so that no two rows are written alike.
        parts = [str(getattr(row, name)).encode("utf-8", errors="surrogatepass") for name in _FIELD_NAMES[type(row)]]
        digest.update(repr([type(row).__name__, *map(len, parts)]).encode() + b"".join(parts))
    return digest.hexdigest()


_FIELD_NAMES = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in (Note, Rejection)}


def _tools(context: PieceContext) -> _Tools:
    roster = _roster(context.roster_path, context.config.deid.roster_names)
    deidentifier = _deidentifier(context.config.deid, roster, context.hmac_key)
    return _Tools(context.config, context.hmac_key, roster, deidentifier, context.verifier())


@functools.lru_cache(maxsize=1)
def _deidentifier(config: DeidConfig, roster: Roster | None, key: bytes) -> Deidentifier:
    return Deidentifier(config, roster, key)


@functools.lru_cache(maxsize=1)
def _roster(path: Path | None, names: str) -> Roster | None:
    """Built once a process; the automaton of a large roster takes seconds."""
    return None if path is None else Roster(path, names)  # type: ignore[arg-type]
