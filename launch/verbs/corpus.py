"""`notemill corpus`: build, verify, score-deid; the verbs around the gate are in `corpus_gate`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs import corpus_gate
from launch.verbs.examples import examples

KEY_VARIABLE = "NOTEMILL_HMAC_KEY_FILE"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="corpus",
        help="Turn notes into a corpus: cleaned, de-identified, deduplicated, split by patient.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command(
        "build",
        epilog=examples(
            "notemill corpus build --input noteevents:NOTEEVENTS.csv.gz --out corpus --roster patients.csv",
            "notemill corpus build --input omop:note/ --input letters=jsonl:letters.jsonl.zst --out corpus --workers 8",
            "notemill corpus build --add --input 'csv:notes/*.csv.gz?text=body&patient=mrn' --out corpus",
        ),
    )(build)
    group.command(
        "verify",
        epilog=examples(
            "notemill corpus verify corpus",
            "notemill corpus verify /data/corpus && notemill tokenizer train --corpus /data/corpus --out vocab",
            "notemill corpus verify corpus | jq .shards",
        ),
    )(verify)
    group.command(
        "score-deid",
        epilog=examples(
            "notemill corpus score-deid --gold gold.jsonl",
            "notemill corpus score-deid --gold gold.jsonl --roster patients.csv",
            "notemill corpus score-deid --gold marked/test.jsonl --roster patients.csv deid.tagger=tagger/model",
        ),
    )(score_deid)
    corpus_gate.add_to(group)
    group.command(
        "split-gold",
        epilog=examples(
            "notemill corpus split-gold --gold gold.jsonl --out marked",
            "notemill corpus split-gold --gold gold.jsonl --out marked --test 0.5",
            "notemill eval run --model hf --task ner --data spans:marked --out tagger save_model=true",
        ),
    )(split_gold)
    app.add_typer(group)


def build(
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="[NAME=]KIND:PATH[?key=value&...]",
            help="File, folder, glob or address to read; KIND is noteevents, omop, jsonl, csv, parquet, text, sql or "
            "fhir. Repeat for several. NAME fills the source column; keys say which column is the text, id, patient, "
            "type, date or source.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the corpus.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings.")] = None,
    roster: Annotated[
        Path | None,
        typer.Option("--roster", help="CSV of the patients' own identifiers; without it a waiver is recorded."),
    ] = None,
    staff: Annotated[
        Path | None,
        typer.Option("--staff", help="CSV of names and numbers of staff; the gate looks for them in the output."),
    ] = None,
    waiver_reason: Annotated[
        str | None,
        typer.Option("--waive-roster", metavar="REASON", help="Why there is no roster; stands in the attestation."),
    ] = None,
    quarantine_key_file: Annotated[
        Path | None,
        typer.Option(
            "--quarantine-key",
            envvar=corpus_gate.QUARANTINE_KEY_VARIABLE,
            help="Secret that held notes are encrypted with; without it they are plain Parquet, 0600.",
        ),
    ] = None,
    num_workers: Annotated[int, typer.Option("--workers", help="Processes; the result does not depend on it.")] = 1,
    adds: Annotated[
        bool, typer.Option("--add", help="Add the inputs to the corpus in --out; its own are not read again.")
    ] = False,
    keeps_pieces: Annotated[
        bool,
        typer.Option(
            "--keep-pieces/--discard-pieces", help="Leave in the folder what inputs can be added to, or save the disk."
        ),
    ] = True,
    waits: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait",
            help="Under executor.name=slurm: come back when the corpus is there, or at once, printing the jobs; the "
            "same command ends the build when they are through.",
        ),
    ] = True,
    config_file: Annotated[Path | None, typer.Option("--config", help="YAML file of settings.")] = None,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(
            "--decontaminate",
            metavar="FORMAT:PATH",
            help="Evaluation set, as for eval run; notes that hold passages of it are left out. Repeat for several.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            envvar=KEY_VARIABLE,
            help="Secret that patient keys and splits are made with; generated where it does not exist. "
            "Default: notemill/hmac.key in the user's configuration folder.",
        ),
    ] = None,
) -> None:
    """Read notes, clean, de-identify and deduplicate them, and write Parquet shards with a manifest."""
    from data_pipeline.build import BuildRequest, SubmittedError, build_corpus
    from data_pipeline.config import CorpusConfig
    from data_pipeline.decontamination import EvaluationSet
    from data_pipeline.gate.attestation import WAIVER
    from data_pipeline.gate.quarantine import read_key
    from data_pipeline.patients import load_or_create_key
    from data_pipeline.readers.inputs import parse_inputs
    from launch.config import load_config
    from launch.console import say

    overrides, specs = _sets_among(overrides or [], decontaminate or [])
    config = load_config(CorpusConfig, config_file, overrides)
    files = parse_inputs(inputs)
    key = load_or_create_key(_outside(key_file or _default_key_file(), out))
    if roster is None:
        say(f"no --roster: {WAIVER}.")
    quarantine_key = read_key(_outside(quarantine_key_file, out)) if quarantine_key_file else None
    sets = [EvaluationSet(spec, _evaluation_texts(spec)) for spec in specs]
    request = BuildRequest(
        files,
        out,
        config,
        key,
        roster,
        num_workers,
        evaluation_sets=sets,
        staff=staff,
        waiver_reason=waiver_reason,
        quarantine_key=quarantine_key,
        key_file=key_file or _default_key_file(),
        quarantine_key_file=quarantine_key_file,
        adds=adds,
        keeps_pieces=keeps_pieces,
        waits=waits,
    )
    try:
        manifest = build_corpus(request)
    except SubmittedError as submitted:
        print(json.dumps({"jobs": submitted.jobs}))
        return
    counts = manifest["counts"]
    rejected = ", ".join(f"{number} {reason}" for reason, number in counts["rejected"].items()) or "0"
    say(
        f"{counts['read']} rows read: {counts['kept']} kept, {counts['exact_duplicates']} exact and "
        f"{counts['near_duplicates']} near duplicates, {counts['quarantined']} quarantined, rejected: {rejected}."
    )


def _sets_among(arguments: list[str], specs: list[str]) -> tuple[list[str], list[str]]:
    """Settings and evaluation sets: in `--decontaminate brat:a squad:b` the second stands where settings do."""
    if not specs:
        return arguments, specs
    more = [item for item in arguments if ":" in item.partition("=")[0] and "." not in item.partition(":")[0]]
    return [item for item in arguments if item not in more], [*specs, *more]


def _evaluation_texts(spec: str) -> list[str]:
    from data_pipeline.cleaning.characters import clean
    from eval.formats.texts import read_texts

    return [clean(text) for text in read_texts(spec)]


def verify(corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the corpus.")]) -> None:
    """Re-hash every file of a corpus against its manifest; fails on any difference."""
    from data_pipeline.manifest import load_corpus, verify_corpus
    from launch.errors import NotemillError

    problems = verify_corpus(corpus)
    if problems:
        raise NotemillError(f"the corpus {corpus} differs from its manifest: {'; '.join(problems)}.")
    manifest = load_corpus(corpus)
    print(json.dumps({"ok": True, "shards": len(manifest["shards"]), "notes": manifest["counts"]["kept"]}))


def score_deid(
    gold: Annotated[Path, typer.Option("--gold", help='JSON lines of {"text", "spans": [{"start", "end", "label"}]}.')],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings.")] = None,
    roster: Annotated[Path | None, typer.Option("--roster", help="CSV of the patients' own identifiers.")] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="YAML file of settings.")] = None,
) -> None:
    """Score de-identification on notes with marked identifiers; prints recall, precision and leaks as JSON."""
    from data_pipeline.config import CorpusConfig
    from data_pipeline.deid.roster import Roster
    from data_pipeline.deid.score import read_gold, score_deid
    from launch.config import load_config

    config = load_config(CorpusConfig, config_file, overrides or ())
    known = Roster(roster, config.deid.roster_names) if roster is not None else None
    print(json.dumps(score_deid(read_gold(gold), known, config.deid), indent=2))


def split_gold(
    gold: Annotated[Path, typer.Option("--gold", help='JSON lines of {"text", "spans": [{"start", "end", "label"}]}.')],
    out: Annotated[Path, typer.Option("--out", help="Folder for train.jsonl, dev.jsonl and test.jsonl.")],
    test_share: Annotated[float, typer.Option("--test", help="Share of patients to score on.")] = 0.3,
    dev_share: Annotated[float, typer.Option("--dev", help="Share of patients to choose the epoch on.")] = 0.1,
) -> None:
    """Divide marked notes by patient and text, to train a tagger on a part and score it on the rest."""
    from data_pipeline.deid.split_gold import split_gold as divide

    print(json.dumps(divide(gold, out, test_share, dev_share)))


def _default_key_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "notemill" / "hmac.key"


def _outside(key_file: Path, out: Path) -> Path:
    from launch.errors import NotemillError

    if key_file.resolve().is_relative_to(out.resolve()):
        raise NotemillError(f"the key file {key_file} lies in the corpus {out}; keep the key outside of it.")
    return key_file
