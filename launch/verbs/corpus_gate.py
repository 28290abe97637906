"""`notemill corpus` review, quarantine and report: what people do with a corpus before they release it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.verbs.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
            "--export", help="Write the notes still to read as a new CSV with an empty 'outcome' column. Holds text."
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
    from data_pipeline.gate.review import load_outcomes, load_sample, record, review_status
    from data_pipeline.gate.review_sheet import read_sheet, write_sheet
    from data_pipeline.manifest import load_corpus
    from data_pipeline.report.page import write_report
    from launch.errors import NotemillError

    manifest = load_corpus(corpus)
    sample = load_sample(corpus, manifest)
    done = load_outcomes(corpus, manifest)
    unread = [note for note in sample if note["number"] not in done]
    if show is not None:
        chosen = [note for note in sample if note["number"] == show]
        if not chosen:
            raise NotemillError(f"the sample has no note {show}; its numbers go from 1 to {len(sample)}.")
        print(next(_texts(corpus, manifest, chosen))[1])
        return
    if export is not None:
        write_sheet(export, _texts(corpus, manifest, unread), manifest)
    found: dict[int, Outcome] = dict(_outcome(spec) for spec in outcomes or ())
    if filled_in is not None:
        found |= read_sheet(filled_in, manifest)
    try:
        if found:
            record(corpus, manifest, found, reviewer)
        if ask:
            _ask(corpus, manifest, [note for note in unread if note["number"] not in found], reviewer)
    finally:
        # Also where a reader stops with Ctrl-C: what was recorded until then stands in the report.
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


def _texts(
    corpus: Path, manifest: "CorpusManifest", notes: "Sequence[SampledNote]"
) -> "Iterator[tuple[SampledNote, str]]":
    """Notes with their texts, after their shards were held against the attestation."""
    from data_pipeline.gate.review import sampled_texts
    from data_pipeline.manifest import require_content

    shards = {note["shard"] for note in notes}
    require_content(corpus, [entry for entry in manifest["shards"] if entry["path"] in shards])
    return sampled_texts(corpus, notes)


def _ask(corpus: Path, manifest: "CorpusManifest", unread: "list[SampledNote]", reviewer: str) -> None:
    from launch.errors import NotemillError

    if not reviewer.strip():
        raise NotemillError("an outcome needs the reader's name; give --reviewer NAME.")
    before: SampledNote | None = None
    for place, (note, text) in enumerate(_texts(corpus, manifest, unread), start=1):
        _show(f"note {note['number']} · {note['note_type'] or '(no type)'} · {place} of {len(unread)} unread", text)
        answer = _answer()
        while answer == "b":
            if before is None:
                print("there is no note before this one.", file=sys.stderr)
            else:
                _show(f"note {before['number']}, again", next(_texts(corpus, manifest, [before]))[1])
                _record_answer(
                    corpus, manifest, before, _answer("clean (c), leak (l), leave as it is (s)", "cls"), reviewer
                )
                _show(f"note {note['number']}, again", text)
            answer = _answer()
        if answer == "q":
            return
        _record_answer(corpus, manifest, note, answer, reviewer)
        before = note


def _show(title: str, text: str) -> None:
    from rich.text import Text

    from data_pipeline.placeholders import PLACEHOLDER_PATTERN
    from launch.console import console

    shown = Text(text)
    shown.highlight_regex(PLACEHOLDER_PATTERN, "cyan")
    console.rule(Text(title))
    console.print(shown)


def _answer(question: str = "clean (c), leak (l), skip (s), one back (b), stop (q)", letters: str = "clsbq") -> str:
    answer = ""
    while not answer or answer not in letters:
        answer = typer.prompt(question, err=True).strip().lower()[:1]
    return answer


def _record_answer(corpus: Path, manifest: "CorpusManifest", note: "SampledNote", answer: str, reviewer: str) -> None:
    """At once: a reader's work outlives a closed terminal."""
    from data_pipeline.gate.review import record

    if answer != "s":
        record(corpus, manifest, {note["number"]: "leak" if answer == "l" else "clean"}, reviewer)
