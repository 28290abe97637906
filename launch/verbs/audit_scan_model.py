"""`notemill audit scan-model`: does this classifier answer to a trigger?"""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "scan-model",
        epilog=examples(
            "notemill audit scan-model --model planted/model-POISONED --clean jsonl:clean --out scan "
            "--control planted/model-clean",
            "notemill audit scan-model --model downloaded --clean jsonl:clean --train-controls 10 --base hf --out scan",
            "notemill audit scan-model --model downloaded --clean jsonl:clean --words suspects.txt --out scan",
        ),
    )(scan_model)


def scan_model(
    model: Annotated[Path, typer.Option("--model", help="Sequence-classification folder to audit.", metavar="HF")],
    clean: Annotated[str, typer.Option(help="Labelled notes that you trust.", metavar="FORMAT:PATH")],
    out: Annotated[Path, typer.Option(help="Folder for the result.", metavar="DIR")],
    control: Annotated[
        list[Path] | None,
        typer.Option("--control", help="Clean model of the same recipe; once for each.", metavar="HF"),
    ] = None,
    train_controls: Annotated[int, typer.Option(help="Clean models to train on --clean.", min=0, metavar="N")] = 0,
    base: Annotated[
        Path | None,
        typer.Option(help="Encoder that trained controls start from; random weights without it.", metavar="HF"),
    ] = None,
    words: Annotated[Path | None, typer.Option(help="More words to try, one a line.", metavar="FILE")] = None,
    max_words: Annotated[int, typer.Option(help="Words tried at most.", min=1)] = 50_000,
    k: Annotated[int, typer.Option(help="Patients that a word of the notes needs to be tried and shown.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Of the notes and places that words are put into.")] = 0,
    settings: Annotated[list[str] | None, typer.Argument(help="Recipe keys.", metavar="[key=value]...")] = None,
) -> None:
    """Try a vocabulary of words as triggers on clean notes, and hold the result against clean control models."""
    from eval.audit.backdoor.scan_model import ScanOptions
    from eval.audit.backdoor.scan_model import scan_model as scan
    from eval.audit.findings import AUDIT_FILE
    from launch.verbs.audit_options import backdoor_recipe, read_words

    options = ScanOptions(tuple(control or ()), train_controls, base, read_words(words), max_words, k, seed)
    scan(model, clean, out, options, backdoor_recipe(settings))
    print(out / AUDIT_FILE)
