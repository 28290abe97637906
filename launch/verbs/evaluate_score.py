"""`notemill eval score`: the scorer alone."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.verbs.examples import examples


def register_score(app: typer.Typer) -> None:
    app.command(
        "score",
        epilog=examples(
            "notemill eval score --task ner --gold brat:n2c2/test --pred predictions/",
            "notemill eval score --task nli --gold jsonl:mednli/test.jsonl --pred predictions.jsonl",
            "notemill eval score --task mqa --gold squad:covid_qa/test.json --pred predictions.json",
        ),
    )(score)


def score(
    task: Annotated[Literal["ner", "re", "sts", "nli", "mqa", "cls"], typer.Option(help="What was predicted.")],
    gold: Annotated[str, typer.Option(metavar="FORMAT:PATH", help="The gold data, as distributed.")],
    pred: Annotated[Path, typer.Option(metavar="PATH", help="Predictions in the same format.")],
    split: Annotated[str | None, typer.Option(help="Split of the gold data; test when not given.")] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="probabilities.json of nli or cls: adds the area under the ROC curve.")
    ] = None,
) -> None:
    """Score predictions that are there already; JSON with intervals on standard output."""
    from eval.score_files import score_files

    print(json.dumps(score_files(task, gold, pred, split, probabilities), indent=2))
