"""`notemill audit split`: notes for a membership audit."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "split",
        epilog=examples(
            "notemill audit split --notes corpus --out split --max-notes 2000",
            "notemill audit split --notes corpus --out split --fresh      # models are trained after it, on members",
            "notemill audit split --notes notes.jsonl --out split --seed 1        # each note names its split",
        ),
    )(split)


def split(
    notes: Annotated[
        Path, typer.Option(help="A corpus, or JSONL with note_id, patient_key, text, split.", metavar="PATH")
    ],
    out: Annotated[Path, typer.Option(help="Folder for members, non_members, reference, population.", metavar="DIR")],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Divide all patients anew instead of taking the notes' own splits.")
    ] = False,
    max_notes: Annotated[int, typer.Option(min=0, help="Members and non-members at most, each; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Draws patients.")] = 0,
) -> None:
    """Members, non-members and reference, disjoint by patient and by near-copies."""
    from eval.audit.split import make_split

    for name, counts in make_split(notes, out, fresh=fresh, max_notes=max_notes, seed=seed).items():
        print(f"{name:12} {counts['notes']:>9,} notes of {counts['patients']:,} patients")
