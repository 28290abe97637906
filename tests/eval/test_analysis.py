"""What a report adds to scores, of a whole run: written without text, and left out with a reason where data is gone."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eval.analysis import ANALYSIS_FILE, Analysis, analyse
from eval.examples import Answer, Document, Entity, Question, Relation, RelationCandidate, SentencePair
from eval.finetune.recipe import load_recipe
from eval.mistakes import CONTEXT, excerpt, find_mistakes
from eval.report.markdown import write_table
from eval.report.page import write_report
from eval.report.tables import model_names
from eval.results import Result, best_seed
from eval.run import evaluate
from launch.main import main
from tests.eval.finetune import toys

SETTINGS = ["max_length=32", "max_steps=6", "seeds=[0,1]", "baseline=untrained", "pooling=mean"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("run")
    data = toys.write_nli(folder / "data", (30, 10, 24))
    result = evaluate(tiny_model, "nli", f"jsonl:{data}", folder / "out", load_recipe("nli", None, SETTINGS))
    return result, folder / "out"


def test_models_are_compared_and_confusions_counted(run: tuple[Result, Path]) -> None:
    result, out = run
    analysis = analyse([result], out)
    task = analysis.tasks["data"]
    [row] = task["comparisons"]
    untrained = result["untrained"]["metrics"]["accuracy"]["value"]
    assert (row["first"], row["second"]) == (result["model"]["name"], "untrained")
    assert row["difference"] == pytest.approx(result["metrics"]["accuracy"]["value"] - untrained)
    assert row["low"] <= row["difference"] <= row["high"] and 0 < row["p"] <= 1
    best = [best_seed(one["seeds"])["metrics"]["accuracy"]["value"] for one in (result, result["untrained"])]
    exact = row["mcnemar"]
    assert exact["only_first"] - exact["only_second"] == round(result["n"] * (best[0] - best[1]))
    assert 0 < exact["p"] <= 1
    confusion = task["confusions"][result["model"]["name"]]
    assert confusion["labels"] == ["contradiction", "entailment"]
    total = sum(map(sum, confusion["rows"]))
    right = sum(confusion["rows"][i][i] for i in range(2))
    assert total == result["n"] and right / total == pytest.approx(result["metrics"]["accuracy"]["value"])
    assert task["rescored"] == {} and "missing" not in task
    written = out / ANALYSIS_FILE
    assert json.loads(written.read_text()) == analysis.tasks and written.stat().st_mode & 0o077 == 0
    assert not [noun for noun in toys.NOUNS if noun in written.read_text()]
    table = write_table([result], out / "results.md", analysis).read_text()
    assert f"{row['difference']:+.4f}" in table and f"p {exact['p']:.3f}" in table


def test_untrained_runs_of_several_models_are_kept_apart(run: tuple[Result, Path], tmp_path: Path) -> None:
    """A suite of two models, one of which always answers the same in both of its runs."""
    result, out = run
    results: list[Result] = []
    for name in ("ours", "theirs"):
        shutil.copytree(out, tmp_path / "jobs" / name / "data")
        results.append({**result, "model": {**result["model"], "name": name}})
    for path in (tmp_path / "jobs" / "theirs").rglob("predictions.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row | {"gold_label": "entailment"}) + "\n" for row in rows))
    names = ["ours", "ours, untrained", "theirs", "theirs, untrained"]
    assert model_names(results) == names
    assert model_names(results[:1]) == ["ours", "untrained"]
    named: Result = {**results[1], "model": {**results[1]["model"], "name": "untrained"}}
    named.pop("untrained")
    assert model_names([results[0], named]) == ["ours", "ours, untrained", "untrained"]
    task = analyse(results, tmp_path).tasks["data"]
    assert list(task["confusions"]) == names and "missing" not in task
    for name, confusion in task["confusions"].items():
        predicted = [sum(column) for column in zip(*confusion["rows"], strict=True)]
        assert (predicted[0] == 0) == name.startswith("theirs"), name
    assert {name.partition(", seed")[0] for name in task["rescored"]} == {"theirs", "theirs, untrained"}
    assert "ours, untrained" in write_table(results, tmp_path / "results.md").read_text()


def test_mistakes_are_shown_on_request_alone(run: tuple[Result, Path], tmp_path: Path) -> None:
    result, out = run
    without = write_report([result], tmp_path / "a.html", analysis=analyse([result], out)).read_text()
    assert not [noun for noun in toys.NOUNS if noun in without]
    assert "holds no text of any note" in without and "Confusions" in without and "Do the models differ?" in without
    assert "McNemar" in without
    path = write_report([result], tmp_path / "b.html", analysis=analyse([result], out, 5))
    page = path.read_text()
    assert [noun for noun in toys.NOUNS if noun in page]
    assert "This page holds text of notes" in page and "holds no text of any note" not in page
    assert page.count('class="mistake"') <= 10 and path.stat().st_mode & 0o077 == 0


def test_the_command_line(run: tuple[Result, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = run
    page = tmp_path / "mistakes.html"
    command = ["notemill", "eval", "report", "--results", str(out), "--out", str(page)]
    monkeypatch.setattr(sys, "argv", [*command, "--examples", "2"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert 0 < page.read_text().count('class="mistake"') <= 4 and "This page holds text of notes" in page.read_text()
    monkeypatch.setattr(sys, "argv", [*command, "--examples", "-1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code


def test_a_set_that_is_gone_leaves_a_reason(
    run: tuple[Result, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, out = run
    moved: Result = {**result, "dataset": {**result["dataset"], "path": str(tmp_path / "gone")}}
    analysis = analyse([moved], out)
    assert "no longer at" in capsys.readouterr().err
    page = write_report([moved], tmp_path / "report.html", analysis=analysis).read_text()
    assert "could not be read where the run had them" in page
    assert f"{result['metrics']['accuracy']['value']:.4f}" in page


def test_a_set_that_changed_is_not_compared(run: tuple[Result, Path], tmp_path: Path) -> None:
    result, out = run
    copy = shutil.copytree(result["dataset"]["path"], tmp_path / "copy")
    test = copy / "test.jsonl"
    test.write_text(test.read_text().replace("entailment", "contradiction", 1))
    changed: Result = {**result, "dataset": {**result["dataset"], "path": str(copy)}}
    assert analyse([changed], out).tasks["data"]["missing"]


def test_text_is_escaped(run: tuple[Result, Path], tmp_path: Path) -> None:
    result, out = run
    found = analyse([result], out, 1)
    [of_model, *_] = found.mistakes["data"].values()
    nasty = replace(of_model[0], parts=(("<script>alert(1)</script>", True),), gold="<b>")
    page = write_report(
        [result], tmp_path / "r.html", analysis=Analysis(found.tasks, {"data": {"model": [nasty]}})
    ).read_text()
    assert "<script>" not in page and "<b>" not in page


TEXT = "aspirin for chest pain and fever"
ASPIRIN, PAIN = Entity("T1", "DRUG", ((0, 7),)), Entity("T2", "PROBLEM", ((12, 22),))


def test_mistakes_of_mentions_and_relations() -> None:
    gold = Document("d", TEXT, (ASPIRIN, PAIN), (Relation("R1", "TREATS", "T1", "T2"),))
    found = Document("d", TEXT, (ASPIRIN, Entity("T9", "TEST", ((18, 22),))))
    [mention] = find_mistakes("ner", [gold], [found], 9)
    assert (mention.gold, mention.predicted) == ("PROBLEM: chest pain", "TEST: pain")
    assert ("chest pain", True) in mention.parts and "".join(part for part, _ in mention.parts) == TEXT
    [relation] = find_mistakes("re", [gold], [replace(gold, relations=())], 9)
    assert (relation.gold, relation.predicted) == ("TREATS", "no relation")
    assert [part for part, is_marked in relation.parts if is_marked] == ["aspirin", "chest pain"]
    [marked] = find_mistakes("re", [RelationCandidate("1", TEXT, (0, 7), (12, 22), "A")], ["B"], 9)
    assert (marked.gold, marked.predicted) == ("A", "B")


def test_mistakes_of_answers_and_graded_pairs() -> None:
    question = Question("q", "d", TEXT, "what drug ?", (Answer("aspirin", 0),))
    [answer] = find_mistakes("mqa", [question, replace(question, id="r")], {"q": "fever", "r": "the aspirin"}, 9)
    assert (answer.gold, answer.predicted) == ("aspirin", "fever")
    pairs = [SentencePair(str(i), f"a{i}", "b", float(i)) for i in range(4)]
    [worst] = find_mistakes("sts", pairs, [0.0, 1.0, 5.0, 3.5], 1)
    assert (worst.gold, worst.predicted) == ("2", "5.00")


def test_long_texts_are_cut() -> None:
    text = "x" * 1000 + "MARK" + "y" * 1000 + "SECOND" + "z" * 1000
    parts = excerpt(text, [(1000, 1004), (2004, 2010)])
    assert [part for part, is_marked in parts if is_marked] == ["MARK", "SECOND"]
    assert sum(len(part) for part, _ in parts) < 5 * CONTEXT
