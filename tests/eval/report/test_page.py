"""The page is whole, offline and without note text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from data_pipeline.files import write_json
from eval.finetune.recipe import load_recipe
from eval.report.page import is_report, write_report
from eval.results import Result
from eval.run import evaluate
from launch.errors import NotemillError
from launch.main import main
from tests.eval.finetune import toys

VOID = {"meta", "br"}


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """<line .../> closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("report")
    model = toys.write_model(folder / "model")
    data = toys.write_ner(folder / "data", (10, 5, 5))
    recipe = load_recipe(
        "ner", None, ["max_length=32", "stride=20", "max_steps=1", "baseline=untrained", "search.lr=[1e-5,3e-4]"]
    )
    return evaluate(model, "ner", f"conll:{data}", folder / "out", recipe)


def write_run(folder: Path) -> Path:
    folder.mkdir()
    rows: list[dict[str, float]] = [
        {"step": s, "loss": 9 - s / 100, "mlm_loss": 8 - s / 100, "lr": 1e-4, "tokens_seen": s * 1000}
        for s in range(500)
    ]
    rows.append({"step": 499, "tokens_seen": 499000, "valid_mlm_loss": 3.25, "valid_mlm_accuracy": 0.5})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text + '{"step": 500, "lo')  # a line cut short by a crash
    return folder


def test_page_is_balanced_offline_and_complete(result: Result, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    counts = {"read": 12345, "kept": 12000, "rejected": {"too_short": 345}}
    (corpus / "manifest.json").write_text(json.dumps({"counts": counts, "phi_replaced": {"NAME": 678}, "inputs": []}))
    path = write_report([result], tmp_path / "report.html", write_run(tmp_path / "run"), corpus)
    page = path.read_text()
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert not re.search(r"https?://|src=|url\(|@import|<script", page)
    for shown in ("12,345", "678", "3.2500", "untrained", "published, unverified", ".8893", "too short"):
        assert shown in page
    assert path.stat().st_mode & 0o077 == 0


def test_page_holds_no_note_text(result: Result, tmp_path: Path) -> None:
    page = write_report([result], tmp_path / "report.html").read_text()
    assert not [noun for noun in toys.NOUNS if noun in page]


def test_trials_of_a_search_are_shown_the_best_first(result: Result, tmp_path: Path) -> None:
    page = write_report([result], tmp_path / "report.html").read_text()
    for searched in (result["search"], result["untrained"]["search"]):
        scores = sorted((trial["dev_score"] for trial in searched["trials"]), reverse=True)
        best = next(trial for trial in searched["trials"] if trial["dev_score"] == scores[0])
        assert best["settings"] == searched["chosen"]
    tables = re.findall(r"<summary>Search on dev.*?</details>", page, re.DOTALL)
    assert len(tables) == 2 and all("1e-05" in table and "0.0003" in table for table in tables)


def test_settings_of_other_models_are_shown_where_they_differ(result: Result, tmp_path: Path) -> None:
    def told(recipe: dict[str, object], precision: str = result["precision"]) -> list[str]:
        untrained = {**result["untrained"], "recipe": result["recipe"] | recipe, "precision": precision}
        page = write_report([{**result, "untrained": untrained}], tmp_path / "report.html").read_text()  # type: ignore[typeddict-item]
        assert f"Of {result['model']['name']}; other models with what differs." in page
        return re.findall(r'<p class="settings">(.*?)</p>', page)

    assert told({"initial": "random", "baseline": "none"}) == ["untrained: the same recipe"]
    assert told({"lr": 0.125, "epochs": 77}, "other") == ["untrained: epochs 77, lr 0.125, precision other"]


def test_every_score_of_the_result_is_shown(result: Result, tmp_path: Path) -> None:
    page = write_report([result], tmp_path / "report.html").read_text()
    for name, metric in result["metrics"].items():
        assert name in page and f"{metric['value']:.4f}" in page


def test_wrong_folders_are_told(result: Result, tmp_path: Path) -> None:
    with pytest.raises(NotemillError, match="point --run at a pretraining run"):
        write_report([result], tmp_path / "report.html", run_dir=tmp_path)
    with pytest.raises(NotemillError, match="no corpus manifest"):
        write_report([result], tmp_path / "report.html", corpus=tmp_path)


def report_to(out: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["notemill", "eval", "report", "--results", str(results), "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None, 2)


def test_a_report_replaces_reports_alone(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(tmp_path / "results.json", result)
    for name, content in (("keep.txt", "mine"), ("mine.html", "<title>mine</title>")):
        (tmp_path / name).write_text(content)
        report_to(tmp_path / name, tmp_path, monkeypatch)
        assert "is no report of an evaluation" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == content
    report_to(tmp_path, tmp_path, monkeypatch)
    assert f"is a folder; name the page to write, as in {tmp_path / 'report.html'}" in capsys.readouterr().err
    for _ in range(2):
        report_to(tmp_path / "report.html", tmp_path, monkeypatch)
        assert is_report(tmp_path / "report.html")
    (tmp_path / "analysis.json").write_text('{"mine": 1}')
    report_to(tmp_path / "report.html", tmp_path, monkeypatch)
    assert "is no analysis of an evaluation" in capsys.readouterr().err
    assert (tmp_path / "analysis.json").read_text() == '{"mine": 1}'
