"""`notemill tokenizer`: train, import, report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="tokenizer",
        help="Learn a vocabulary from a corpus or bring one in, and measure it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command(
        "train",
        epilog=examples(
            "notemill tokenizer train --corpus corpus --out vocab",
            "notemill tokenizer train --corpus corpus --out vocab vocab_size=30080 max_digits=2",
            "notemill tokenizer train --corpus corpus --out vocab kind=sentencepiece_unigram seed=7",
        ),
    )(train)
    group.command(
        "import",
        epilog=examples(
            "notemill tokenizer import --from gatortron-base/vocab.txt --out vocab lower_case=false",
            "notemill tokenizer import --from spm.model --out vocab add_missing=true",
            "notemill tokenizer import --from roberta-base --out vocab placeholders=false vocab_multiple=1",
        ),
    )(import_)
    group.command(
        "report",
        epilog=examples(
            "notemill tokenizer report --tokenizer vocab --corpus corpus",
            "notemill tokenizer report --tokenizer vocab --corpus corpus --against bert-base-cased --against gpt2",
            "notemill tokenizer report --tokenizer vocab --corpus corpus --terms formulary.txt --retrain",
        ),
    )(report)
    app.add_typer(group)


def train(
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus; its train split is read.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder of the tokenizer.", metavar="DIR")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.", metavar="F")] = None,
) -> None:
    """Train a tokenizer, cased WordPiece unless kind= says otherwise; equal corpus and settings give equal files."""
    from launch.config import load_config
    from launch.console import say
    from tokenizer.settings import TokenizerConfig
    from tokenizer.training import train_tokenizer

    manifest = train_tokenizer(corpus, out, load_config(TokenizerConfig, config, overrides or ()))
    say(f"{manifest['vocab_size']} pieces in {out}, fingerprint {manifest['fingerprint'][:12]}.")


def import_(
    source: Annotated[
        Path,
        typer.Option(
            "--from", help="A tokenizer.json, a sentencepiece .model, a vocab.txt, or a folder.", metavar="PATH"
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tokenizer.", metavar="DIR")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.", metavar="F")] = None,
) -> None:
    """Make a tokenizer folder from a tokenizer of another make; its ids stay."""
    from launch.config import load_config
    from launch.console import say
    from tokenizer.importing import ImportConfig, import_tokenizer

    manifest = import_tokenizer(source, out, load_config(ImportConfig, config, overrides or ()))
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
