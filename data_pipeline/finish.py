"""From finished pieces to the corpus: judge what the gate held, find duplicates, write shards, attest, report.

    pieces/*.json ── totals ──> judge ──> go on, or fail with quarantine/ written
    pieces/*.{digests,notes,bands,shingles,paragraphs} ── find_duplicates ──> which notes stay
    pieces/*.parquet ── in order, those that stay ──> shards/{split}-{index}.parquet ──> manifest.json

Of the pieces one file at a time is in memory, and for every note a few bits.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from data_pipeline.decontamination import Contamination, contamination_table
from data_pipeline.dedup.duplicates import Duplicates, find_duplicates
from data_pipeline.deid.roster import Roster, RosterSummary
from data_pipeline.files import write_json
from data_pipeline.gate.attestation import attest
from data_pipeline.gate.review import draw_sample
from data_pipeline.gate.threshold import PieceLeaks, Verdict, judge
from data_pipeline.gate.verifier import VERIFIER_VERSION, SelfTest, Verifier
from data_pipeline.manifest import (
    CORPUS_VERSION,
    MANIFEST_NAME,
    REJECTED_FOLDER,
    SHARD_SCHEMA,
    CorpusManifest,
    Counts,
    GateEntry,
    InputEntry,
    check_arithmetic,
    load_corpus,
)
from data_pipeline.parquet_files import read_table
from data_pipeline.pieces import PieceCounts
from data_pipeline.placeholders import PLACEHOLDER_CLASSES
from data_pipeline.plan import BuildPlan, Secrets
from data_pipeline.profile import profile_shards
from data_pipeline.readers.inputs import Input, shown_settings
from data_pipeline.rejects import REJECTED_ROW_SCHEMA, check_share, rejects_table
from data_pipeline.report.page import write_report
from data_pipeline.shards import write_quarantine, write_rejected, write_shards
from data_pipeline.work_folder import clear_results
from launch.console import say
from launch.errors import NotemillError


class GateError(NotemillError):
    """The gate held back too much for the corpus to be released."""


def finish(plan: BuildPlan, secrets: Secrets, num_workers: int = 1) -> CorpusManifest:
    """Make the corpus of `plan` out of its pieces, all of which must be there.

    Raises GateError when too much was held back, TooManyRejectsError when too many rows were lost, and NotemillError
    when no note is left.
    """
    out, work, config = plan.out, plan.work, plan.config
    verifier = plan.context(secrets).verifier()
    self_test = verifier.self_test()
    stems = [stem for _, stem in work.stems(plan.inputs)]
    totals = _Totals([_input_entry(item) for item in plan.inputs])
    verdict = judge(totals.add_all(plan), config.gate)
    if totals.rejected:
        say(rejects_table(totals.inputs))
    if (out / MANIFEST_NAME).exists():
        _refuse_bad_addition(plan, totals, verdict)
    # From here on the folder is no corpus until the new manifest stands.
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    work.keep_only(plan.inputs)
    clear_results(out)
    held = (plan.context(secrets).held_path(stem) for stem in totals.held_stems)
    quarantine = write_quarantine(out, held, config.shards.max_rows, secrets.quarantine_key)
    if verdict.failed:
        raise GateError(
            f"{verdict.sentence()}; read what was held with notemill corpus quarantine {out}, then mend the "
            "roster or the detectors, or raise gate.max_held_share and run the same command again."
        )
    duplicates = find_duplicates(work.pieces, stems, config.dedup, work.scratch / "grouping", num_workers)
    counts = _counts(totals, duplicates)
    rejected_rows = write_rejected(out, _rejected_rows(plan))
    told = f"see the table above and the ids in {out / REJECTED_FOLDER}, then mend the input or allow more"
    check_share(totals.inputs, config.rejects, told)
    tables = duplicates.apply(read_table(work.pieces / f"{stem}.parquet", SHARD_SCHEMA) for stem in stems)
    shards = write_shards(out, tables, config.shards.max_rows)
    if totals.not_in_roster:
        say(
            f"{totals.not_in_roster} notes are of patients of whom {plan.roster} has no row; if it should have one, "
            "their ids are written in another form there."
        )
    manifest = CorpusManifest(
        version=CORPUS_VERSION,
        build_sha256=plan.identity,
        config_sha256=config.sha256,
        config=config.as_dict(),
        inputs=totals.inputs,
        shards=shards,
        quarantine=quarantine,
        rejected=rejected_rows,
        counts=counts,
        duplicates=duplicates.counts,
        decontamination=contamination_table(plan.evaluation, totals.contaminated, config.decontamination)
        if plan.evaluation is not None
        else None,
        repaired=_sorted(totals.repaired),
        phi_replaced={name: totals.phi_replaced[name] for name in PLACEHOLDER_CLASSES if totals.phi_replaced[name]},
        profile=dict(profile_shards(out, shards)),
        pieces_sha256=work.pieces_sha256(plan.inputs) if plan.keeps_pieces else None,
        attestation=attest(
            shards,
            config,
            _roster_summary(plan),
            plan.staff is not None,
            plan.waiver_reason,
            counts["quarantined"],
            _gate_entry(verifier, self_test, totals, verdict, is_encrypted=secrets.quarantine_key is not None),
            draw_sample(out, shards, secrets.hmac_key, config.gate.review_notes),
            totals.not_in_roster,
        ),
    )
    # Without a manifest the folder is no corpus, so the report may stand there before it.
    write_report(out, manifest)
    write_json(out / MANIFEST_NAME, manifest)
    work.close(plan.keeps_pieces)
    return load_corpus(out)


def _counts(totals: "_Totals", duplicates: Duplicates) -> Counts:
    """Where every row went. Raises NotemillError when no note is left."""
    found = duplicates.counts
    counts = Counts(
        read=totals.read,
        kept=int(sum(mask.sum() for mask in duplicates.stays)),
        rejected=_sorted(totals.rejected),
        exact_duplicates=found["exact"],
        near_duplicates=found["near_within_patient"] + found["near_across_patients"] + found["copied_forward"],
        quarantined=totals.quarantined,
    )
    assert check_arithmetic(counts), counts
    if counts["kept"] == 0:
        reasons = ", ".join(f"{number} {reason}" for reason, number in counts["rejected"].items()) or "none rejected"
        raise NotemillError(
            f"no note is left of {counts['read']} rows ({reasons}, {counts['quarantined']} quarantined)."
        )
    return counts


def _rejected_rows(plan: BuildPlan) -> Iterator[tuple[int, pa.Table]]:
    """The pieces' tables of rows that became no note, each with its input's place in the list."""
    for place, stem in plan.work.stems(plan.inputs):
        path = plan.work.pieces / f"{stem}.rejected.parquet"
        if path.exists():
            yield place, read_table(path, REJECTED_ROW_SCHEMA)


def _gate_entry(
    verifier: Verifier, self_test: SelfTest, totals: "_Totals", verdict: Verdict, is_encrypted: bool
) -> GateEntry:
    return GateEntry(
        verifier_version=VERIFIER_VERSION,
        roster=verifier.entries.get("patient"),
        staff=verifier.entries.get("staff"),
        single_names=verifier.single_names,
        checks=verifier.checks(),
        self_test=self_test,
        held=_sorted(totals.held),
        threshold=verdict.entry,
        quarantine_encrypted=is_encrypted,
    )


def _refuse_bad_addition(plan: BuildPlan, totals: "_Totals", verdict: Verdict) -> None:
    """Raise what would end a build of all inputs before anything of the corpus that is there is touched."""
    remedy = f"{plan.out} stands as it was: mend what is added, or build all inputs into another folder"
    if verdict.failed:
        raise GateError(f"{verdict.sentence()}; {remedy}.")
    check_share(totals.inputs, plan.config.rejects, f"see the table above; {remedy}")


@dataclass
class _Totals:
    """Counts over all pieces, and by input."""

    inputs: list[InputEntry]
    read: int = 0
    quarantined: int = 0
    not_in_roster: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    phi_replaced: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    held_stems: list[str] = field(default_factory=list)
    contaminated: list[dict[str, Contamination]] = field(default_factory=list)

    def add_all(self, plan: BuildPlan) -> Iterator[PieceLeaks]:
        """Add every piece, and yield what the gate held of it."""
        rows_read = [hashlib.sha256() for _ in self.inputs]
        for place, stem in plan.work.stems(plan.inputs):
            counts = plan.work.counts(stem)
            self._add(self.inputs[place], stem, counts)
            rows_read[place].update(counts["rows_sha256"].encode())
            yield PieceLeaks(
                piece=f"{place:05d}-{stem.rpartition('/')[2]}",
                source=self.inputs[place]["source"],
                notes=counts["kept"] + counts["quarantined"],
                held=counts["quarantined"],
            )
        for entry, digest in zip(self.inputs, rows_read, strict=True):
            # What a query stands for is known only now.
            entry["sha256"] = digest.hexdigest() if entry["kind"] == "sql" else entry["sha256"]

    def _add(self, entry: InputEntry, stem: str, counts: PieceCounts) -> None:
        self.read += counts["read"]
        entry["rows"] += counts["read"]
        self.quarantined += counts["quarantined"]
        self.not_in_roster += counts["not_in_roster"]
        for reason, number in counts["rejected"].items():
            entry["rejected"][reason] = entry["rejected"].get(reason, 0) + number
        for name in ("rejected", "repaired", "phi_replaced", "held"):
            getattr(self, name).update(counts[name])
        if counts["quarantined"]:
            self.held_stems.append(stem)
        if counts["contaminated"]:
            self.contaminated.append(counts["contaminated"])


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


def _sorted(counts: Counter[Any]) -> dict[str, int]:
    return dict(sorted((key, number) for key, number in counts.items() if number))


def _roster_summary(plan: BuildPlan) -> RosterSummary | None:
    return Roster(plan.roster, plan.config.deid.roster_names).summary if plan.roster else None
