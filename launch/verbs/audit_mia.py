"""`notemill audit mia`: can training patients be recognised in a model?"""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples


def register(group: typer.Typer) -> None:
    group.command(
        "mia",
        epilog=examples(
            "notemill audit mia --model hf --split split --out audit/mia",
            "notemill audit mia --model hf --split split --reference hf_reference --out audit/mia",
            "notemill audit mia --model hf --split split --out audit/quick attacks=[loss,pll] max_pieces=64",
        ),
    )(mia)


def mia(
    model: Annotated[Path, typer.Option(help="Exported Hugging Face folder with its MLM head.", metavar="HF")],
    split: Annotated[Path, typer.Option(help="Folder of notemill audit split.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder for audit.json; a rerun goes on.", metavar="DIR")],
    reference: Annotated[
        Path | None, typer.Option(help="A model of the same tokenizer trained without members.", metavar="HF")
    ] = None,
    settings: Annotated[list[str] | None, typer.Argument(help="Keys of the attacks.", metavar="[key=value]...")] = None,
) -> None:
    """Run the battery of membership attacks, by note and by patient, beside a baseline that never sees the model."""
    from eval.audit.attacks import AttackConfig
    from eval.audit.findings import AUDIT_FILE
    from eval.audit.mia import audit_membership
    from eval.audit.table import print_findings
    from launch.config import load_config

    config = load_config(AttackConfig, None, settings or [])
    print_findings(audit_membership(model, split, out, config, reference).findings)
    print(out / AUDIT_FILE)
