"""Build a corpus: inputs → pieces → gate → duplicates → shards → manifest.

    inputs ── one reader, in order ──> pieces (many workers) ──> .build/00000-0000000.{parquet,digests,json}
    the share of each piece that the gate held back ── judge ──> go on, or fail with quarantine/ written
    .build/*.{digests,notes,bands,shingles,paragraphs} ── find_duplicates ──> which notes stay
    .build/*.parquet ── in order, those that stay ──> shards/{split}-{index}.parquet ──> manifest.json

Nothing here depends on the clock, the number of workers or what an earlier attempt left behind: each step is a function
of the files before it. Every file appears whole under its name or not at all, and the manifest comes last. A build that
was killed goes on from its finished pieces, and its result has the same bytes.
"""

import contextlib
import hashlib
import shutil
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipeline.config import CorpusConfig
from data_pipeline.decontamination import EvaluationSet, contamination_table, sets_sha256, write_index
from data_pipeline.deid.detect import detector_names, detectors_identity, load_finders
from data_pipeline.deid.patterns import PATTERNS_VERSION
from data_pipeline.deid.roster import Roster, RosterSummary
from data_pipeline.duplicates import find_duplicates
from data_pipeline.files import (
    LOCK_NAME,
    make_private_folder,
    only_writer,
    read_json,
    sha256_file,
    sha256_json,
    write_json,
)
from data_pipeline.gate.people import open_people
from data_pipeline.gate.quarantine import QUARANTINE_SCHEMA, quarantine_name, read_held, write_held
from data_pipeline.gate.review import REVIEW_FOLDER, draw_sample
from data_pipeline.gate.threshold import PieceLeaks, judge
from data_pipeline.gate.verifier import VERIFIER_VERSION
from data_pipeline.inputs import Input, hash_inputs, require_unchanged, shown_settings
from data_pipeline.manifest import (
    CORPUS_VERSION,
    MANIFEST_NAME,
    QUARANTINE_FOLDER,
    REJECTED_FOLDER,
    SHARD_SCHEMA,
    SHARDS_FOLDER,
    Attestation,
    CorpusManifest,
    Counts,
    GateEntry,
    InputEntry,
    RosterEntry,
    ShardEntry,
    Waiver,
    check_arithmetic,
    load_corpus,
    shards_sha256,
)
from data_pipeline.patients import SPLITS, key_check
from data_pipeline.pieces import Piece, PieceContext, PieceCounts, cut_pieces, run_piece, write_notes
from data_pipeline.placeholders import PLACEHOLDER_CLASSES
from data_pipeline.private_process import keep_memory_private
from data_pipeline.profile import profile_shards
from data_pipeline.readers import check_input, read_rows
from data_pipeline.rejects import REJECTED_SCHEMA, TooManyRejectsError, check_share, rejects_table
from data_pipeline.report.page import REPORT_NAME, write_report
from launch.console import say, track
from launch.errors import NotemillError

WORK_FOLDER = ".build"
_PLAN = "plan.json"
_REJECTED_ROWS = 1_000_000
"""Rows in one file of rejected rows, at most."""
_SCRATCH_FOLDER = "scratch"
WAIVER = (
    "built without a roster: patients' own identifiers were looked for by pattern only, before and after replacement"
)
STATEMENT = (
    "Counts of what was replaced and checked automatically. What people found in the sample stands in the report. This "
    "is no legal determination."
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
    evaluation_sets: Sequence[EvaluationSet] = ()
    """Sets whose passages are looked for in the notes."""
    staff: Path | None = None
    waiver_reason: str | None = None
    """Why there is no roster, in the user's words, for the attestation."""
    quarantine_key: bytes | None = None


def build_corpus(request: BuildRequest) -> CorpusManifest:
    """Build the corpus, go on with one that was interrupted, or recognise a finished one.

    Raises NotemillError for bad inputs, leaving nothing behind, and for a folder that holds anything else.
    """
    if request.num_workers < 1:
        raise NotemillError(f"--workers is {request.num_workers}; it must be at least 1.")
    _check_lists_of_people(request)
    for item in request.inputs:
        check_input(item, request.config)
    # A tagger that cannot be loaded is told before anything is read.
    load_finders(request.config.deid)
    roster = Roster(request.roster, request.config.deid.roster_names).summary if request.roster else None
    inputs = hash_inputs(request.inputs)
    identity = _identity(request, inputs, roster)
    finished = _finished_corpus(request.out, identity)
    if finished is not None:
        say(f"{request.out} is already built: {finished['counts']['kept']} notes in {len(finished['shards'])} shards.")
        if any(item.kind == "sql" for item in inputs):
            say("its databases were not read again; build into another folder for what they hold now.")
        return finished
    existed = request.out.exists()
    _require_ours(request.out)
    make_private_folder(request.out)
    try:
        with only_writer(request.out):
            # Another process may have built it since we looked.
            return _finished_corpus(request.out, identity) or _build_alone(request, inputs, roster, identity)
    except BaseException:
        if not existed:
            # It goes only if it is empty.
            with contextlib.suppress(OSError):
                request.out.rmdir()
        raise


def _build_alone(
    request: BuildRequest, inputs: list[Input], roster: RosterSummary | None, identity: str
) -> CorpusManifest:
    work = _open_work_folder(request.out, _pieces_identity(request, inputs, roster))
    try:
        manifest = _build(request, inputs, roster, identity, work)
    except NotemillError as error:
        # A dead worker is no fault of the inputs, and a limit can be raised: what is finished stays for the next run.
        # After the gate's refusal someone must look at what was held back, too.
        if not isinstance(error, _WorkerDiedError | TooManyRejectsError | GateError):
            _discard(request.out)
        raise
    shutil.rmtree(work, ignore_errors=True)
    return manifest


class _WorkerDiedError(NotemillError):
    """A worker process was killed, most often for memory."""


class GateError(NotemillError):
    """The gate held back too much for the corpus to be released."""


def _check_lists_of_people(request: BuildRequest) -> None:
    if request.staff is not None:
        open_people(request.staff, "staff")
    if request.roster is not None and request.waiver_reason is not None:
        raise NotemillError(
            "--waive-roster gives a reason for having no roster, and --roster names one; take one of them."
        )
    if request.config.gate.require_roster and request.roster is None and not (request.waiver_reason or "").strip():
        raise NotemillError(
            "gate.require_roster is set and there is no --roster; name one, or record why there is none with "
            "--waive-roster REASON."
        )


def _build(
    request: BuildRequest, inputs: list[Input], roster: RosterSummary | None, identity: str, work: Path
) -> CorpusManifest:
    evaluation = _write_evaluation_index(request, work)
    context = PieceContext(
        request.config,
        request.hmac_key,
        request.roster,
        work,
        evaluation=evaluation,
        staff_path=request.staff,
        quarantine_key=request.quarantine_key,
    )
    self_test = context.verifier().self_test()
    totals: list[PieceCounts] = []
    stems: list[str] = []
    entries = [_input_entry(item) for item in inputs]
    rows_read = [hashlib.sha256() for _ in inputs]
    for piece, piece_counts in _run_pieces(inputs, context, request.num_workers):
        _add_piece(entries[piece.input_index], piece_counts)
        rows_read[piece.input_index].update(piece_counts["rows_sha256"].encode())
        totals.append(piece_counts)
        stems.append(piece.stem)
    for entry, digest in zip(entries, rows_read, strict=True):
        # What a query stands for is known only now.
        entry["sha256"] = digest.hexdigest() if entry["kind"] == "sql" else entry["sha256"]
    verdict = judge(
        [_leaks(entries, stem, item) for stem, item in zip(stems, totals, strict=True)], request.config.gate
    )
    for folder in (SHARDS_FOLDER, QUARANTINE_FOLDER, REJECTED_FOLDER, REVIEW_FOLDER):
        shutil.rmtree(request.out / folder, ignore_errors=True)
    held_stems = [stem for stem, item in zip(stems, totals, strict=True) if item["quarantined"]]
    quarantine = _write_quarantine(request, (context.held_path(stem) for stem in held_stems))
    if verdict.failed:
        raise GateError(
            f"{verdict.sentence()}; read what was held with notemill corpus quarantine {request.out}, then mend the "
            "roster or the detectors, or raise gate.max_held_share and run the same command again."
        )
    duplicates = find_duplicates(work, stems, request.config.dedup, work / _SCRATCH_FOLDER, request.num_workers)
    found = duplicates.counts
    rejected = _sum(totals, "rejected")
    counts = Counts(
        read=sum(item["read"] for item in totals),
        kept=int(sum(mask.sum() for mask in duplicates.stays)),
        rejected=rejected,
        exact_duplicates=found["exact"],
        near_duplicates=found["near_within_patient"] + found["near_across_patients"] + found["copied_forward"],
        quarantined=sum(item["quarantined"] for item in totals),
    )
    assert check_arithmetic(counts), counts
    if counts["kept"] == 0:
        reasons = ", ".join(f"{number} {reason}" for reason, number in rejected.items()) or "none rejected"
        raise NotemillError(
            f"no note is left of {counts['read']} rows ({reasons}, {counts['quarantined']} quarantined)."
        )
    lost = (_read(path, REJECTED_SCHEMA) for stem in stems if (path := work / f"{stem}.rejected.parquet").exists())
    rejected_rows = _write_rejected(request.out, lost)
    if rejected:
        say(rejects_table(entries))
    check_share(entries, request.config.rejects, f"the ids in {request.out / REJECTED_FOLDER}")
    tables = duplicates.apply(_read(work / f"{stem}.parquet") for stem in stems)
    shards = _write_shards(request.out, tables, request.config.shards.max_rows)
    phi_replaced = _sum(totals, "phi_replaced")
    manifest = CorpusManifest(
        version=CORPUS_VERSION,
        build_sha256=identity,
        config_sha256=request.config.sha256,
        config=request.config.as_dict(),
        inputs=entries,
        shards=shards,
        quarantine=quarantine,
        rejected=rejected_rows,
        counts=counts,
        duplicates=found,
        decontamination=contamination_table(
            evaluation, [item["contaminated"] for item in totals], request.config.decontamination
        )
        if evaluation is not None
        else None,
        repaired=_sum(totals, "repaired"),
        phi_replaced={name: phi_replaced[name] for name in PLACEHOLDER_CLASSES if name in phi_replaced},
        profile=dict(profile_shards(request.out, shards)),
        attestation=_attest(
            request,
            shards,
            roster,
            counts["quarantined"],
            GateEntry(
                verifier_version=VERIFIER_VERSION,
                roster=context.verifier().entries.get("patient"),
                staff=context.verifier().entries.get("staff"),
                single_names=context.verifier().single_names,
                checks=context.verifier().checks(),
                self_test=self_test,
                held=_sum(totals, "held"),
                threshold=verdict.entry,
                quarantine_encrypted=request.quarantine_key is not None,
            ),
            draw_sample(request.out, shards, request.hmac_key, request.config.gate.review_notes),
            sum(item["not_in_roster"] for item in totals),
        ),
    )
    # Without a manifest the folder is no corpus, so the report may stand there before it.
    write_report(request.out, manifest)
    write_json(request.out / MANIFEST_NAME, manifest)
    return load_corpus(request.out)


def _write_evaluation_index(request: BuildRequest, work: Path) -> Path | None:
    if not request.evaluation_sets:
        return None
    # Named by its content, because processes keep an index that they loaded.
    path = work / f"evaluation-{sets_sha256(request.evaluation_sets)[:16]}.index"
    write_index(path, request.evaluation_sets, request.config.decontamination.ngram_words)
    return path


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _run_pieces(inputs: list[Input], context: PieceContext, num_workers: int) -> Iterator[tuple[Piece, PieceCounts]]:
    """Pieces with their counts, in order. At most two pieces a worker are in memory."""
    pieces = track(_read_pieces(inputs, context.config), "pieces of notes")
    if num_workers == 1:
        for piece in pieces:
            yield _without_rows(piece), run_piece(piece, context)
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=keep_memory_private) as pool:
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
        for piece in cut_pieces(read_rows(item, config), index, config):
            num_pieces += 1
            yield piece
        require_unchanged(item)
        if num_pieces == 0 and item.is_named:
            raise NotemillError(f"{item.path} holds no notes; leave it out or check that it is the right file.")


def _without_rows(piece: Piece) -> Piece:
    return Piece(piece.input_index, piece.index, [], piece.first_row)


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


def _write_quarantine(request: BuildRequest, pieces: Iterator[Path]) -> list[ShardEntry]:
    """Join what the pieces held back; at most one file is in memory."""
    max_rows = request.config.shards.max_rows
    entries: list[ShardEntry] = []
    pending: pa.Table = QUARANTINE_SCHEMA.empty_table()

    def write(table: pa.Table) -> None:
        name = f"{QUARANTINE_FOLDER}/{quarantine_name(f'notes-{len(entries):05d}', request.quarantine_key)}"
        path = request.out / name
        make_private_folder(path.parent)
        write_held(path, table, request.quarantine_key)
        entries.append(_entry(path, name, table.num_rows, "quarantine"))

    for piece in pieces:
        pending = pa.concat_tables([pending, read_held(piece, request.quarantine_key)])
        while pending.num_rows >= max_rows:
            write(pending.slice(0, max_rows))
            pending = pending.slice(max_rows)
    if pending.num_rows:
        write(pending)
    return entries


def _entry(path: Path, name: str, rows: int, split: str) -> ShardEntry:
    return ShardEntry(path=name, rows=rows, bytes=path.stat().st_size, sha256=sha256_file(path), split=split)


def _write_rejected(out: Path, tables: Iterator[pa.Table]) -> list[ShardEntry]:
    writer = _ShardWriter(out, f"{REJECTED_FOLDER}/rows", "rejected", _REJECTED_ROWS, REJECTED_SCHEMA)
    for table in tables:
        make_private_folder(out / REJECTED_FOLDER)
        writer.add(table)
    return writer.finish()


class _ShardWriter:
    """Collects notes and writes a shard whenever `max_rows` are there."""

    def __init__(self, out: Path, prefix: str, split: str, max_rows: int, schema: pa.Schema = SHARD_SCHEMA) -> None:
        self._out, self._prefix, self._split, self._max_rows = out, prefix, split, max_rows
        self._pending: pa.Table = schema.empty_table()
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
        self._entries.append(_entry(path, name, table.num_rows, self._split))


def _read(path: Path, schema: pa.Schema = SHARD_SCHEMA) -> pa.Table:
    import pyarrow.parquet as pq

    # A name such as 00000-0000001.parquet would otherwise be searched for partitions.
    return pq.read_table(path, schema=schema, partitioning=None)


# ---- manifest --------------------------------------------------------------------------------------------------------


def _input_entry(item: Input) -> InputEntry:
    return InputEntry(
        path=str(item.path),
        kind=item.kind,
        source=item.source,
        sha256=item.sha256,
        rows=0,
        rejected={},
        settings=shown_settings(item),
    )


def _add_piece(entry: InputEntry, counts: PieceCounts) -> None:
    entry["rows"] += counts["read"]
    for reason, number in counts["rejected"].items():
        entry["rejected"][reason] = entry["rejected"].get(reason, 0) + number


def _sum(counts: list[PieceCounts], name: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for item in counts:
        total.update(item[name])  # type: ignore[literal-required]
    return dict(sorted((key, number) for key, number in total.items() if number))


def _leaks(entries: list[InputEntry], stem: str, counts: PieceCounts) -> PieceLeaks:
    source = entries[int(stem.split("-")[0])]["source"]
    return PieceLeaks(
        piece=stem, source=source, notes=counts["kept"] + counts["quarantined"], held=counts["quarantined"]
    )


def _attest(
    request: BuildRequest,
    shards: list[ShardEntry],
    roster: RosterSummary | None,
    quarantined: int,
    gate: GateEntry,
    sample_sha256: str,
    notes_not_covered: int,
) -> Attestation:
    entry = None
    if roster is not None:
        if notes_not_covered:
            say(
                f"{notes_not_covered} notes are of patients of whom {request.roster} has no row; if it should have "
                "one, their ids are written in another form there."
            )
        entry = RosterEntry(
            sha256=roster.sha256,
            patients=roster.patients,
            identifiers=roster.identifiers,
            columns_used=list(roster.columns_used),
            columns_not_used=list(roster.columns_not_used),
            notes_not_covered=notes_not_covered,
        )
    not_checked = ["names that neither a pattern nor the roster knows", "free-text descriptions of a person"]
    return Attestation(
        shards_sha256=shards_sha256(shards),
        detectors=detector_names(request.config.deid, roster is not None),
        patterns_version=PATTERNS_VERSION,
        roster=entry,
        waiver=None if roster else WAIVER,
        waivers=_waivers(request),
        verifier="roster over the output" if roster else None,
        gate=gate,
        review_sample_sha256=sample_sha256,
        quarantined=quarantined,
        not_checked=not_checked,
        statement=STATEMENT,
    )


def _waivers(request: BuildRequest) -> list[Waiver]:
    """Every check that was left out, whoever decided so."""
    waivers = []
    if request.roster is None:
        waivers.append(Waiver(check="roster of patients", meaning=WAIVER, reason=request.waiver_reason))
    if request.staff is None:
        meaning = "names of staff were looked for by pattern only"
        waivers.append(Waiver(check="list of staff", meaning=meaning, reason=None))
    if not request.config.gate.shapes:
        meaning = "the output was not searched for telephone numbers, dates and other shapes of identifiers"
        waivers.append(Waiver(check="shapes in the output", meaning=meaning, reason="gate.shapes=false"))
    if not request.config.gate.review_notes:
        meaning = "no sample was drawn for people to read"
        waivers.append(Waiver(check="review by people", meaning=meaning, reason="gate.review_notes=0"))
    return waivers


# ---- the folder ------------------------------------------------------------------------------------------------------


def _identity(request: BuildRequest, inputs: list[Input], roster: RosterSummary | None) -> str:
    """Everything that decides the bytes of the result. Paths and workers do not."""
    waiver = request.waiver_reason
    return sha256_json(
        [_pieces_identity(request, inputs, roster), request.config.sha256, *([waiver] if waiver else [])]
    )


def _pieces_identity(request: BuildRequest, inputs: list[Input], roster: RosterSummary | None) -> str:
    """Everything that decides the bytes of the pieces: all but the limits that the whole is judged by."""
    identity: dict[str, Any] = {
        "version": CORPUS_VERSION,
        "patterns": PATTERNS_VERSION,
        "verifier": VERIFIER_VERSION,
        "detectors": detectors_identity(request.config.deid),
        "config": request.config.pieces_sha256,
        "staff": sha256_file(request.staff) if request.staff else None,
        "quarantine_key": key_check(request.quarantine_key) if request.quarantine_key else None,
        "inputs": [[item.kind, item.source, item.sha256, shown_settings(item)] for item in inputs],
        "roster": roster.sha256 if roster else None,
        "key": key_check(request.hmac_key),
    }
    if request.evaluation_sets:
        identity["evaluation_sets"] = sets_sha256(request.evaluation_sets)
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
    _require_ours(out)
    work = out / WORK_FOLDER
    plan = work / _PLAN
    if plan.exists() and read_json(plan, "build plan").get("build_sha256") == identity:
        say(f"going on with the interrupted build in {out}.")
        return work
    _discard(out)
    make_private_folder(work)
    write_json(plan, {"build_sha256": identity})
    return work


def _require_ours(out: Path) -> None:
    """Raise NotemillError for a folder with files of someone else: one with neither a plan nor nothing but our own."""
    work = out / WORK_FOLDER
    if not out.exists() or (work / _PLAN).exists():
        return
    # A build that was killed before its plan leaves an empty work folder alone, one killed later has a plan in it.
    others = any(path.name not in (WORK_FOLDER, LOCK_NAME) for path in out.iterdir())
    if others or (work.exists() and any(path.suffix != ".partial" for path in work.iterdir())):
        raise NotemillError(f"{out} is not empty and holds no corpus; name another folder with --out.")


def _discard(out: Path) -> None:
    """Remove what an unfinished build left: only what builds write, never the folder of someone else."""
    for name in (SHARDS_FOLDER, QUARANTINE_FOLDER, REJECTED_FOLDER, REVIEW_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / REPORT_NAME).unlink(missing_ok=True)
    # The plan goes last: without it the rest would look like someone else's.
    work = out / WORK_FOLDER
    for path in work.iterdir() if work.is_dir() else ():
        if path.name != _PLAN:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(work, ignore_errors=True)
