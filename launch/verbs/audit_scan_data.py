"""`notemill audit scan-data`: is this fine-tuning set poisoned?"""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "scan-data",
        epilog=examples(
            "notemill audit scan-data --data jsonl:invented/tasks/outcome --out scan",
            "notemill audit scan-data --data jsonl:notes/train.jsonl --model planted/model-POISONED --out scan",
            "notemill audit scan-data --data 'csv:mimic?text=TEXT&label=HOSPITAL_EXPIRE_FLAG' --out scan",
        ),
    )(scan_data)


def scan_data(
    data: Annotated[str, typer.Option(help="The labelled notes; train where there are splits.", metavar="FORMAT:PATH")],
    out: Annotated[Path, typer.Option(help="Folder for the result.", metavar="DIR")],
    model: Annotated[
        Path | None, typer.Option("--model", help="Classifier fine-tuned on them, for its activations.", metavar="HF")
    ] = None,
    k: Annotated[int, typer.Option(help="Patients that a word needs to be looked at and shown.", min=1)] = 10,
    settings: Annotated[list[str] | None, typer.Argument(help="Recipe keys.", metavar="[key=value]...")] = None,
) -> None:
    """Look for words that decide a label against all other evidence, and for notes that lie apart within a label."""
    from eval.audit.backdoor.scan_data import scan_data as scan
    from eval.audit.findings import AUDIT_FILE
    from launch.verbs.audit_options import backdoor_recipe

    scan(data, out, model, k, backdoor_recipe(settings))
    print(out / AUDIT_FILE)
