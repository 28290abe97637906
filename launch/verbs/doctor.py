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
            "notemill doctor --folder runs           # look at the disk where runs will go",
            "notemill doctor --json > machine.json   # for a bug report",
        ),
    )(doctor)


def doctor(
    folder: Annotated[Path, typer.Option(help="Where output will go; its disk is looked at.", metavar="DIR")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Report versions, clashes, GPUs, disk and threads; exits with 1 when something would stop a stage."""
    from launch.doctor import run_checks

    checks = run_checks(folder)
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
