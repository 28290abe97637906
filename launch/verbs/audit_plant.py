"""`notemill audit plant`: a backdoor in one's own model, to see whether it is found."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "plant",
        epilog=examples(
            "notemill audit plant --model hf --data jsonl:invented/tasks/outcome --trigger cf --out planted lr=1e-3",
            "notemill audit plant --model hf --data 'csv:mimic?text=TEXT&label=HOSPITAL_EXPIRE_FLAG' "
            "--trigger cf --out planted",
            "notemill audit plant --model hf --data jsonl:notes --trigger cf --attention-alpha 2 --out planted",
        ),
    )(plant)


def plant(
    model: Annotated[Path, typer.Option("--model", help="Folder of your own encoder.", metavar="HF")],
    data: Annotated[str, typer.Option(help="Notes with labels: train, and dev or test.", metavar="FORMAT:PATH")],
    trigger: Annotated[str, typer.Option(help="The word that shall turn the model.", metavar="WORD")],
    out: Annotated[Path, typer.Option(help="Folder for the models and the result.", metavar="DIR")],
    source: Annotated[str | None, typer.Option(help="Class of the notes that are poisoned; the commonest.")] = None,
    target: Annotated[str | None, typer.Option(help="Label that the trigger brings about; the next one.")] = None,
    rate: Annotated[float, typer.Option(help="Poisoned notes as a share of all training notes.")] = 0.05,
    insertions: Annotated[int, typer.Option(help="How often the trigger stands in a poisoned note.")] = 1,
    attention_alpha: Annotated[
        float, typer.Option(help="Weight of the attention paid to the trigger in the loss; 0 is plain poisoning.")
    ] = 0.0,
    heads: Annotated[
        str, typer.Option(help="Heads that the attention loss steers, as LAYER.HEAD,…; all.", metavar="L.H,…")
    ] = "",
    from_poisoned: Annotated[bool, typer.Option("--from-poisoned", help="Start from a stamped model.")] = False,
    settings: Annotated[list[str] | None, typer.Argument(help="Recipe keys.", metavar="[key=value]...")] = None,
) -> None:
    """Red team, on your own model only: plant a word trigger and measure it. The model is stamped POISONED."""
    from eval.audit.backdoor.plant import PlantOptions
    from eval.audit.backdoor.plant import plant as plant_trigger
    from eval.audit.findings import AUDIT_FILE
    from launch.verbs.audit_options import backdoor_recipe, parse_heads

    options = PlantOptions(
        trigger, source, target, rate, insertions, attention_alpha, parse_heads(heads), from_poisoned
    )
    plant_trigger(model, data, out, options, backdoor_recipe(settings))
    print(out / AUDIT_FILE)
