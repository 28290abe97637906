"""`notemill status` and `notemill resume`: a run that was started."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")]


def register(app: typer.Typer) -> None:
    app.command(
        "status",
        epilog=examples(
            "notemill status run",
            "watch -n 10 notemill status run",
            "notemill status run --json | jq .eta_seconds",
        ),
    )(status)
    app.command(
        "resume",
        epilog=examples(
            "notemill resume run",
            "notemill resume run train.steps=200000",
            "notemill status run && notemill resume run",
        ),
    )(resume)


def status(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Tell how a run is: step, loss, speed, time to go, last checkpoint, health, slow hosts, jobs."""
    from launch.jobs.status import lines, status_of

    found = status_of(run.absolute())
    print(json.dumps(asdict(found), indent=2) if as_json else "\n".join(lines(found)))


def resume(
    run: RunArgument,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings of the run to change.")
    ] = None,
) -> None:
    """Go on with a run from its newest checkpoint, the way it was launched: here, or by its own batch script."""
    from launch.errors import NotemillError
    from launch.jobs import cluster_run, local, run_folder

    run_dir = run.absolute()
    run_folder.read_config(run_dir)
    record = run_folder.read_record(run_dir)
    if record is None:
        raise NotemillError(
            f"{run} was not started by `notemill launch`; `notemill train --config {run}/config.yaml` goes on."
        )
    if record.kind == "slurm":
        print(cluster_run.resume(run_dir, record, settings or []))
    else:
        raise typer.Exit(local.resume(run_dir, record, settings or []))
