"""The card: HTML and JSON with the same facts; read in a real browser."""

import json
from pathlib import Path

import pytest
import yaml

from eval.audit.card.report import write_card
from eval.audit.findings import Audit, Finding
from eval.audit.policy import DEFAULT_POLICY
from launch.errors import NotemillError
from tests.eval.audit.test_verdict import _audit
from tests.eval.report.browser import CHROMIUM, browser
from tests.eval.report.test_browser import _OVERHANGS, LAPTOP, PHONE


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    _audit(pll__by_note__auc=Finding(0.7, "a <method> & more", 0.65, 0.75)).write(tmp_path / "mia")
    canary = {"canary.epsilon_lower_bound": Finding(0.4, "coins"), "canary.auc": Finding(0.5, "coins", 0.45, 0.55)}
    canary["battery.weak_settings"] = Finding(0.0, "settings", 0.0, 0.0)
    canary |= {"utility.member_loss": Finding(3.0, "loss"), "utility.member_unigram_loss": Finding(6.0, "loss")}
    Audit("canary", {"model": "hf", "files": {"model.safetensors": "ab"}}, {}, canary, {}).write(tmp_path / "canary")
    return [tmp_path / "mia", tmp_path / "canary"]


def test_page_and_json_say_the_same(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert write_card(folders, out) == "FAIL"
    page, facts = out.read_text(), json.loads(out.with_suffix(".json").read_text())
    assert facts["verdict"] == "FAIL" and len(facts["audits"]) == 2
    for audit in facts["audits"]:
        for name, finding in audit["findings"].items():
            assert name in page and f"{finding['value']:.3f}" in page
    assert "a &lt;method&gt; &amp; more" in page and "://" not in page
    assert out.stat().st_mode & 0o077 == 0


def test_what_was_not_measured_is_told_with_its_reason(tmp_path: Path) -> None:
    _audit(**{"loss__by_note__tpr_at_0.01": Finding(None, "hits", note="12 are too few")}).write(tmp_path / "mia")
    write_card([tmp_path / "mia"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'class="tag not">NOT MEASURED</span><small>' in page and "12 are too few" in page


def test_what_a_policy_has_no_rule_for_is_told(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_card(folders, out)
    assert json.loads(out.with_suffix(".json").read_text())["policy"]["left_out"] == []
    assert "has no rule for these numbers" not in out.read_text()
    rules = yaml.safe_load(DEFAULT_POLICY.read_text())["rules"]
    kept = [rule for rule in rules if "blind.by_note.auc" not in rule["findings"] and "min" not in rule]
    kept = [{**rule, "findings": ["canary.*"]} if "canary.auc" in rule["findings"] else rule for rule in kept]
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"rules": kept}))
    write_card(folders, out, own)
    told = json.loads(out.with_suffix(".json").read_text())["policy"]["left_out"]
    assert {"mia blind.by_note.auc", "mia blind.by_patient.auc", "mia loss.*.auc"} <= set(told)
    assert all(name.startswith("mia ") and name in out.read_text() for name in told)


def test_a_card_speaks_of_one_model(folders: list[Path], tmp_path: Path) -> None:
    Audit("canary", {"model": "x", "files": {"model.safetensors": "cd"}}, {}, {}, {}).write(tmp_path / "other")
    with pytest.raises(NotemillError, match="different weights"):
        write_card([*folders, tmp_path / "other"], tmp_path / "report.html")
    with pytest.raises(NotemillError, match="is a folder"):
        write_card(folders, tmp_path)


def test_a_repair_does_not_name_the_cards_model(folders: list[Path], tmp_path: Path) -> None:
    Audit("mitigate", {"model": "before", "files": {"model.safetensors": "cd"}}, {}, {}, {}).write(tmp_path / "repair")
    write_card([tmp_path / "repair", *folders], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Model <code>hf</code>, weights SHA-256 <code>ab</code>" in page


def test_private_training_must_be_of_the_cards_model(folders: list[Path], tmp_path: Path) -> None:
    epsilon = {"epsilon": Finding(3.0, "ledger")}
    Audit("private", {"model": "p", "files": {"model.safetensors": "cd"}}, {}, epsilon, {}).write(tmp_path / "other")
    with pytest.raises(NotemillError, match="different weights"):
        write_card([*folders, tmp_path / "other"], tmp_path / "report.html")
    Audit("private", {"model": {"name": "p"}}, {}, epsilon, {}).write(tmp_path / "none")
    with pytest.raises(NotemillError, match="names no weights"):
        write_card([*folders, tmp_path / "none"], tmp_path / "report.html")
    Audit("private", {"model": "hf", "files": {"model.safetensors": "ab"}}, {}, epsilon, {}).write(tmp_path / "same")
    assert write_card([*folders, tmp_path / "same"], tmp_path / "report.html") == "FAIL"
    # Of private training alone, too.
    with pytest.raises(NotemillError, match="names no weights"):
        write_card([tmp_path / "none"], tmp_path / "report.html")


def test_a_card_is_written_over_nothing_but_a_card(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("[]")
    for out, words in (
        (folders[0] / "audit.html", "is no card's"),
        (tmp_path / "notes.html", "is no card's"),
        (tmp_path / "notes.jsonl", "does not end in .html"),
        (tmp_path / "nowhere" / "report.html", "there is no folder"),
    ):
        with pytest.raises(NotemillError, match=words):
            write_card(folders, out)
    assert (tmp_path / "notes.json").read_text() == "[]"
    assert write_card(folders, tmp_path / "report.html") == write_card(folders, tmp_path / "report.html")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH")
@pytest.mark.parametrize("width", [LAPTOP, PHONE])
def test_card_in_chromium(folders: list[Path], tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    write_card(folders, page)
    with browser(tmp_path / "profile") as chromium:
        chromium.open(page, width, is_phone=width == PHONE)
        chromium.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert chromium.value("[document.documentElement.scrollWidth, window.innerWidth]") == [width, width]
        assert chromium.value(_OVERHANGS) == []
        assert [request["request"]["url"] for request in chromium.of("Network.requestWillBeSent")] == [page.as_uri()]
        for complaint in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            assert chromium.of(complaint) == []
