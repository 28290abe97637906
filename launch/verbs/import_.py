"""`notemill import`: from a published Hugging Face folder to a checkpoint that training starts from."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples

LONGEST_INPUT = 65_536


def register(app: typer.Typer) -> None:
    app.command(
        "import",
        epilog=examples(
            "notemill import --hf gatortron-base --out base",
            "notemill import --hf gatortron-base --out base --tokenizer tokenizer --max-positions 1024",
            "notemill train --config base/config.yaml data.path=tokens run.dir=run train.lr=5e-5",
        ),
    )(import_)


def import_(
    hf: Annotated[
        Path, typer.Option(help="A megatron-bert folder: config.json, weights and tokenizer.", metavar="DIR")
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint folder to write.", metavar="DIR")],
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="A notemill tokenizer folder to go on with; rows of its pieces are taken from the model's own.",
            metavar="DIR",
        ),
    ] = None,
    max_positions: Annotated[
        int | None,
        typer.Option(help="Longest input to go on with; position embeddings are repeated.", min=1, max=LONGEST_INPUT),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]...", help="How the model's tokenizer is read, as in tokenizer import."),
    ] = None,
) -> None:
    """Make a checkpoint of a published encoder, from which `notemill train` goes on on any layout."""
    from launch.config import load_config
    from pretrain.huggingface.importing import import_model
    from tokenizer.importing import ImportConfig

    import_model(hf, out, tokenizer, max_positions, load_config(ImportConfig, None, settings or ()))
