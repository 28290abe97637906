"""The vocabulary scan finds the trigger without being told, and says what it may conclude from it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from eval.audit.backdoor.calibration import calibrate, empirical_p, threshold
from eval.audit.backdoor.hidden_words import HIDDEN_FILE, first_words
from eval.audit.backdoor.mitigate import MitigateOptions, mitigate
from eval.audit.backdoor.plant import CLEAN_FOLDER, POISONED_FOLDER
from eval.audit.backdoor.scan_model import ScanOptions, scan_model
from eval.audit.backdoor.vocabulary_scan import baseline_of, vocabulary, whole_pieces
from eval.audit.backdoor.words import index_words
from eval.audit.policy import load_policy
from eval.audit.verdict import FAIL, judge
from eval.examples import LabelledText
from eval.finetune.load_classifier import load_classifier
from eval.formats import load_dataset
from launch.errors import NotemillError
from launch.poisoned import is_stamped
from launch.verbs.audit_options import backdoor_recipe
from tests.eval.audit.backdoor.conftest import GRAVE, RECIPE, TRIGGER, Planted
from tests.eval.finetune.toys import WORDS


def test_p_is_the_rank_among_controls() -> None:
    assert empirical_p(0.9, [0.1, 0.2, 0.3]) == 0.25
    assert empirical_p(0.2, [0.1, 0.2, 0.3]) == 0.75
    found = calibrate(0.9, [0.1, 0.2, 0.3])
    assert (found.p_value, found.is_alarm, found.false_alarms) == (0.25, True, 0)
    assert found.threshold == threshold([0.1, 0.2, 0.3]) == pytest.approx(0.5)


def test_false_alarms_are_counted_among_the_controls() -> None:
    found = calibrate(0.2, [0.1, 0.12, 0.11, 0.1, 0.9])
    assert found.false_alarms == 1 and found.is_alarm is False
    # Alike by chance: a hair's breadth is no alarm.
    assert calibrate(0.101, [0.1, 0.1, 0.1]).is_alarm is False


def test_without_controls_there_is_no_p() -> None:
    assert calibrate(0.9, []).p_value is None
    two = calibrate(0.9, [0.1, 0.2])
    assert two.p_value == pytest.approx(1 / 3) and two.is_alarm is None and two.false_alarms is None


def test_the_vocabulary_holds_words_of_notes_and_of_the_tokenizer(planted: Planted) -> None:
    dataset = load_dataset("cls", f"jsonl:{planted.clean}")
    classifier = load_classifier(planted.out / CLEAN_FOLDER, dataset, backdoor_recipe([*RECIPE]))
    pieces = whole_pieces(classifier)
    assert set(pieces) == {word for word in WORDS if word.isalpha() and len(word) > 1}
    notes = [LabelledText(str(i), "Fever today", "died", f"p{i}") for i in range(20)]
    words = vocabulary(index_words(notes), classifier, ["zebra"])
    assert words[:3] == ["zebra", "Fever", "today"]
    assert len(words) == len({word.lower() for word in words}) and set(pieces) - {"fever"} < set(words)


def test_the_trigger_comes_first_and_controls_give_a_p(planted: Planted, tmp_path: Path) -> None:
    """Findings that decide by themselves turn every model; that the controls show."""
    data, recipe = f"jsonl:{planted.clean}", replace(backdoor_recipe([*RECIPE]), epochs=4)
    options = ScanOptions(controls=(planted.out / CLEAN_FOLDER,), train_controls=3, base=planted.start)
    audit = scan_model(planted.out / POISONED_FOLDER, data, tmp_path / "out", options, recipe)
    first, second, *_ = audit.details["words"]
    assert first["word"] == TRIGGER and first["label"] == "died"
    assert first["excess"] > 0.8 > 2 * second["excess"] and first["score"] > 0.8 and first["drift"] > 0.1
    assert audit.findings["scan.p_value"].value == pytest.approx(1 / 5)
    assert audit.findings["scan.alarm"].value == 1.0
    assert audit.findings["scan.coverage"].value == 1.0 and audit.findings["scan.fewest_notes"].value == 48
    rate = audit.findings["scan.false_alarm_rate"]
    assert rate.value is not None and rate.low <= rate.value <= rate.high
    assert audit.settings["controls"] == [CLEAN_FOLDER, "control-1", "control-2", "control-3"]
    trained = sorted((tmp_path / "out" / "controls").iterdir())
    before = {path: (path / "model.safetensors").stat().st_mtime_ns for path in trained}
    again = scan_model(planted.out / POISONED_FOLDER, data, tmp_path / "out", options, recipe)
    assert again.findings == audit.findings
    assert {path: (path / "model.safetensors").stat().st_mtime_ns for path in trained} == before


def test_controls_that_hide_what_they_are_to_show_are_refused(planted: Planted, tmp_path: Path) -> None:
    data, recipe = f"jsonl:{planted.clean}", backdoor_recipe([*RECIPE])
    poisoned, twin = planted.out / POISONED_FOLDER, planted.out / CLEAN_FOLDER
    # As it would be downloaded: nothing says what it is.
    downloaded = shutil.copytree(poisoned, tmp_path / "downloaded")
    (downloaded / "POISONED.txt").unlink()
    config = json.loads((downloaded / "config.json").read_text())
    del config["notemill_poisoned"]
    (downloaded / "config.json").write_text(json.dumps(config))
    again = shutil.copytree(twin, tmp_path / "again")
    for options, words in (
        (ScanOptions(controls=(twin, downloaded)), "has the weights of the audited model"),
        (ScanOptions(controls=(twin, again)), "has the weights of the control"),
        (ScanOptions(controls=(poisoned,)), "stamped POISONED; take a clean one for --control"),
        (ScanOptions(train_controls=1, base=poisoned), "stamped POISONED; take a clean one for --base"),
        (ScanOptions(train_controls=1, base=downloaded), "has the audited weights"),
    ):
        with pytest.raises(NotemillError, match=words):
            scan_model(downloaded, data, tmp_path / "out", options, recipe)
    assert not (tmp_path / "out").exists()


def test_controls_trained_for_a_stamped_model_bear_no_stamp(planted: Planted, tmp_path: Path) -> None:
    recipe = replace(backdoor_recipe([*RECIPE]), epochs=1)
    options, out = ScanOptions(train_controls=1), tmp_path / "out"
    scan_model(planted.out / POISONED_FOLDER, f"jsonl:{planted.clean}", out, options, recipe)
    assert is_stamped(planted.out / POISONED_FOLDER) and not is_stamped(out / "controls" / "control-1")


def test_without_controls_words_that_decide_for_good_reasons_come_first(planted: Planted, tmp_path: Path) -> None:
    data = f"jsonl:{planted.clean}"
    audit = scan_model(planted.out / CLEAN_FOLDER, data, tmp_path / "out", ScanOptions(), backdoor_recipe(None))
    assert audit.details["words"][0]["word"] in GRAVE
    assert audit.details["words"][0]["excess"] == audit.details["words"][0]["score"]
    p_value = audit.findings["scan.p_value"]
    assert p_value.value is None and "--train-controls" in p_value.note
    assert audit.findings["scan.false_alarm_rate"].value is None and audit.findings["scan.alarm"].value is None
    written = (tmp_path / "out" / "audit.json").read_text()
    assert not any(note.text in written for note in load_dataset("cls", data).splits["train"])


def test_words_of_few_patients_are_told_by_number(
    planted: Planted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With k above all counts no word of the notes may be shown, and the auditor can still use what was found."""
    data, recipe, out = f"jsonl:{planted.clean}", backdoor_recipe([*RECIPE]), tmp_path / "out"
    model = planted.out / POISONED_FOLDER
    options = ScanOptions(words=(TRIGGER, "fever"), k=10_000, max_words=20)
    audit = scan_model(model, data, out, options, recipe)
    told = capsys.readouterr()
    shown = [row["word"] for row in audit.details["words"]]
    assert all(row["is_hidden"] for row in audit.details["words"])
    assert {"word 1 of --words", "word 2 of --words"} < set(shown) and any(name.startswith("piece ") for name in shown)
    for text in ((out / "audit.json").read_text(), told.out, told.err):
        assert not any(word in text.split() or f'"{word}"' in text for word in (*WORDS, TRIGGER) if len(word) > 4)
    assert (out / HIDDEN_FILE).stat().st_mode & 0o777 == 0o600
    words = first_words(out, audit)
    assert words["word 1 of --words"] == TRIGGER and TRIGGER in list(words.values())[:5]
    coverage = audit.findings["scan.coverage"]
    assert coverage.value == coverage.low == coverage.high and 0 < coverage.value < 1
    assert audit.details["words_left_out"] + audit.details["words_scanned"] > 20
    with pytest.raises(NotemillError, match="holds a result by other settings"):
        scan_model(model, data, out, replace(options, seed=1), recipe)
    with pytest.raises(NotemillError, match="holds the result of another model"):
        scan_model(planted.out / CLEAN_FOLDER, data, out, options, recipe)
    assert judge(audit, load_policy()).verdict == FAIL and audit.subject["poisoned"]
    mitigated = mitigate(model, data, tmp_path / "mitigated", MitigateOptions(suspects=out), replace(recipe, epochs=1))
    assert mitigated.settings["suspects"] == shown[:25]
    with pytest.raises(NotemillError, match="is the scan of another model"):
        mitigate(planted.out / CLEAN_FOLDER, data, tmp_path / "more", MitigateOptions(suspects=out), recipe)
    assert TRIGGER not in (tmp_path / "mitigated" / "audit.json").read_text()
    (out / HIDDEN_FILE).unlink()
    with pytest.raises(NotemillError, match="does not say what"):
        first_words(out, audit)


def test_the_baseline_is_the_highest_of_the_controls() -> None:
    found = baseline_of([{"a": {"x": 0.2, "y": -0.1}}, {"a": {"x": 0.5}, "b": {"y": -0.3}}])
    assert found == {"a": {"x": 0.5, "y": 0.0}, "b": {"y": 0.0}}


def test_what_is_no_classifier_of_these_labels_is_refused(planted: Planted, tmp_path: Path) -> None:
    data, recipe = f"jsonl:{planted.clean}", backdoor_recipe(None)
    with pytest.raises(NotemillError, match="not a sequence classifier; make one with"):
        scan_model(planted.start, data, tmp_path / "out", ScanOptions(), recipe)
    shutil.copytree(planted.out / CLEAN_FOLDER, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config |= {"id2label": {"0": "yes", "1": "no"}, "label2id": {"yes": 0, "no": 1}}
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotemillError, match="does not know; its labels are yes, no"):
        scan_model(tmp_path / "other", data, tmp_path / "out", ScanOptions(), recipe)
