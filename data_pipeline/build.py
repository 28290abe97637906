"""Build a corpus: inputs → pieces → duplicates → shards → manifest.

    inputs ── one reader, in order ──> pieces (many workers) ──> .build/00000-0000000.{parquet,digests,json}
    .build/*.digests ── first_of_each ──> which notes stay
    .build/*.parquet ── in order, those that stay ──> shards/{split}-{index}.parquet ──> manifest.json

Nothing here depends on the clock, the number of workers or what an earlier attempt left behind: each step is a function
of the files before it. Every file appears whole under its name or not at all, and the manifest comes last. A build that
was killed goes on from its finished pieces, and its result has the same bytes.
"""

import shutil
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipeline.config import CorpusConfig
from data_pipeline.dedup import first_of_each
from data_pipeline.deid.detect import detector_names, detectors_identity, load_finders
from data_pipeline.deid.patterns import PATTERNS_VERSION
from data_pipeline.deid.roster import Roster, RosterSummary
from data_pipeline.files import make_private_folder, read_json, sha256_file, sha256_json, write_json
from data_pipeline.inputs import Input, hash_inputs
from data_pipeline.manifest import (
    CORPUS_VERSION,
    MANIFEST_NAME,
    QUARANTINE_FOLDER,
    SHARD_SCHEMA,
    SHARDS_FOLDER,
    Attestation,
    CorpusManifest,
    Counts,
    InputEntry,
    RosterEntry,
    ShardEntry,
    check_arithmetic,
    load_corpus,
    shards_sha256,
)
from data_pipeline.patients import SPLITS, key_check
from data_pipeline.pieces import Piece, PieceContext, PieceCounts, cut_pieces, run_piece, write_notes
from data_pipeline.placeholders import PLACEHOLDER_CLASSES
from data_pipeline.readers import check_input, read_rows
from launch.console import say, track
from launch.errors import NotemillError

WORK_FOLDER = ".build"
_PLAN = "plan.json"
WAIVER = (
    "built without a roster: patients' own identifiers were looked for by pattern only, and nothing re-read the output"
)
STATEMENT = (
    "Counts of what was replaced automatically; no human has reviewed these notes and this is no legal determination."
)


@dataclass(frozen=True)
class BuildRequest:
    """What to build and from what."""

    inputs: list[Input]
    out: Path
    config: CorpusConfig
    hmac_key: bytes
    roster: Path | None = None
    num_workers: int = 1


def build_corpus(request: BuildRequest) -> CorpusManifest:
    """Build the corpus, go on with one that was interrupted, or recognise a finished one.

    Raises NotemillError for bad inputs, leaving nothing behind, and for a folder that holds anything else.
    """
    if request.num_workers < 1:
        raise NotemillError(f"--workers is {request.num_workers}; it must be at least 1.")
    for item in request.inputs:
        check_input(item, request.config.jsonl)
    # A tagger that cannot be loaded is told before anything is read.
    load_finders(request.config.deid)
    roster = Roster(request.roster, request.config.deid.roster_names).summary if request.roster else None
    inputs = hash_inputs(request.inputs)
    identity = _identity(request, inputs, roster)
    finished = _finished_corpus(request.out, identity)
    if finished is not None:
        say(f"{request.out} is already built: {finished['counts']['kept']} notes in {len(finished['shards'])} shards.")
        return finished
    existed = request.out.exists()
    work = _open_work_folder(request.out, identity)
    try:
        manifest = _build(request, inputs, roster, identity, work)
    except NotemillError as error:
        # A dead worker is no fault of the inputs: what is finished stays for the next run.
        if not isinstance(error, _WorkerDiedError):
            _discard(request.out, remove_folder=not existed)
        raise
    shutil.rmtree(work)
    return manifest


class _WorkerDiedError(NotemillError):
    """A worker process was killed, most often for memory."""


def _build(
    request: BuildRequest, inputs: list[Input], roster: RosterSummary | None, identity: str, work: Path
) -> CorpusManifest:
    context = PieceContext(request.config, request.hmac_key, request.roster, work)
    entries: list[InputEntry] = []
    totals: list[PieceCounts] = []
    stems: list[str] = []
    for piece, piece_counts in _run_pieces(inputs, context, request.num_workers):
        if len(entries) <= piece.input_index:
            entries += [_input_entry(item, rows=0) for item in inputs[len(entries) : piece.input_index + 1]]
        entries[piece.input_index]["rows"] += piece_counts["read"]
        totals.append(piece_counts)
        stems.append(piece.stem)
    masks = first_of_each([work / f"{stem}.digests" for stem in stems])
    rejected = _sum(totals, "rejected")
    counts = Counts(
        read=sum(item["read"] for item in totals),
        kept=int(sum(mask.sum() for mask in masks)),
        rejected=rejected,
        exact_duplicates=int(sum((~mask).sum() for mask in masks)),
        near_duplicates=0,
        quarantined=sum(item["quarantined"] for item in totals),
    )
    assert check_arithmetic(counts), counts
    if counts["kept"] == 0:
        reasons = ", ".join(f"{number} {reason}" for reason, number in rejected.items()) or "none rejected"
        raise NotemillError(
            f"no note is left of {counts['read']} rows ({reasons}, {counts['quarantined']} quarantined)."
        )
    for folder in (SHARDS_FOLDER, QUARANTINE_FOLDER):
        shutil.rmtree(request.out / folder, ignore_errors=True)
    tables = (_read(work / f"{stem}.parquet").filter(pa.array(mask)) for stem, mask in zip(stems, masks, strict=True))
    shards = _write_shards(request.out, tables, request.config.shards.max_rows)
    held = (_read(path) for stem in stems if (path := work / f"{stem}.quarantine.parquet").exists())
    quarantine = _write_quarantine(request.out, held, request.config.shards.max_rows)
    phi_replaced = _sum(totals, "phi_replaced")
    manifest = CorpusManifest(
        version=CORPUS_VERSION,
        build_sha256=identity,
        config_sha256=request.config.sha256,
        config=request.config.as_dict(),
        inputs=entries,
        shards=shards,
        quarantine=quarantine,
        counts=counts,
        repaired=_sum(totals, "repaired"),
        phi_replaced={name: phi_replaced[name] for name in PLACEHOLDER_CLASSES if name in phi_replaced},
        attestation=_attest(shards, roster, counts["quarantined"], request.config),
    )
    write_json(request.out / MANIFEST_NAME, manifest)
    return load_corpus(request.out)


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _run_pieces(inputs: list[Input], context: PieceContext, num_workers: int) -> Iterator[tuple[Piece, PieceCounts]]:
    """Pieces with their counts, in order. At most two pieces a worker are in memory."""
    pieces = track(_read_pieces(inputs, context.config), "pieces of notes")
    if num_workers == 1:
        for piece in pieces:
            yield _without_rows(piece), run_piece(piece, context)
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[tuple[Piece, Future[PieceCounts]]] = deque()
        try:
            for piece in pieces:
                waiting.append((_without_rows(piece), pool.submit(run_piece, piece, context)))
                if len(waiting) >= 2 * num_workers:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        except BrokenProcessPool:
            raise _WorkerDiedError(
                f"one of {num_workers} workers was killed, perhaps for memory; run the same command again to go on, "
                "with fewer --workers if it happens again."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _read_pieces(inputs: list[Input], config: CorpusConfig) -> Iterator[Piece]:
    for index, item in enumerate(inputs):
        num_pieces = 0
        for piece in cut_pieces(read_rows(item, config.jsonl), index, config):
            num_pieces += 1
            yield piece
        if num_pieces == 0:
            raise NotemillError(f"{item.path} holds no notes; leave it out or check that it is the right file.")


def _without_rows(piece: Piece) -> Piece:
    return Piece(piece.input_index, piece.index, [])


def _result(item: tuple[Piece, "Future[PieceCounts]"]) -> tuple[Piece, PieceCounts]:
    return item[0], item[1].result()


# ---- shards ----------------------------------------------------------------------------------------------------------


def _write_shards(out: Path, tables: Iterator[pa.Table], max_rows: int) -> list[ShardEntry]:
    """Route notes to the shards of their split, in the order of the inputs; at most one shard a split is in memory."""
    make_private_folder(out / SHARDS_FOLDER)
    writers = {split: _ShardWriter(out, f"{SHARDS_FOLDER}/{split}", split, max_rows) for split in SPLITS}
    for table in tables:
        split_column = table.column("split").to_numpy(zero_copy_only=False)
        for split, writer in writers.items():
            writer.add(table.filter(pa.array(split_column == split, pa.bool_())))
    return [entry for writer in writers.values() for entry in writer.finish()]


def _write_quarantine(out: Path, tables: Iterator[pa.Table], max_rows: int) -> list[ShardEntry]:
    writer = _ShardWriter(out, f"{QUARANTINE_FOLDER}/notes", "quarantine", max_rows)
    for table in tables:
        make_private_folder(out / QUARANTINE_FOLDER)
        writer.add(table)
    return writer.finish()


class _ShardWriter:
    """Collects notes and writes a shard whenever `max_rows` are there."""

    def __init__(self, out: Path, prefix: str, split: str, max_rows: int) -> None:
        self._out, self._prefix, self._split, self._max_rows = out, prefix, split, max_rows
        self._pending: pa.Table = SHARD_SCHEMA.empty_table()
        self._entries: list[ShardEntry] = []

    def add(self, table: pa.Table) -> None:
        self._pending = pa.concat_tables([self._pending, table])
        while self._pending.num_rows >= self._max_rows:
            self._write(self._pending.slice(0, self._max_rows))
            self._pending = self._pending.slice(self._max_rows)

    def finish(self) -> list[ShardEntry]:
        if self._pending.num_rows:
            self._write(self._pending)
        return self._entries

    def _write(self, table: pa.Table) -> None:
        name = f"{self._prefix}-{len(self._entries):05d}.parquet"
        path = self._out / name
        # The chunks a table was put together from show in the file; one chunk a column does not.
        write_notes(path, table.combine_chunks())
        self._entries.append(
            ShardEntry(
                path=name, rows=table.num_rows, bytes=path.stat().st_size, sha256=sha256_file(path), split=self._split
            )
        )


def _read(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    # A name such as 00000-0000001.parquet would otherwise be searched for partitions.
    return pq.read_table(path, schema=SHARD_SCHEMA, partitioning=None)


# ---- manifest --------------------------------------------------------------------------------------------------------


def _input_entry(item: Input, rows: int) -> InputEntry:
    return InputEntry(path=str(item.path), kind=item.kind, source=item.source, sha256=item.sha256, rows=rows)


def _sum(counts: list[PieceCounts], name: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for item in counts:
        total.update(item[name])  # type: ignore[literal-required]
    return dict(sorted((key, number) for key, number in total.items() if number))


def _attest(
    shards: list[ShardEntry], roster: RosterSummary | None, quarantined: int, config: CorpusConfig
) -> Attestation:
    entry = None
    if roster is not None:
        entry = RosterEntry(
            sha256=roster.sha256,
            patients=roster.patients,
            identifiers=roster.identifiers,
            columns_used=list(roster.columns_used),
            columns_not_used=list(roster.columns_not_used),
        )
    not_checked = ["names that neither a pattern nor the roster knows", "free-text descriptions of a person"]
    return Attestation(
        shards_sha256=shards_sha256(shards),
        detectors=detector_names(config.deid, roster is not None),
        patterns_version=PATTERNS_VERSION,
        roster=entry,
        waiver=None if roster else WAIVER,
        verifier="roster over the output" if roster else None,
        quarantined=quarantined,
        not_checked=not_checked,
        statement=STATEMENT,
    )


# ---- the folder ------------------------------------------------------------------------------------------------------


def _identity(request: BuildRequest, inputs: list[Input], roster: RosterSummary | None) -> str:
    """Everything that decides the bytes of the result. Paths and workers do not."""
    identity: dict[str, Any] = {
        "version": CORPUS_VERSION,
        "patterns": PATTERNS_VERSION,
        "detectors": detectors_identity(request.config.deid),
        "config": request.config.sha256,
        "inputs": [[item.kind, item.source, item.sha256] for item in inputs],
        "roster": roster.sha256 if roster else None,
        "key": key_check(request.hmac_key),
    }
    return sha256_json(identity)


def _finished_corpus(out: Path, identity: str) -> CorpusManifest | None:
    if out.exists() and not out.is_dir():
        raise NotemillError(f"--out {out} is a file; name a folder.")
    if not (out / MANIFEST_NAME).exists():
        return None
    manifest = load_corpus(out)
    if manifest["build_sha256"] != identity:
        raise NotemillError(
            f"{out} holds a corpus of other inputs, settings, roster or patient key; name another folder with --out or "
            "remove that one first."
        )
    # Killed after the manifest and before the last step.
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
    return manifest


def _open_work_folder(out: Path, identity: str) -> Path:
    """The folder of pieces, empty unless an interrupted build of the very same corpus left it."""
    work = out / WORK_FOLDER
    plan = work / _PLAN
    # A build that was killed before its plan leaves an empty work folder, one killed later has a plan in it.
    is_ours = plan.exists() or (work.is_dir() and not any(path.suffix != ".partial" for path in work.iterdir()))
    if out.exists() and any(out.iterdir()) and not is_ours:
        raise NotemillError(f"{out} is not empty and holds no corpus; name another folder with --out.")
    if is_ours:
        if plan.exists() and read_json(plan, "build plan").get("build_sha256") == identity:
            say(f"going on with the interrupted build in {out}.")
            return work
        _discard(out, remove_folder=False)
    make_private_folder(out)
    make_private_folder(work)
    write_json(plan, {"build_sha256": identity})
    return work


def _discard(out: Path, remove_folder: bool) -> None:
    """Remove what an unfinished build left: only what builds write, never the folder of someone else."""
    for name in (SHARDS_FOLDER, QUARANTINE_FOLDER, WORK_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
    if remove_folder and out.is_dir() and not any(out.iterdir()):
        out.rmdir()
