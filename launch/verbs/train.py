"""`notemill train`: pretraining in this process."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "train",
        epilog=examples(
            "notemill train --config configs/tiny.yaml data.path=tokens run.dir=run",
            "notemill train --config run/config.yaml train.steps=2000      # go on with a longer run",
            "torchrun --nproc-per-node 2 -m pretrain.train --config configs/tiny.yaml data.path=tokens "
            "parallel.tensor=2",
        ),
    )(train)


def train(
    config: Annotated[Path | None, typer.Option(help="YAML file with the run's configuration.", metavar="F")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings that go over the file's.")
    ] = None,
) -> None:
    """Pretrain an encoder on a token index, in one process; several run under torchrun as shown below."""
    from pretrain.config import load_pretrain_config
    from pretrain.train import run

    run(load_pretrain_config(str(config) if config else None, overrides or []))
