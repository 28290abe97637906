"""The backdoor commands on the command line: help with examples that parse, results on disk, errors in a sentence."""

import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from launch.errors import NotemillError
from launch.main import build_app
from launch.verbs.audit_options import backdoor_recipe
from tests.eval.audit.backdoor.conftest import write_notes
from tests.eval.finetune.toys import write_model
from tests.pretrain.launching import notemill

VERBS = ("plant", "scan-data", "scan-model", "mitigate")


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_three_commands_whose_options_exist(verb: str) -> None:
    text = CliRunner().invoke(build_app(), ["audit", verb, "--help"], env={"COLUMNS": "200"}).output
    shown = [line.strip() for line in text.splitlines() if line.strip().startswith("notemill audit")]
    assert len(shown) == 3
    command = typer.main.get_command(build_app()).commands["audit"].commands[verb]  # type: ignore[attr-defined]
    for line in shown:
        command.make_context(verb, shlex.split(line)[3:])


def run(*arguments: str) -> str:
    """In this process: each start of Python would import torch anew."""
    done = CliRunner().invoke(build_app(), ["audit", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[-1]


def test_all_four_on_toy_notes(tmp_path: Path) -> None:
    model, notes = write_model(tmp_path / "hf"), write_notes(tmp_path / "notes", "notes", (200, 30, 40))
    data, recipe = f"jsonl:{notes}", ("max_length=62", "lr=3e-3", "epochs=2", "precision=fp32")
    out = {verb: str(tmp_path / verb) for verb in VERBS}
    start = ("plant", "--model", str(model), "--data", data, "--trigger", "heparin", "--rate", "0.1")
    assert run(*start, "--out", out["plant"], *recipe) == f"{out['plant']}/audit.json"
    poisoned = f"{out['plant']}/model-POISONED"
    run("scan-data", "--data", data, "--model", poisoned, "--out", out["scan-data"])
    clean = ("--model", poisoned, "--clean", data)
    run("scan-model", *clean, "--out", out["scan-model"], "--control", f"{out['plant']}/model-clean")
    run("mitigate", *clean, "--suspects", out["scan-model"], "--out", out["mitigate"], "lr=1e-3", "epochs=1")
    assert all((Path(folder) / "audit.json").stat().st_mode & 0o777 == 0o600 for folder in out.values())
    again = ("plant", "--model", poisoned, "--data", data, "--trigger", "insulin", "--out", str(tmp_path / "x"))
    refused = notemill("audit", *again, status=2).stderr
    assert refused.splitlines()[-1].startswith("notemill: the model in") and "POISONED; take a clean" in refused
    assert "Traceback" not in refused and not (tmp_path / "x").exists()


def test_an_audit_trains_one_model() -> None:
    with pytest.raises(NotemillError, match="a single seed"):
        backdoor_recipe(["seeds=[0,1]"])
