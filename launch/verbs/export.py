"""`notemill export`: from a checkpoint to a Hugging Face folder."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "export",
        epilog=examples(
            "notemill export --checkpoint run/checkpoints/step-00001000 --out hf",
            "notemill export --checkpoint run/checkpoints/$(ls run/checkpoints | tail -1) --out hf",
            "python -c \"from transformers import AutoModel; AutoModel.from_pretrained('hf')\"",
        ),
    )(export)


def export(
    checkpoint: Annotated[Path, typer.Option(help="A folder RUN/checkpoints/step-XXXXXXXX.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="The Hugging Face folder to write.", metavar="DIR")],
) -> None:
    """Convert a checkpoint of any layout to a folder that AutoModel and AutoTokenizer load, and prove its logits."""
    from pretrain.huggingface.export import export as export_checkpoint

    export_checkpoint(checkpoint, out)
