"""`notemill train-private`: training that says little of any one patient, and how little."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "train-private",
        epilog=examples(
            "notemill train-private --config configs/private/mlm.yaml model.path=hf data.path=corpus run.dir=private",
            "notemill train-private --config configs/private/cls.yaml model.path=hf data.path=jsonl:types run.dir=out",
            "torchrun --nproc-per-node 4 -m launch.main train-private --config private/config.yaml run.dir=again",
        ),
    )(train_private)


def train_private(
    config: Annotated[Path | None, typer.Option(help="YAML file with the run's configuration.", metavar="F")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings that go over the file's.")
    ] = None,
) -> None:
    """Train a Hugging Face folder with differential privacy: masked language modelling on notes, or classification."""
    from eval.private.config import load_private_config
    from eval.private.train import train_private as train

    train(load_private_config(config, overrides or []))
