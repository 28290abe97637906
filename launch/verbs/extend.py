"""`notemill extend`: from a model of 512 tokens to one for long documents."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples

LONGEST_INPUT = 65_536


def register(app: typer.Typer) -> None:
    app.command(
        "extend",
        epilog=examples(
            "notemill extend --model hf --max-length 4096 --out hf-long",
            "notemill extend --model hf --max-length 1024 --window 256 --out hf-1024",
            "notemill import --hf hf-long --out long0 && notemill train --config long0/config.yaml data.path=tokens "
            "run.dir=long",
        ),
    )(extend)


def extend(
    model: Annotated[Path, typer.Option(help="A megatron-bert folder with its tokenizer.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    max_length: Annotated[int, typer.Option(help="Longest input of the new model.", min=2, max=LONGEST_INPUT)] = 4096,
    window: Annotated[
        int, typer.Option(help="Tokens that each token attends to, half on either side, besides [CLS]; even.", min=2)
    ] = 512,
) -> None:
    """Give a model a sliding window and positions for long texts; short ones are read as before, which is measured."""
    from pretrain.huggingface.extend import extend as extend_model

    extend_model(model, out, max_length, window)
