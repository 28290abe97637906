"""`notemill tokens`: build, verify."""

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
    group.command(
        "build",
        epilog=examples(
            "notemill tokens build --corpus corpus --tokenizer vocab --out tokens",
            "notemill tokens build --corpus corpus --tokenizer vocab --out tokens --workers 16",
            "notemill tokens build --corpus corpus --tokenizer vocab --out tokens | jq .tokens",
        ),
    )(build)
    group.command(
        "verify",
        epilog=examples(
            "notemill tokens verify tokens",
            "notemill tokens verify tokens && notemill train --config configs/tiny.yaml data.path=tokens",
            "notemill tokens verify tokens | jq .attestation",
        ),
    )(verify)
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


def verify(tokens: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the tokens.")]) -> None:
    """Re-hash every file of a tokens folder against its manifest; prints what was attested of the corpus as JSON."""
    from launch.errors import NotemillError
    from pretrain.data.index import read_tokens_manifest
    from pretrain.data.verify import verify_tokens

    problems = verify_tokens(tokens)
    if problems:
        raise NotemillError(f"the tokens {tokens} differ from their manifest: {'; '.join(problems)}.")
    manifest = read_tokens_manifest(tokens)
    print(json.dumps({"ok": True, "files": len(manifest.files), "attestation": manifest.attestation}, indent=2))
