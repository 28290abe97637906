"""Whole runs on toy sets: they learn, they resume, they refuse what does not match."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.examples import Dataset, Task
from eval.finetune.recipe import Recipe, load_recipe
from eval.report.page import write_report
from eval.results import load_results
from eval.run import evaluate
from eval.score_files import score_files
from launch.errors import NotemillError
from launch.main import main
from tests.eval.finetune import toys
from tests.eval.formats import releases

FAST = ["lr=5e-3", "batch_size=16", "max_length=32", "precision=fp32"]
CASES: list[tuple[Task, str, list[str]]] = [
    ("ner", "conll", ["epochs=6", "stride=20"]),
    ("re", "marked", ["epochs=6"]),
    ("sts", "tsv", ["epochs=5"]),
    ("nli", "jsonl", ["epochs=8", "pooling=mean", "lr=2e-3"]),
    ("cls", "jsonl", ["epochs=4", "train_windows=2"]),
    ("mqa", "squad", ["epochs=8", "stride=16", "max_question=8", "max_answer=4"]),
]


@pytest.mark.parametrize(("task", "format_name", "settings"), CASES, ids=[case[0] for case in CASES])
def test_training_beats_the_baselines(
    tiny_model: Path, tmp_path: Path, task: Task, format_name: str, settings: list[str]
) -> None:
    data = getattr(toys, f"write_{task}")(tmp_path / "data")
    recipe = load_recipe(task, None, [*FAST, *settings, "seeds=[0]"])
    result = evaluate(tiny_model, task, f"{format_name}:{data}", tmp_path / "out", recipe)
    [loaded] = load_results(tmp_path / "out")
    assert loaded == json.loads(json.dumps(result))
    metric = result["metrics"][result["primary"]]
    best = max(baseline["metrics"][result["primary"]]["value"] for baseline in result["baselines"])
    assert metric["value"] > best + 0.1, (metric, result["baselines"])
    assert metric["low"] is not None and metric["high"] is not None
    assert metric["low"] <= metric["value"] <= metric["high"]
    assert (tmp_path / "out" / "probabilities.json").is_file() == (task in ("nli", "cls"))
    if task in ("nli", "cls"):
        assert result["metrics"]["auroc"]["value"] > 0.6
        from_files = score_files(
            task,
            f"{format_name}:{data}",
            next((tmp_path / "out").glob("predictions*")),
            probabilities=tmp_path / "out" / "probabilities.json",
        )
        assert from_files["metrics"]["auroc"] == pytest.approx(result["metrics"]["auroc"]["value"])
    assert list((tmp_path / "out").glob("predictions*")) and (tmp_path / "out" / "seed-0" / "labels.json").is_file()
    assert all((path.stat().st_mode & 0o077) == 0 for path in (tmp_path / "out").rglob("*"))


def test_relations_of_a_release_are_run_with_a_table_of_those_out_of_reach(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = releases.n2c2_2018(tmp_path / "release")
    far = "Patient on Lisinopril . Fever came .\nPain went .\nNo 10 mg of it .\n"
    releases.put(root / "gold-standard-test-data" / "test" / "100004.txt", far)
    releases.put(
        root / "gold-standard-test-data" / "test" / "100004.ann",
        f"T1\tDrug 11 21\tLisinopril\nT2\tStrength {far.index('10 mg')} {far.index('10 mg') + 5}\t10 mg\n"
        "R1\tStrength-Drug Arg1:T2 Arg2:T1\n",
    )
    recipe = load_recipe("re", None, [*FAST, "epochs=1", "seeds=[0]", "max_length=64"])
    result = evaluate(tiny_model, "re", f"n2c2_2018:{root}", tmp_path / "out", recipe)
    rows = [row for row in result["reach"] if row["reasons"]]
    [row] = rows
    assert (row["split"], row["label"], row["gold"], row["reached"]) == ("test", "Strength-Drug", 2, 1)
    assert result["notes"]["test relations out of reach"] == 1
    assert "test   Strength-Drug" in capsys.readouterr().err
    page = write_report([result], tmp_path / "report.html").read_text()
    assert "Gold relations out of reach of candidates (1)" in page
    assert (tmp_path / "out" / "predictions" / "100004.ann").is_file()

    settings = ["epochs=1", "seeds=[0]", "max_length=64", "search.max_sentence_distance=[5]", "baseline=untrained"]
    result = evaluate(
        tiny_model, "re", f"n2c2_2018:{root}", tmp_path / "wide", load_recipe("re", None, [*FAST, *settings])
    )
    assert result["recipe"]["max_sentence_distance"] == 5
    assert not [row for row in result["reach"] if row["reasons"]], "of the chosen distance"
    told = capsys.readouterr().err
    assert told.count("with max_sentence_distance=5:") == 1 and "max_sentence_distance=1:" not in told


def command(model: Path, data: Path, out: Path, *settings: str) -> list[str]:
    return [
        *(sys.executable, "-m", "launch.main", "eval", "run", "--model", str(model), "--task", "sts"),
        *("--data", f"tsv:{data}", "--out", str(out), *FAST, *settings),
    ]


def scores(out: Path) -> object:
    [result] = load_results(out)
    return result["metrics"], [seed["epochs"] for seed in result["seeds"]], result["per_class"]


def test_a_killed_run_goes_on_and_ends_the_same(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data")
    settings = ["epochs=2", "seeds=[0,1,2]"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command(tiny_model, data, tmp_path / "a", *settings), env=environment)
    first = tmp_path / "a" / "seed-0" / "result.json"
    deadline = time.monotonic() + 120
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists() and not (tmp_path / "a" / "results.json").exists()
    finished_at = first.stat().st_mtime_ns
    for out in ("a", "b"):
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / out, load_recipe("sts", None, [*FAST, *settings]))
    assert first.stat().st_mtime_ns == finished_at
    assert scores(tmp_path / "a") == scores(tmp_path / "b")


def test_a_run_killed_within_a_seed_goes_on_with_the_same_predictions(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data")
    settings = ["epochs=4", "seeds=[3]", "hidden_dropout=0.1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command(tiny_model, data, tmp_path / "a", *settings), env=environment)
    checkpoint = tmp_path / "a" / "seed-3" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not (tmp_path / "a" / "seed-3" / "result.json").exists()
    assert all((path.stat().st_mode & 0o077) == 0 for path in (tmp_path / "a").rglob("*"))
    done_before = len(torch.load(checkpoint, weights_only=True)["state"]["fit"]["epochs"])
    assert 1 <= done_before <= 4
    for out in ("a", "b"):
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / out, load_recipe("sts", None, [*FAST, *settings]))
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    for path in (tmp_path / "b").glob("predictions*"):
        assert (tmp_path / "a" / path.name).read_bytes() == path.read_bytes()
    assert not list((tmp_path / "a").rglob("*checkpoint*"))


def test_a_search_reads_no_test_and_gives_its_best_settings_to_all_seeds(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import eval.seed

    data = toys.write_sts(tmp_path / "data")
    called: list[tuple[float, int, bool]] = []
    real = eval.seed.fine_tune

    def seen(model: Path, dataset: Dataset, recipe: Recipe, seed: int, *rest: Any) -> Any:
        called.append((recipe.lr, seed, "test" in dataset.splits))
        return real(model, dataset, recipe, seed, *rest)

    monkeypatch.setattr(eval.seed, "fine_tune", seen)
    settings = [*FAST, "epochs=2", "seeds=[1,2]", "search.lr=[1e-7,5e-3]"]
    recipe = load_recipe("sts", None, settings)
    result = evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", recipe)
    assert called == [(1e-7, 1, False), (5e-3, 1, False), (5e-3, 1, True), (5e-3, 2, True)]
    found = result["search"]
    assert [trial["settings"] for trial in found["trials"]] == [{"lr": 1e-7}, {"lr": 5e-3}]
    assert found["trials"][0]["dev_score"] < found["trials"][1]["dev_score"] == result["seeds"][0]["dev_score"]
    assert found["chosen"] == {"lr": 5e-3} and result["recipe"]["lr"] == 5e-3
    [loaded] = load_results(tmp_path / "out")
    assert loaded["search"] == json.loads(json.dumps(found))

    # One trial is lost; the other is not run again, and the seeds stand.
    (tmp_path / "out" / "search" / "trial-1" / "trial.json").unlink()
    called.clear()
    again = evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", recipe)
    assert called == [(5e-3, 1, False)] and again["metrics"] == result["metrics"]
    with pytest.raises(NotemillError, match="trial of other data"):
        changed = load_recipe("sts", None, [*settings, "batch_size=8"])
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", changed)


def test_two_processes_give_what_one_gives(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_ner(tmp_path / "data", sizes=(61, 12, 20))
    settings = ["epochs=2", "seeds=[0]", "hidden_dropout=0", "head_dropout=0", "batch_size=10", "stride=20", "lr=1e-3"]
    recipe = load_recipe("ner", None, [*FAST, *settings])
    one = evaluate(tiny_model, "ner", f"conll:{data}", tmp_path / "one", recipe)
    words = command(tiny_model, data, tmp_path / "two", *settings)
    words[words.index("sts")], words[words.index(f"tsv:{data}")] = "ner", f"conll:{data}"
    words[1:2] = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    done = subprocess.run(
        words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [two] = load_results(tmp_path / "two")
    for ours, theirs in zip(one["seeds"][0]["epochs"], two["seeds"][0]["epochs"], strict=True):
        # The last update of an epoch is of one window, of which the second process has nothing.
        assert ours["steps"] == theirs["steps"] and ours["steps"] % 7 == 0
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5)
        assert theirs["dev"] == pytest.approx(ours["dev"], abs=1e-6)
    assert one["seeds"][0]["fingerprint"] == two["seeds"][0]["fingerprint"]
    assert two["metrics"]["strict_f1"]["value"] == pytest.approx(one["metrics"]["strict_f1"]["value"], abs=1e-6)
    assert "seed 0" in done.stderr and done.stderr.count("seed 0") == 1


def test_the_untrained_baseline_stands_beside(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data")
    recipe = load_recipe("sts", None, [*FAST, "epochs=1", "seeds=[0]", "baseline=untrained"])
    result = evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", recipe)
    assert result["untrained"]["model"]["initial"] == "random" and result["model"]["initial"] == "pretrained"
    assert result["untrained"]["metrics"] != result["metrics"]


def test_results_of_another_recipe_are_not_mixed_in(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data")
    base = [*FAST, "epochs=1", "max_steps=1", "seeds=[0]"]
    evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts", None, base))
    with pytest.raises(NotemillError, match="another recipe"):
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts", None, [*base, "lr=1e-3"]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"--model": "nowhere"}, "no model folder at nowhere"),
        ({"--data": "tsv:nowhere"}, "nowhere"),
        ({"--data": "brat:data"}, "no format 'brat' for task sts"),
    ],
)
def test_wrong_input_is_one_sentence(
    tiny_model: Path,
    tmp_path: Path,
    changes: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = command(tiny_model, toys.write_sts(tmp_path / "data"), tmp_path / "out")
    for option, value in changes.items():
        arguments[arguments.index(option) + 1] = value
    monkeypatch.setattr(sys, "argv", ["notemill", *arguments[3:]])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in shown and len(shown.strip().splitlines()) == 1


def test_windows_longer_than_the_model_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data")
    with pytest.raises(NotemillError, match=r"max_length is 256 but the model .* reads at most 64"):
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts"))


def test_missing_weights_are_told(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    weights = load_file(broken / "model.safetensors")
    del weights["encoder.layer.1.attention.self.query.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    data = toys.write_sts(tmp_path / "data")
    with pytest.raises(NotemillError, match="1 weights of the encoder are missing"):
        evaluate(broken, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts", None, [*FAST, "seeds=[0]"]))


def write_config(folder: Path, source: Path, **changes: object) -> Path:
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def without_weights(folder: Path, source: Path, content: bytes) -> Path:
    shutil.copytree(source, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda new, tiny: without_weights(new, tiny, b""), "is empty, damaged or no torch file"),
        (lambda new, tiny: without_weights(new, tiny, b"no pickle" * 20), "is empty, damaged or no torch file"),
        (lambda new, tiny: write_config(new, tiny, hidden_act="foo"), "no model can be built .*foo"),
        (lambda new, tiny: write_config(new, tiny, hidden_size="abc"), "no usable config.json: .*hidden_size"),
        (lambda new, tiny: write_config(new, tiny, model_type="vit", vocab_size=None), "is no encoder of text"),
        (
            lambda new, tiny: write_config(new, tiny, vocab_size=20),
            "the tokenizer in .* but the model embeddings for 20",
        ),
        (lambda new, tiny: toys.write_other(new, tiny, "t5"), "t5 model in .* gives no states of a text"),
    ],
    ids=["empty", "no pickle", "activation", "width", "pictures", "other tokenizer", "decoder"],
)
def test_models_that_cannot_be_used_are_told_in_a_sentence(
    tiny_model: Path, tmp_path: Path, make: Callable[[Path, Path], Path], told: str
) -> None:
    data = toys.write_sts(tmp_path / "data", (8, 4, 4))
    model = make(tmp_path / "model", tiny_model)
    with pytest.raises(NotemillError, match=told) as error:
        evaluate(model, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts", None, [*FAST, "seeds=[0]"]))
    assert "\n" not in str(error.value)


def test_a_model_without_a_table_of_positions_is_run(tiny_model: Path, tmp_path: Path) -> None:
    data = toys.write_sts(tmp_path / "data", (8, 4, 4))
    model = toys.write_other(tmp_path / "model", tiny_model, "xlnet")
    recipe = load_recipe("sts", None, [*FAST, "seeds=[0]", "epochs=1"])
    assert evaluate(model, "sts", f"tsv:{data}", tmp_path / "out", recipe)["model"]["architecture"].startswith("xlnet")


def test_what_cannot_be_saved_is_told_before_training(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr("eval.finetune.loop.Trainer._train_epoch", never)
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        (tmp_path / "data" / split / "a.txt").write_text("the new pain was seen")
        (tmp_path / "data" / split / "a.ann").write_text("T1\tA 0 12\tthe new pain\nT2\tB 4 12\tnew pain\n")
    recipe = load_recipe("ner", None, [*FAST, "seeds=[0]", "save_model=true", "stride=16"])
    with pytest.raises(NotemillError, match="save_model=true needs entities of one piece"):
        evaluate(tiny_model, "ner", f"brat:{tmp_path / 'data'}", tmp_path / "out", recipe)
    texts = toys.write_cls(tmp_path / "texts")
    for search in ([], ["search.lr=[1e-3,1e-4]"]):
        mean = load_recipe("cls", None, [*FAST, "seeds=[0]", "save_model=true", "pooling=mean", *search])
        with pytest.raises(NotemillError, match="pooling=mean has no counterpart"):
            evaluate(tiny_model, "cls", f"jsonl:{texts}", tmp_path / "out", mean)


def test_a_folder_that_the_report_needs_is_looked_for_before_training(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--run", "--corpus"):
        words = ["notemill", "eval", "run", "--model", str(tiny_model), "--task", "sts", "--data", "tsv:none"]
        monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "out"), option, str(tmp_path / "none")])
        with pytest.raises(SystemExit):
            main()
        assert f"no folder {tmp_path / 'none'}" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_test_values_that_are_not_finite_are_refused(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import eval.seed

    real = eval.seed.fine_tune

    def broken(*arguments: Any) -> Any:
        tuned = real(*arguments)
        with torch.no_grad():
            next(tuned.trainer.model.network.parameters()).fill_(float("nan"))
        return tuned

    monkeypatch.setattr(eval.seed, "fine_tune", broken)
    data = toys.write_sts(tmp_path / "data", (8, 4, 4))
    recipe = load_recipe("sts", None, [*FAST, "seeds=[0]", "epochs=1"])
    with pytest.raises(NotemillError, match="that are not finite; lower lr"):
        evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", recipe)
    assert not (tmp_path / "out" / "results.json").exists()


def test_results_of_another_form_are_told(tiny_model: Path, tmp_path: Path) -> None:
    data, out = toys.write_sts(tmp_path / "data", (8, 4, 4)), tmp_path / "out"
    for folder, name, settings in (
        ("seed-0", "result.json", []),
        ("search/trial-0", "trial.json", ["search.lr=[1e-3]"]),
    ):
        (out / folder).mkdir(parents=True)
        (out / folder / name).write_text("{}")
        with pytest.raises(NotemillError, match=f"{name} is not .* remove the folder"):
            recipe = load_recipe("sts", None, [*FAST, "seeds=[0]", *settings])
            evaluate(tiny_model, "sts", f"tsv:{data}", out, recipe)
    for content in ('{"version": 1}', '[{"version": 1}]', "[1]"):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(NotemillError, match="is no results file of version 1"):
            load_results(tmp_path)
