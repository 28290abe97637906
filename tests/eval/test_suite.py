"""A suite in processes: two models, two tasks, one failing data set, and a rerun."""

import re
from pathlib import Path

import pytest
import yaml

from eval.report.markdown import write_table
from eval.report.page import write_report
from eval.suite import job_environment, load_suite, run_suite, visible_gpus, with_data_root
from launch.errors import NotemillError
from tests.eval.finetune import toys

GRADED = {"name": "graded", "task": "sts", "format": "tsv", "path": "sts"}
RANDOM = {"initial": "random"}


def write_suite(path: Path, **changes: object) -> Path:
    suite = {
        "workers": 2,
        "recipe": {"seeds": [0], "epochs": 1, "max_length": 32, "max_steps": 3, "pooling": "mean"},
        "tasks": [GRADED, {"name": "mentions", "task": "ner", "format": "conll", "path": "ner"}],
    }
    path.write_text(yaml.safe_dump(suite | changes))
    return path


def test_suite_runs_resumes_and_reports(tiny_model: Path, tmp_path: Path) -> None:
    toys.write_sts(tmp_path / "data" / "sts")
    models = {"pretrained": {"recipe": {"lr": 1e-3}}, "untrained": RANDOM}
    file = write_suite(tmp_path / "suite.yaml", tasks=[GRADED], models=models)
    suite = with_data_root(load_suite(file), tmp_path / "data")
    results, failed = run_suite(tiny_model, suite, tmp_path / "out")
    assert failed is None
    names = [(r["dataset"]["name"], r["model"]["name"], r["model"]["initial"]) for r in results]
    assert names == [("graded", "pretrained", "pretrained"), ("graded", "untrained", "random")]
    assert [result["recipe"]["lr"] for result in results] == [1e-3, 5e-5]
    seed = tmp_path / "out" / "jobs" / "pretrained" / "graded" / "seed-0" / "result.json"
    before = seed.stat().st_mtime_ns
    again, _ = run_suite(tiny_model, suite, tmp_path / "out")
    assert again == results and seed.stat().st_mtime_ns == before
    table = write_table(results, tmp_path / "out" / "results.md").read_text()
    assert table.count("\n| graded |") == 1 and "| pretrained | untrained |" in table
    page = write_report(results, tmp_path / "out" / "report.html").read_text()
    assert "graded" in page and "untrained" in page


def test_a_failing_set_is_named_and_the_others_are_kept(tiny_model: Path, tmp_path: Path) -> None:
    toys.write_sts(tmp_path / "data" / "sts")
    suite = load_suite(write_suite(tmp_path / "suite.yaml"), [f"data_root={tmp_path / 'data'}"])
    results, failed = run_suite(tiny_model, suite, tmp_path / "out")
    assert failed and re.match(r"1 of 2 evaluations failed .*pretrained/mentions: no task data at", failed)
    assert [result["dataset"]["name"] for result in results] == ["graded"]
    assert (tmp_path / "out" / "jobs" / "pretrained" / "graded" / "results.json").is_file()


def test_a_rerun_that_fails_keeps_what_was_finished(tiny_model: Path, tmp_path: Path) -> None:
    toys.write_sts(tmp_path / "data" / "sts")
    file, out = write_suite(tmp_path / "suite.yaml", tasks=[GRADED]), tmp_path / "out"
    results, _ = run_suite(tiny_model, with_data_root(load_suite(file), tmp_path / "data"), out)
    before = (out / "results.json").read_bytes()
    for suite in (load_suite(file), with_data_root(load_suite(file, ["recipe.lr=1e-2"]), tmp_path / "data")):
        again, failed = run_suite(tiny_model, suite, out)
        assert failed and "for 1 of them the results of before still stand" in failed
        assert again == results and (out / "results.json").read_bytes() == before


def test_a_suite_writes_only_where_a_suite_wrote(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data" / "sts")
    suite = with_data_root(load_suite(write_suite(tmp_path / "suite.yaml", tasks=[GRADED])), tmp_path / "data")
    with pytest.raises(NotemillError, match="lies in the folder of the data"):
        run_suite(tiny_model, suite, data / "results")
    with pytest.raises(NotemillError, match="where it would be replaced"):
        run_suite(tiny_model, suite, tiny_model)
    assert not (data / "results").exists() and not (tiny_model / "jobs").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": [GRADED | {"path": None}]}, "path of an item of tasks"),
        ({"tasks": {"a": "b"}}, "tasks is .* and must be a list"),
        ({"models": ["a"]}, "models is .* and must be a mapping"),
        ({"recipe": {"epoch": 1}}, "recipe key 'epoch'"),
        ({"models": {"faster": {"recipe": {"rate": 1}}}}, "recipe key 'rate'"),
        ({"tasks": [{"name": "a", "task": "pos", "format": "tsv", "path": "x"}]}, "task 'pos' of 'a' is unknown"),
        ({"tasks": [{"name": "a b", "task": "sts", "format": "tsv", "path": "x"}]}, "the name 'a b'"),
        ({"tasks": [{"name": "a", "task": "sts", "format": "tsv", "path": "x", "recipe": {"lrr": 1}}]}, "'lr'"),
    ],
)
def test_wrong_suites_are_told(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(NotemillError) as error:
        load_suite(write_suite(tmp_path / "suite.yaml", **changes))
    assert re.search(told, str(error.value)) and "\n" not in str(error.value)


def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab")
    gpus = visible_gpus()
    assert [job_environment(worker, gpus)["CUDA_VISIBLE_DEVICES"] for worker in range(3)] == ["3", "GPU-ab", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in job_environment(0, visible_gpus())
