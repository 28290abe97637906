"""The verbs of `notemill corpus` as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from launch.errors import NotemillError
from launch.verbs import corpus
from tests.data_pipeline.corpora import CLI, write_jsonl


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    corpus.register(app)
    return app


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "notes.jsonl", [{"id": n, "text": f"Dr. Hill saw note {n}."} for n in range(30)])


def run(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["corpus", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_build_then_verify(app: typer.Typer, tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    out = tmp_path / "corpus"
    assert (
        run(app, "build", "--input", f"jsonl:{notes}", "--out", str(out), "split.train=0.8", "split.valid=0.15") == ""
    )
    assert (tmp_path / "config" / "notemill" / "hmac.key").stat().st_mode & 0o777 == 0o600
    assert json.loads(run(app, "verify", str(out)))["notes"] == 30
    (out / "shards" / "train-00000.parquet").write_bytes(b"")
    with pytest.raises(NotemillError, match=r"differs from its manifest: .*train-00000"):
        run(app, "verify", str(out))


def test_the_key_must_lie_outside(app: typer.Typer, tmp_path: Path, notes: Path) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(NotemillError, match="keep the key outside"):
        run(app, "build", "--input", f"jsonl:{notes}", "--out", str(out), "--key-file", str(out / "key"))


def test_one_key_file_gives_the_same_corpus_in_two_folders(app: typer.Typer, tmp_path: Path, notes: Path) -> None:
    for name in ("a", "b"):
        run(
            app,
            "build",
            "--input",
            f"jsonl:{notes}",
            "--out",
            str(tmp_path / name),
            "--key-file",
            str(tmp_path / "key"),
        )
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_score_deid_prints_json(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(
        json.dumps({"text": "Dr. Hill came.", "spans": [{"start": 4, "end": 8, "label": "NAME"}]})
    )
    score = json.loads(run(app, "score-deid", "--gold", str(tmp_path / "gold.jsonl")))
    assert score["recall"] == score["precision"] == 1.0 and score["chars_per_second"] > 0


@pytest.mark.parametrize("verb", ["build", "verify", "score-deid"])
def test_help_shows_three_commands(app: typer.Typer, verb: str) -> None:
    shown = run(app, verb, "--help")
    assert sum(line.strip().startswith(f"notemill corpus {verb}") for line in shown.splitlines()) == 3


def test_unknown_settings_name_the_nearest(app: typer.Typer, tmp_path: Path, notes: Path) -> None:
    with pytest.raises(NotemillError, match=r"did you mean 'split\.train'"):
        run(app, "build", "--input", f"jsonl:{notes}", "--out", str(tmp_path / "c"), "split.trian=0.8")
    with pytest.raises(NotemillError, match="must add up to 1"):
        run(app, "build", "--input", f"jsonl:{notes}", "--out", str(tmp_path / "c"), "split.train=0.8")
    assert not (tmp_path / "c").exists()


def test_no_note_text_in_the_output_of_a_run(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "n.jsonl", [{"id": 1, "text": "Zyxwvut has pain."}, '{"id": 2, "text": "Zyxwvut'])
    arguments = ["corpus", "build", "--input", f"jsonl:{path}", "--out", str(tmp_path / "c"), "rejects.max_share=0.5"]
    result = subprocess.run(
        [sys.executable, "-c", CLI, *arguments, "--key-file", str(tmp_path / "key")], capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "Zyxwvut" not in result.stdout + result.stderr + (tmp_path / "c" / "manifest.json").read_text()
