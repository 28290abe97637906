"""NLI4CT: premises out of the trials, in a zip or unpacked, and the split that is scored where test is withheld."""

import json
import zipfile

import pytest

from eval.formats import load_dataset, write_predictions
from eval.score_files import score_files
from launch.errors import NotemillError

TRIALS = {"NCT1": {"Results": ["  one ", "two"]}, "NCT2": {"Results": ["three"]}}
STATEMENTS = {
    "a": {"Type": "Single", "Section_id": "Results", "Primary_id": "NCT1", "Statement": "s", "Label": "Entailment"},
    "b": {
        "Type": "Comparison",
        "Section_id": "Results",
        "Primary_id": "NCT1",
        "Secondary_id": "NCT2",
        "Statement": "t",
        "Label": "Contradiction",
    },
}


def release(folder, is_zipped=True):
    for split in ("train", "dev"):
        (folder / f"{split}.json").write_text(json.dumps(STATEMENTS))
    if is_zipped:
        with zipfile.ZipFile(folder / "CT_json.zip", "w") as archive:
            for name, trial in TRIALS.items():
                archive.writestr(f"CT json/{name}.json", json.dumps(trial))
    else:
        (folder / "CT json").mkdir()
        for name, trial in TRIALS.items():
            (folder / "CT json" / f"{name}.json").write_text(json.dumps(trial))
    return folder


@pytest.mark.parametrize("is_zipped", [True, False])
def test_premises_are_the_sections_of_the_trials(tmp_path, is_zipped):
    single, comparison = load_dataset("nli", f"nli4ct:{release(tmp_path, is_zipped)}").splits["dev"]
    assert single.first == "Primary trial: one\ntwo"
    assert comparison.first == "Primary trial: one\ntwo\nSecondary trial: three"
    assert (single.second, single.label) == ("s", "Entailment")


def test_dev_is_scored_where_there_is_no_test(tmp_path):
    release(tmp_path)
    (tmp_path / "train.json").write_text(json.dumps({"only-in-train": STATEMENTS["a"]}))
    dataset = load_dataset("nli", f"nli4ct:{tmp_path}")
    path = write_predictions(dataset, "dev", ["Entailment", "Entailment"], tmp_path / "out")
    scores = score_files("nli", f"nli4ct:{tmp_path}", path)
    assert (scores["split"], scores["metrics"]["accuracy"]) == ("dev", 0.5)


def test_missing_trials_are_named(tmp_path):
    release(tmp_path)
    (tmp_path / "CT_json.zip").unlink()
    with pytest.raises(NotemillError, match="trials are missing"):
        load_dataset("nli", f"nli4ct:{tmp_path}")


@pytest.mark.parametrize("value", ["Entailment", {}, {"Prediction": None}, None, []])
def test_predictions_of_another_form_are_refused(tmp_path, value):
    spec = f"nli4ct:{release(tmp_path) / 'dev.json'}"
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"a": {"Prediction": "Entailment"}, "b": value}))
    with pytest.raises(NotemillError, match="the statement b is no object with a label as its 'Prediction'"):
        score_files("nli", spec, path)


def test_predictions_for_other_statements_are_counted(tmp_path):
    spec = f"nli4ct:{release(tmp_path) / 'dev.json'}"
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({key: {"Prediction": "Entailment"} for key in "abc"}))
    assert score_files("nli", spec, path)["notes"] == {"predictions: statements that gold does not have left": 1}


def test_broken_trials_in_the_archive_are_named(tmp_path):
    release(tmp_path)
    archive = tmp_path / "CT_json.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"three", b"fours", 1))
    with pytest.raises(NotemillError, match=r"NCT2\.json in \S*CT_json\.zip cannot be unpacked"):
        load_dataset("nli", f"nli4ct:{tmp_path}")
    with zipfile.ZipFile(archive, "w") as broken:
        broken.writestr("CT json/NCT1.json", '{"Results": ["secret"')
    with pytest.raises(NotemillError, match=r"NCT1\.json is not valid JSON") as refused:
        load_dataset("nli", f"nli4ct:{tmp_path}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("is_zipped", [True, False])
def test_a_trial_that_is_not_there_and_statements_without_label_or_text(tmp_path, is_zipped):
    release(tmp_path, is_zipped)
    changed = {"a": STATEMENTS["a"] | {"Primary_id": "../CT json/NCT1"}}
    (tmp_path / "dev.json").write_text(json.dumps(changed))
    with pytest.raises(NotemillError, match="the statement a or its trial lacks"):
        load_dataset("nli", f"nli4ct:{tmp_path}")
    (tmp_path / "dev.json").write_text(json.dumps(STATEMENTS | {"a": STATEMENTS["a"] | {"Label": None}}))
    dataset = load_dataset("nli", f"nli4ct:{tmp_path}")
    assert len(dataset.splits["dev"]) == 1 and dataset.notes == {"pairs without a gold label left": 1}
    (tmp_path / "dev.json").write_text(json.dumps({"a": STATEMENTS["a"] | {"Statement": None}}))
    with pytest.raises(NotemillError, match="of the statement a is no text"):
        load_dataset("nli", f"nli4ct:{tmp_path}")
