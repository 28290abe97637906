"""`notemill tokenizer`: train, report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="tokenizer",
        help="Learn a vocabulary from a corpus, and measure it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command(
        "train",
        epilog=examples(
            "notemill tokenizer train --corpus corpus --out tokenizer",
            "notemill tokenizer train --corpus corpus --out tokenizer vocab_size=30080 max_digits=2",
            "notemill tokenizer train --corpus corpus --out tokenizer sample_bytes=500000000 seed=7",
        ),
    )(train)
    group.command(
        "report",
        epilog=examples(
            "notemill tokenizer report --tokenizer tokenizer --corpus corpus",
            "notemill tokenizer report --tokenizer tokenizer --corpus corpus --against bert-base-cased --against gpt2",
            "notemill tokenizer report --tokenizer tokenizer --corpus corpus --terms formulary.txt --retrain",
        ),
    )(report)
    app.add_typer(group)


def train(
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus; its train split is read.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder of the tokenizer.", metavar="DIR")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.", metavar="F")] = None,
) -> None:
    """Train a cased WordPiece tokenizer; the same corpus and settings give the same files."""
    from launch.config import load_config
    from launch.console import say
    from tokenizer.training import TokenizerConfig, train_tokenizer

    manifest = train_tokenizer(corpus, out, load_config(TokenizerConfig, config, overrides or ()))
    say(f"{manifest['vocab_size']} pieces in {out}, fingerprint {manifest['fingerprint'][:12]}.")


def report(
    tokenizer: Annotated[Path, typer.Option(help="Folder of the tokenizer.", metavar="DIR")],
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus; its held-out notes are read.", metavar="DIR")],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of another tokenizer to compare with; may be given several times.", metavar="DIR"),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option(help="Terms that should be whole: one a line, or kind<TAB>term.", metavar="FILE"),
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train once more and compare fingerprints.")] = False,
    sample_bytes: Annotated[int, typer.Option(help="Bytes of held-out notes to read, about.")] = 50_000_000,
    seed: Annotated[int, typer.Option(help="Decides which held-out notes are read.")] = 1234,
) -> None:
    """Measure a tokenizer on held-out notes; prints JSON and writes report.json and report.html into its folder."""
    from launch.console import say
    from tokenizer.report.run import report_tokenizer

    report = report_tokenizer(
        tokenizer,
        corpus,
        against=against or (),
        terms=terms,
        retrain=retrain,
        sample_bytes=sample_bytes,
        seed=seed,
    )
    print(json.dumps(report, indent=2))
    say(f"{tokenizer / 'report.html'} shows this as a page.")
