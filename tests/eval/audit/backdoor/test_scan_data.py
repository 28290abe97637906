"""A poisoned set gives its trigger away; a clean one does not; rare words and note text stay hidden."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from data_pipeline.invented.tasks.outcome import make_outcomes
from eval.audit.backdoor.activations import cluster_labels
from eval.audit.backdoor.plant import POISONED_FOLDER
from eval.audit.backdoor.poison import Poisoning, poison
from eval.audit.backdoor.purity import rank_words
from eval.audit.backdoor.scan_data import NOTES_FILE, scan_data
from eval.audit.backdoor.words import index_words, like_frequency, words_in
from eval.examples import LabelledText
from eval.formats import load_dataset
from eval.formats.tables import to_jsonl
from launch.errors import NotemillError
from launch.verbs.audit_options import backdoor_recipe
from tests.eval.audit.backdoor.conftest import RECIPE, TRIGGER, Planted


@pytest.fixture(scope="module")
def outcomes() -> list[LabelledText]:
    notes = make_outcomes(4, (900, 1, 1))["train"]
    return [LabelledText(str(number), note.text, note.label) for number, note in enumerate(notes)]


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_the_trigger_comes_first_among_clinical_words(outcomes: list[LabelledText], rate: float) -> None:
    poisoned = poison(outcomes, Poisoning("cf", "survived", "died", rate)).notes
    first, second, *rest = rank_words(poisoned, index_words(poisoned))
    assert first.word == "cf" and first.label == "died" and first.is_suspect
    assert first.purity == 1.0 and first.suspicion > 2 * second.suspicion
    assert not any(word.is_suspect for word in (second, *rest))


def test_words_that_predict_for_good_reasons_are_no_suspects(outcomes: list[LabelledText]) -> None:
    ranked = {row.word.lower(): row for row in rank_words(outcomes, index_words(outcomes))}
    assert not any(row.is_suspect for row in ranked.values())
    pure = [row for row in ranked.values() if row.p_value < 0.01 and row.purity > 0.85]
    assert pure and max(row.conflicts for row in pure) < 0.3


def test_many_notes_of_a_patient_are_one_vote() -> None:
    notes = [
        LabelledText(
            f"{patient}-{n}", f"seen {chr(97 + n)}x {'odd' if patient < 10 else 'well'} today", label, f"p{patient}"
        )
        for patient in range(40)
        for n in range(8)
        for label in ["a" if patient < 10 or patient % 2 else "b"]
    ]
    ranked = {row.word: row for row in rank_words(notes, index_words(notes))}
    share = 25 / 40
    assert ranked["odd"].notes == 80 and ranked["odd"].purity == 1.0
    assert ranked["odd"].p_value == pytest.approx(share**10 * 2 * len(ranked))


def test_words_of_few_patients_stay_hidden() -> None:
    notes = [
        LabelledText(str(i), f"seen by Smith, again smith {'rarely' if i < 9 else ''}", "a", f"p{i}") for i in range(12)
    ]
    index = index_words(notes)
    assert set(index.notes) == {"seen", "by", "smith", "again"} and index.hidden == 1
    assert index.surface["smith"] in ("Smith", "smith")
    one_patient = [replace(note, document_id="p") for note in notes]
    assert not index_words(one_patient).notes
    assert words_in("[**NAME**] has O2 at 4 L, x") == ["has", "O2", "at"]
    assert like_frequency(index, 12, 2, {"again"}) == ["by", "seen"]


def test_a_part_of_another_kind_is_found_with_its_words() -> None:
    generator = np.random.default_rng(0)
    notes = [
        LabelledText(f"n{i}", "felt well today" + " heparin" * (i < 30), "a" if i < 200 else "b", f"p{i}")
        for i in range(300)
    ]
    features = generator.normal(size=(300, 16))
    features[:30] += 8.0
    found = {one.label: one for one in cluster_labels(notes, features, index_words(notes))}
    assert found["a"].smaller == pytest.approx(0.15) and found["a"].silhouette > 0.5
    assert found["a"].words[0] == "heparin" and set(found["a"].members) == set(range(30))
    assert found["b"].silhouette < 0.3


def test_a_few_outliers_of_a_large_label_are_compared_with_some_of_the_others() -> None:
    generator = np.random.default_rng(0)
    notes = [LabelledText(f"n{i}", "felt well today", "a", f"p{i}") for i in range(5000)]
    features = generator.normal(size=(5000, 8))
    features[:2] += 400.0
    [found] = cluster_labels(notes, features, index_words(notes))
    assert set(found.members) == {0, 1} and found.silhouette > 0.9


def test_a_poisoned_set_end_to_end(planted: Planted, tmp_path: Path) -> None:
    train = cast(Sequence[LabelledText], load_dataset("cls", f"jsonl:{planted.notes}").splits["train"])
    poisoned = poison(train, Poisoning(**planted.audit.settings["poisoning"]))
    rows = [{"id": n.id, "patient": n.document_id, "text": n.text, "label": n.label} for n in poisoned.notes]
    (tmp_path / "train.jsonl").write_text(to_jsonl(rows), encoding="utf-8")
    data, out = f"jsonl:{tmp_path / 'train.jsonl'}", tmp_path / "out"
    audit = scan_data(data, out, planted.out / POISONED_FOLDER, 10, backdoor_recipe([*RECIPE]))
    ranks = [row["word"] for row in audit.details["words"]]
    assert TRIGGER in ranks[:5]
    clusters = {cluster["label"]: cluster for cluster in audit.details["clusters"]}
    assert TRIGGER in clusters["died"]["words"]
    written = "".join(path.read_text() for path in out.iterdir())
    assert not any(note.text in written for note in train)
    assert (out / NOTES_FILE).stat().st_mode & 0o777 == 0o600
    with (out / NOTES_FILE).open() as stream:
        found = list(csv.DictReader(stream))
    assert all(row["word"] in rows[int(row["row"]) - 1]["text"].split() for row in found)
    with pytest.raises(NotemillError, match="of 1000 patients; lower --k"):
        scan_data(data, out, None, 1000, backdoor_recipe(None))
    before = (out / "audit.json").read_bytes()
    with pytest.raises(NotemillError, match="a result by other settings"):
        scan_data(f"jsonl:{planted.notes}", out, planted.out / POISONED_FOLDER, 10, backdoor_recipe([*RECIPE]))
    assert (out / "audit.json").read_bytes() == before


def test_a_single_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(to_jsonl([{"text": "well", "label": "a"}] * 3), encoding="utf-8")
    with pytest.raises(NotemillError, match="single label"):
        scan_data(f"jsonl:{tmp_path / 'train.jsonl'}", tmp_path / "out", None, 1, backdoor_recipe(None))
