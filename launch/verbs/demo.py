"""`notemill demo`: everything on invented notes."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "demo",
        epilog=examples(
            "notemill demo --out demo",
            "notemill demo --out demo2 --seed 11      # other patients, other notes",
            "make demo                                # the same, after setting up .venv",
        ),
    )(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="Decides which notes are invented.")] = 7,
) -> None:
    """Run the whole flow on invented notes on a CPU, in under ten minutes; ends with the report's path."""
    from launch.demo import run_demo

    print(run_demo(out, seed).resolve())
