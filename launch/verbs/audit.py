"""`notemill audit`: what a checkpoint leaks or hides."""

import importlib

import typer

COMMANDS: tuple[str, ...] = ("split", "mia", "canary", "scan_data", "scan_model", "plant", "mitigate", "report")
"""Files of this folder, `audit_NAME.py`, in the order of the help."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Look for what a checkpoint leaks or hides before it leaves or enters the hospital.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name in COMMANDS:
        importlib.import_module(f"launch.verbs.audit_{name}").register(group)
    app.add_typer(group, name="audit")
