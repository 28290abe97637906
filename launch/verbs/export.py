"""`notemill export`: from a checkpoint to a Hugging Face folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "export",
        epilog=examples(
            "notemill export --checkpoint run/checkpoints/step-00001000 --out hf",
            "notemill export --checkpoint run/checkpoints/latest --out hf --dtype bf16",
            "python -c \"from transformers import AutoModel; AutoModel.from_pretrained('hf')\"",
        ),
    )(export)


def export(
    checkpoint: Annotated[Path, typer.Option(help="A folder RUN/checkpoints/step-XXXXXXXX.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="The Hugging Face folder to write.", metavar="DIR")],
    dtype: Annotated[Literal["fp32", "bf16"], typer.Option(help="What weights are saved in.")] = "fp32",
    vocab_size: Annotated[
        int | None,
        typer.Option(help="Rows of the embedding, at least the tokenizer's pieces; as trained when not given.", min=1),
    ] = None,
) -> None:
    """Convert a checkpoint of any layout to a folder that AutoModel and AutoTokenizer load, and prove its logits."""
    from pretrain.huggingface.export import ExportForm
    from pretrain.huggingface.export import export as export_checkpoint

    export_checkpoint(checkpoint, out, ExportForm(dtype, vocab_size))
