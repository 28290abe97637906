"""`notemill doctor`: whether this machine can run the stages."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(app: typer.Typer) -> None:
    app.command(
        "doctor",
        epilog=examples(
            "notemill doctor",
            "notemill doctor --folder runs --processes 8   # the disk where runs will go; links between 8 processes",
            "notemill doctor --json > machine.json   # for a bug report",
        ),
    )(doctor)


def doctor(
    folder: Annotated[Path, typer.Option(help="Where output will go; its disk is looked at.", metavar="DIR")] = Path(),
    processes: Annotated[
        int, typer.Option(min=1, help="Start so many, as a run would, and time their collectives.", metavar="N")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Report versions, clashes, GPUs, disk, umask and links; exits with 1 when something would stop a stage.

    `notemill launch slurm` looks at all nodes of a job in this way before it trains.
    """
    from launch.doctor import run_checks
    from launch.preflight.start import check_ranks
    from launch.preflight.storage import check_speed, check_umask

    checks = [*run_checks(folder), check_speed(folder), check_umask()]
    if processes > 1:
        checks += check_ranks(folder, processes)
    problems = [check for check in checks if check.status == "problem"]
    if as_json:
        print(json.dumps({"ok": not problems, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.status:8} {check.name:{width}}  {check.detail}")
            if check.remedy:
                print(f"{'':8} {'':{width}}  → {check.remedy}")
        print(
            f"\n{len(problems)} problem{'' if len(problems) == 1 else 's'} found."
            if problems
            else "\nNo problem found."
        )
    if problems:
        raise typer.Exit(1)
