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
