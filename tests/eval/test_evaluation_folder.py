"""An evaluation replaces what an evaluation left, and nothing else."""

import shutil
from pathlib import Path

import pytest

from eval.evaluation_folder import run_folder, suite_folder
from eval.finetune.recipe import load_recipe
from eval.report.page import write_report
from eval.run import evaluate
from launch.errors import NotemillError
from tests.eval.finetune import toys

SETTINGS = ["epochs=1", "max_steps=2", "max_length=32", "precision=fp32", "seeds=[0]", "stride=16"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        *("model/my_notes.md", "predictions/mine.txt", "predictions.tsv", "report.html", "results.json"),
        *("analysis.json", "probabilities.json", "thesis.docx", "untrained/predictions/mine.txt"),
    ],
)
def test_what_is_of_no_evaluation_is_left_alone(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    out.chmod(0o755)
    (out / name).write_text("{}")
    before = files(tmp_path)
    with pytest.raises(NotemillError, match=f"{Path(name).name}, which is of no such evaluation"):
        evaluate(tmp_path / "hf", "sts", f"tsv:{tmp_path / 'data'}", out, load_recipe("sts"))
    assert files(tmp_path) == before and (out.stat().st_mode & 0o777) == 0o755


@pytest.mark.parametrize("name", ["report.html", "results.md", "analysis.json", "results.json", "mine.txt"])
def test_a_suite_leaves_them_alone_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(NotemillError, match=f"holds {name}, which is of no such evaluation"):
        suite_folder(tmp_path / "out", [tmp_path / "hf"], [tmp_path / "data"])


def test_model_and_data_lie_elsewhere(tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    for model, place, inside, told in (
        (out / "model", data, out, "--model .* where it would be replaced"),
        (out / "seed-0" / "model", data, out, "--model"),
        (tmp_path / "hf", out / "predictions", out, "the data .* lie in --out"),
        (tmp_path / "hf", data, data, "lies in the folder of the data"),
        (tmp_path / "hf", data, tmp_path / "link" / "results", "lies in the folder of the data"),
        (tmp_path / "hf", Path(f"{data}?labels=category"), data / "results", "lies in the folder of the data"),
    ):
        with pytest.raises(NotemillError, match=told):
            run_folder(inside, model, f"tsv:{place}")
    assert not out.exists() and not any(data.iterdir())


def test_a_rerun_replaces_what_the_run_left(tiny_model: Path, tmp_path: Path) -> None:
    data, out = toys.write_ner(tmp_path / "data", (20, 8, 8)), tmp_path / "out"
    recipe = load_recipe("ner", None, [*SETTINGS, "save_model=true"])
    result = evaluate(tiny_model, "ner", f"conll:{data}", out, recipe)
    write_report([result], out / "report.html")
    write_report([result], out / "mistakes.html")
    shutil.copytree(out / "model", out / ".model.old.partial")
    shutil.rmtree(out / "model")
    evaluate(tiny_model, "ner", f"conll:{data}", out, recipe)
    model = files(out / "seed-0" / "model")
    assert files(out / "model") == model and "config.json" in model
    assert not list(out.glob(".*"))
    (out / "model" / "mine.txt").write_text("mine")
    with pytest.raises(NotemillError, match=r"holds model/mine\.txt"):
        evaluate(tiny_model, "ner", f"conll:{data}", out, recipe)
