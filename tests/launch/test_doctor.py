"""The doctor names what would stop a stage, and finds nothing wrong where the tests run."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from typer.testing import CliRunner

from launch import doctor
from launch.doctor import CHECKOUT, PACKAGES, Check, check_disk, check_shadowing, check_threads, compare


def _app() -> typer.Typer:
    from launch.verbs import doctor as verb

    app = typer.Typer(rich_markup_mode=None)
    # A second command keeps typer from dropping the name of the only one.
    app.command("other")(lambda: None)
    verb.register(app)
    return app


def test_a_package_of_the_same_name_earlier_on_the_path_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "__init__.py").write_text("")
    checks = {check.name: check for check in check_shadowing(CHECKOUT, [str(tmp_path), str(CHECKOUT)])}
    assert checks["package eval"].status == "problem"
    assert str(tmp_path) in checks["package eval"].detail
    assert checks["package launch"].status != "problem"


def test_a_module_file_shadows_as_well(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.py").write_text("")
    checks = {check.name: check for check in check_shadowing(CHECKOUT, [str(tmp_path), str(CHECKOUT)])}
    assert checks["package tokenizer"].status == "problem"


def test_another_distribution_that_brings_one_of_our_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    provided = {"eval": ["notemill", "evalkit"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: provided)
    checks = {check.name: check for check in check_shadowing(CHECKOUT, [str(CHECKOUT)])}
    assert checks["package eval"].status == "warning" and "evalkit" in checks["package eval"].detail
    assert checks["package pretrain"].status == "ok"


def test_nothing_shadows_us_here() -> None:
    checks = list(check_shadowing(CHECKOUT, sys.path))
    assert [check.name for check in checks] == [f"package {name}" for name in PACKAGES]
    assert not [check for check in checks if check.status == "problem"]


@pytest.mark.parametrize(
    ("installed", "status", "said"),
    [
        ({"tokenizers": "0.22.1"}, "ok", "0.22.1"),
        ({"tokenizers": "0.24.0"}, "problem", "<=0.23"),
        ({}, "problem", "not installed"),
    ],
)
def test_versions_are_compared_with_the_requirement(installed: dict[str, str], status: str, said: str) -> None:
    check = compare(Requirement("tokenizers>=0.22,<=0.23"), installed, wanted_by="transformers 5.0")
    assert check.status == status and said in check.detail
    assert bool(check.remedy) == (status == "problem")


def test_an_interpreter_without_notemill_is_a_problem() -> None:
    without = {name: version for name, version in doctor.installed_versions().items() if name != "notemill"}
    assert [check.name for check in doctor.check_versions(without) if check.status == "problem"] == ["notemill"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the pair clashes on Python 3.11 only")
def test_a_megatron_core_that_needs_a_newer_python_is_a_problem() -> None:
    assert doctor.check_python({"megatron-core": "0.17.0"}).status == "problem"
    assert doctor.check_python({"megatron-core": "0.16.1"}).status == "ok"


@pytest.mark.parametrize(
    ("installed", "status", "said"),
    [
        ({}, "ok", "only model.layers=transformer_engine and train.precision=fp8 need it"),
        ({"transformer-engine": "2.11.0"}, "ok", "2.11.0"),
        ({"transformer-engine": "2.3.0"}, "warning", "2.3.0, but megatron-core 0.16 needs <2.12,>=2.9"),
    ],
)
def test_transformer_engine_is_no_problem_but_told(installed: dict[str, str], status: str, said: str) -> None:
    check = doctor.check_transformer_engine(installed)
    assert check.status == status and said in check.detail


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "TOO_LITTLE_DISK_BYTES", 2**80)
    check = check_disk(tmp_path / "not" / "there" / "yet")
    assert check.status == "problem" and str(tmp_path) in check.detail


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert check_threads().status == "warning"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert check_threads().status == "ok"


def test_the_command_reports_this_machine_as_json() -> None:
    result = CliRunner().invoke(_app(), ["doctor", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["ok"] else 1)
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["torch"]["detail"] == importlib.metadata.version("torch")
    assert by_name["gloo"]["status"] == "ok"
    assert {"python", "cuda", "disk", "threads", "transformer-engine"} <= set(by_name)


def test_the_command_fails_on_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Check("gloo", "problem", "missing", "Install another torch.")
    monkeypatch.setattr(doctor, "run_checks", lambda folder: [broken])
    result = CliRunner().invoke(_app(), ["doctor"])
    assert result.exit_code == 1
    assert "Install another torch." in result.stdout and "1 problem found" in result.stdout
