"""`notemill audit canary`: plant random sentences, then see how well a model knows them."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    canary = typer.Typer(
        help="Plant random sentences among notes, and measure how well a model remembers them.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    canary.command(
        "plant",
        epilog=examples(
            "notemill audit canary plant --notes corpus --out canaries",
            "notemill audit canary plant --notes notes.jsonl --out canaries --count 500 --repeats 1 --repeats 4",
            "notemill corpus build --input jsonl:canaries/notes.jsonl --out corpus_with_canaries",
        ),
    )(plant)
    canary.command(
        "score",
        epilog=examples(
            "notemill audit canary score --model hf_canaries --canaries canaries --corpus corpus_with_canaries "
            "--out audit/canary",
            "notemill audit canary score --model hf_canaries --canaries canaries --reference hf --out audit/canary",
            "notemill audit canary score --model hf_canaries --canaries canaries --out audit/canary --delta 1e-6",
        ),
    )(score)
    group.add_typer(canary, name="canary")


def plant(
    notes: Annotated[Path, typer.Option(help="A corpus (its training split) or JSONL.", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="Folder for notes.jsonl and canaries.json.", metavar="DIR")],
    count: Annotated[int, typer.Option(help="Canaries; a coin decides for each whether it is put in.")] = 300,
    length: Annotated[int, typer.Option(help="Words of a canary.")] = 24,
    repeats: Annotated[
        list[int] | None, typer.Option(help="Times a canary stands in the notes; given again, they take turns.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws words and coins.")] = 0,
) -> None:
    """Write the notes with canaries among them, and the list of canaries."""
    from eval.audit.canary.plant import plant_canaries

    planted, notes_written = plant_canaries(notes, out, count=count, length=length, repeats=repeats or [1], seed=seed)
    print(f"{planted} of {count} canaries are in {out / 'notes.jsonl'} ({notes_written:,} notes)")


def score(
    model: Annotated[Path, typer.Option(help="A model trained on the notes with canaries.", metavar="HF")],
    canaries: Annotated[Path, typer.Option(help="Folder of notemill audit canary plant.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder for audit.json.", metavar="DIR")],
    reference: Annotated[
        Path | None, typer.Option(help="A model of the same tokenizer without the canaries.", metavar="HF")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Corpus built of the notes with canaries; those it does not train on are left out."),
    ] = None,
    delta: Annotated[float, typer.Option(min=0, max=0.01, help="δ of the bound on ε.")] = 1e-5,
    pool: Annotated[int, typer.Option(min=10, help="Sentences never planted that ranks are taken among.")] = 1000,
    settings: Annotated[list[str] | None, typer.Argument(help="Keys of the attacks.", metavar="[key=value]...")] = None,
) -> None:
    """Exposure and rank of each canary, and a lower bound on ε from this one training."""
    from eval.audit.attacks import AttackConfig
    from eval.audit.canary.score import score_canaries
    from eval.audit.findings import AUDIT_FILE
    from eval.audit.table import print_findings
    from launch.config import load_config

    config = load_config(AttackConfig, None, settings or [])
    print_findings(score_canaries(model, canaries, out, config, reference, delta, pool, corpus).findings)
    print(out / AUDIT_FILE)
