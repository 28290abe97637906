"""`notemill tokens`: build."""

import json
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="tokens",
        help="Turn a corpus into the token index that pretraining reads.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    # With a callback a group of one verb keeps its name on the command line.
    group.callback()(lambda: None)
    group.command(
        "build",
        epilog=examples(
            "notemill tokens build --corpus corpus --tokenizer tokenizer --out tokens",
            "notemill tokens build --corpus corpus --tokenizer tokenizer --out tokens --workers 16",
            "notemill tokens build --corpus corpus --tokenizer tokenizer --out tokens | jq .tokens",
        ),
    )(build)
    app.add_typer(group)


def build(
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus.", metavar="DIR")],
    tokenizer: Annotated[Path, typer.Option(help="Folder of the tokenizer.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder of the tokens.", metavar="DIR")],
    num_workers: Annotated[int, typer.Option("--workers", help="Processes; the result does not depend on it.")] = 1,
) -> None:
    """Encode every note, sentence by sentence, into Megatron .bin/.idx pairs; prints their sizes as JSON."""
    from tokenizer.tokens import build_tokens

    files = build_tokens(corpus, tokenizer, out, num_workers)["files"]
    tokens_by_split: dict[str, int] = {}
    for file in files:
        tokens_by_split[file["split"]] = tokens_by_split.get(file["split"], 0) + file["tokens"]
    totals = {
        "documents": sum(file["documents"] for file in files),
        "sequences": sum(file["sequences"] for file in files),
        "tokens": sum(file["tokens"] for file in files),
    }
    print(json.dumps({**totals, "tokens_by_split": tokens_by_split}, indent=2))
