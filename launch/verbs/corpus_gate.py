"""`notemill corpus` review, quarantine and report: what people do with a corpus before they release it."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.verbs.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.gate.review import Outcome, SampledNote
    from data_pipeline.manifest import CorpusManifest

QUARANTINE_KEY_VARIABLE = "NOTEMILL_QUARANTINE_KEY_FILE"


def add_to(group: typer.Typer) -> None:
    """Add the verbs to the group of `notemill corpus`."""
    group.command(
        "review",
        epilog=examples(
            "notemill corpus review corpus --reviewer 'A. Reader'",
            "notemill corpus review corpus --export to_read.csv",
            "notemill corpus review corpus --import to_read.csv --reviewer 'A. Reader'",
        ),
    )(review)
    group.command(
        "quarantine",
        epilog=examples(
            "notemill corpus quarantine corpus",
            "notemill corpus quarantine corpus --out held.jsonl",
            "notemill corpus quarantine corpus --quarantine-key key --out held.jsonl",
        ),
    )(quarantine)
    group.command(
        "report",
        epilog=examples(
            "notemill corpus report corpus",
            "notemill corpus report /data/corpus && xdg-open /data/corpus/report.html",
            "notemill corpus report corpus && notemill corpus verify corpus",
        ),
    )(report)


def review(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the corpus.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who read the notes; recorded with each outcome.")] = "",
    outcomes: Annotated[
        list[str] | None,
        typer.Option("--record", metavar="NUMBER=clean|leak", help="Record one outcome. Repeat for several."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", help="Write the notes still to read as CSV with an empty 'outcome' column. Holds text."
        ),
    ] = None,
    filled_in: Annotated[
        Path | None, typer.Option("--import", help="Record the outcomes of such a CSV: clean, leak, or empty.")
    ] = None,
    show: Annotated[int | None, typer.Option("--show", metavar="NUMBER", help="Print one note of the sample.")] = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Show the unread notes one by one and ask; needs --reviewer.")
    ] = False,
) -> None:
    """Record what people found in the notes drawn for review; prints where the review stands as JSON."""
    from data_pipeline.gate.review import load_outcomes, load_sample, record, review_status, sampled_texts
    from data_pipeline.manifest import attested_shards
    from data_pipeline.report.page import write_report
    from launch.errors import NotemillError

    manifest = attested_shards(corpus)
    sample = load_sample(corpus, manifest)
    done = load_outcomes(corpus, manifest)
    unread = [note for note in sample if note["number"] not in done]
    if show is not None:
        chosen = [note for note in sample if note["number"] == show]
        if not chosen:
            raise NotemillError(f"the sample has no note {show}; its numbers go from 1 to {len(sample)}.")
        print(next(text for _, text in sampled_texts(corpus, chosen)))
        return
    if export is not None:
        _export(export, sampled_texts(corpus, unread))
    found: dict[int, Outcome] = dict(_outcome(spec) for spec in outcomes or ())
    if filled_in is not None:
        found |= _read_filled_in(filled_in)
    if found:
        record(corpus, manifest, found, reviewer)
    if ask:
        _ask(corpus, manifest, [note for note in unread if note["number"] not in found], reviewer)
    write_report(corpus, manifest)
    print(json.dumps(review_status(corpus, manifest), indent=2))


def quarantine(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the corpus, or of a build that failed.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the held notes there as JSON lines. Holds text.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--quarantine-key", envvar=QUARANTINE_KEY_VARIABLE, help="The key that the corpus was built with, if any."
        ),
    ] = None,
) -> None:
    """Read back the notes that the gate held; prints their counts by check and source as JSON, and no text."""
    from collections import Counter

    import orjson

    from data_pipeline.files import atomic_write
    from data_pipeline.gate.quarantine import iter_held, read_key
    from data_pipeline.manifest import QUARANTINE_FOLDER
    from launch.errors import NotemillError

    key = read_key(key_file) if key_file else None
    if not corpus.is_dir():
        raise NotemillError(f"no folder at {corpus}; name the folder of a corpus.")
    files = sorted((corpus / QUARANTINE_FOLDER).glob("notes-*.parquet*"))
    checks: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for note in iter_held(files, key):
        checks.update(note["checks"].split("; "))
        sources[note["source"]] += 1
    if out is not None:
        with atomic_write(out) as temporary, temporary.open("wb") as stream:
            stream.writelines(orjson.dumps(note) + b"\n" for note in iter_held(files, key))
    print(
        json.dumps(
            {"held": sources.total(), "checks": dict(sorted(checks.items())), "sources": dict(sources)}, indent=2
        )
    )


def report(corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the corpus.")]) -> None:
    """Write report.html again from the manifest and the review, and print its path."""
    from data_pipeline.manifest import load_corpus
    from data_pipeline.report.page import write_report

    print(write_report(corpus, load_corpus(corpus)))


def _outcome(spec: str) -> "tuple[int, Outcome]":
    from launch.errors import NotemillError

    number, _, outcome = spec.partition("=")
    if not number.isdigit() or outcome not in ("clean", "leak"):
        raise NotemillError(f"--record '{spec}' is not NUMBER=clean or NUMBER=leak.")
    return int(number), outcome  # type: ignore[return-value]


def _export(path: Path, notes: "Iterator[tuple[SampledNote, str]]") -> None:
    from data_pipeline.files import atomic_write

    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["number", "note_type", "outcome", "text"])
        for note, text in notes:
            writer.writerow([note["number"], note["note_type"], "", text])


def _read_filled_in(path: Path) -> "dict[int, Outcome]":
    from data_pipeline.readers.tables import csv_header, csv_rows
    from launch.errors import NotemillError

    if not path.is_file():
        raise NotemillError(f"no file at {path}; check --import.")
    if not {"number", "outcome"} <= set(csv_header(path)):
        raise NotemillError(f"{path} has no columns 'number' and 'outcome'; --export writes such a file.")
    found: dict[int, Outcome] = {}
    for line, row in enumerate(csv_rows(path), start=2):
        if row.values is None:
            raise NotemillError(f"record {line} of {path} has another number of fields than its header.")
        outcome = row.values["outcome"].strip().lower()
        if not outcome:
            continue
        if outcome not in ("clean", "leak") or not row.values["number"].strip().isdigit():
            raise NotemillError(
                f"record {line} of {path} needs a number, and 'clean', 'leak' or nothing as its outcome."
            )
        found[int(row.values["number"])] = outcome  # type: ignore[assignment]
    return found


def _ask(corpus: Path, manifest: "CorpusManifest", unread: "list[SampledNote]", reviewer: str) -> None:
    from data_pipeline.gate.review import record, sampled_texts
    from launch.console import console
    from launch.errors import NotemillError

    if not reviewer:
        raise NotemillError("an outcome needs the reader's name; give --reviewer NAME.")
    for place, (note, text) in enumerate(sampled_texts(corpus, unread), start=1):
        console.rule(f"note {note['number']} · {note['note_type']} · {place} of {len(unread)} unread")
        console.print(text, markup=False)
        answer = ""
        while answer not in ("c", "l", "s", "q"):
            answer = typer.prompt("clean (c), leak (l), skip (s), stop (q)", err=True).strip().lower()[:1]
        if answer == "q":
            return
        if answer != "s":
            # Written at once: a reader's work outlives a closed terminal.
            record(corpus, manifest, {note["number"]: "leak" if answer == "l" else "clean"}, reviewer)
