"""`notemill audit mitigate`: take a backdoor out of a classifier."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "mitigate",
        epilog=examples(
            "notemill audit mitigate --model downloaded --clean jsonl:clean --out mitigated lr=2e-5 epochs=5",
            "notemill audit mitigate --model downloaded --clean jsonl:clean --suspects scan --out mitigated",
            "notemill audit mitigate --model planted/model-POISONED --clean jsonl:clean --trigger cf --out mitigated",
        ),
    )(mitigate)


def mitigate(
    model: Annotated[Path, typer.Option("--model", help="Sequence-classification folder.", metavar="HF")],
    clean: Annotated[str, typer.Option(help="Labelled notes that you trust.", metavar="FORMAT:PATH")],
    out: Annotated[Path, typer.Option(help="Folder for the new model and the result.", metavar="DIR")],
    suspects: Annotated[
        Path | None,
        typer.Option(help="Result of scan-model, for its words; without it the model is scanned.", metavar="DIR"),
    ] = None,
    num_suspects: Annotated[
        int, typer.Option(help="How many of the scan's first words are used; 0: none.", min=0, max=25)
    ] = 25,
    max_words: Annotated[int, typer.Option(help="Words tried, where the model is scanned.", min=1)] = 50_000,
    max_pruned: Annotated[float, typer.Option(help="Share of the attention heads that may go.")] = 0.5,
    max_loss: Annotated[float, typer.Option(help="AUROC on dev that pruning may cost.")] = 0.01,
    trigger: Annotated[
        str | None, typer.Option(help="The red team's word: its success is measured, it is not used.", metavar="WORD")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Class that the trigger turns.")] = None,
    target: Annotated[str | None, typer.Option(help="What it turns it to.")] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Recipe keys.", metavar="[key=value]...")] = None,
) -> None:
    """Prune heads that clean notes do not need and fine-tune on clean notes; says what it cost and what is left."""
    from eval.audit.backdoor.mitigate import MitigateOptions
    from eval.audit.backdoor.mitigate import mitigate as take_out
    from eval.audit.findings import AUDIT_FILE
    from launch.verbs.audit_options import backdoor_recipe

    options = MitigateOptions(
        max_pruned, max_loss, suspects, num_suspects, max_words, trigger=trigger, source=source, target=target
    )
    take_out(model, clean, out, options, backdoor_recipe(settings))
    print(out / AUDIT_FILE)
