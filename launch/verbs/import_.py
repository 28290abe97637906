"""`notemill import`: from a published model to a checkpoint that training starts from."""

from pathlib import Path
from typing import Annotated

import typer

from launch.errors import NotemillError
from launch.verbs.examples import examples

LONGEST_INPUT = 65_536


def register(app: typer.Typer) -> None:
    app.command(
        "import",
        epilog=examples(
            "notemill import --hf gatortron-base --out base",
            "notemill import --hf gatortron-base --out base --tokenizer tokenizer --max-positions 1024",
            "notemill import --megatron-lm bert_345m --vocab vocab.txt --out base",
            "notemill train --config base/config.yaml data.path=tokens run.dir=run train.lr=5e-5",
        ),
    )(import_)


def import_(
    out: Annotated[Path, typer.Option(help="The checkpoint folder to write.", metavar="DIR")],
    hf: Annotated[
        Path | None, typer.Option(help="A megatron-bert folder: config.json, weights and tokenizer.", metavar="DIR")
    ] = None,
    megatron_lm: Annotated[
        Path | None,
        typer.Option(help="Instead, a BERT checkpoint of Megatron-LM: mp_rank_XX/model_optim_rng.pt.", metavar="DIR"),
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(help="The model's vocab.txt, where its folder holds no tokenizer.", metavar="FILE"),
    ] = None,
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

    if (hf is None) == (megatron_lm is None):
        raise NotemillError("give either --hf or --megatron-lm, the folder of the model that is to be imported.")
    folder = hf or megatron_lm
    assert folder is not None
    import_model(
        folder,
        out,
        tokenizer,
        max_positions,
        load_config(ImportConfig, None, settings or ()),
        form="huggingface" if hf else "megatron-lm",
        vocab=vocab,
    )
