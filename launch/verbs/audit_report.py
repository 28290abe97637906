"""`notemill audit report`: the card."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "report",
        epilog=examples(
            "notemill audit report audit/mia --out report.html",
            "notemill audit report scan-data scan --policy configs/audit/classifier.yaml --out classifier.html",
            "notemill audit report audit/mia --policy our_release.yaml --out report.html",
        ),
    )(report)


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders that other audits wrote.", metavar="DIR...")],
    out: Annotated[Path, typer.Option(help="HTML file; the same facts go beside it as JSON.", metavar="FILE")],
    policy: Annotated[
        Path | None, typer.Option(help="Release policy; configs/audit/release.yaml by default.", metavar="F")
    ] = None,
    require_pass: Annotated[bool, typer.Option("--require-pass", help="Exit with 1 where it is no PASS.")] = False,
) -> None:
    """One card: PASS, FAIL or INSUFFICIENT EVIDENCE, and why."""
    from eval.audit.card.report import write_card
    from eval.audit.verdict import PASS

    verdict = write_card(folders, out, policy)
    print(f"{verdict}: {out}")
    if require_pass and verdict != PASS:
        raise typer.Exit(1)
