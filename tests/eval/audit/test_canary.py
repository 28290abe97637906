"""Canaries: planted by coins, remembered or not."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.audit_models import train_mlm, train_tokenizer, write_patients
from eval.audit.attacks import AttackConfig
from eval.audit.canary.key import NOTES_FILE, read_canaries
from eval.audit.canary.plant import plant_canaries
from eval.audit.canary.score import _bound, _trained_on, score_canaries
from eval.audit.notes import AuditNote, count_patients, read_notes, write_notes
from eval.audit.policy import load_policy
from eval.audit.verdict import INSUFFICIENT, judge
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build

QUICK = AttackConfig(max_pieces=0, resamples=200)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patients(tmp_path_factory.mktemp("notes") / "notes.jsonl", 30, 4)


@pytest.fixture(scope="module")
def planted(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("canaries")
    plant_canaries(notes, out, count=60, length=12, repeats=[1, 4], seed=2)
    return out


def test_a_key_is_not_replaced(notes: Path, planted: Path) -> None:
    before = (planted / "canaries.json").read_bytes()
    with pytest.raises(NotemillError, match="holds other canaries"):
        plant_canaries(notes, planted, count=60, length=12, repeats=[1, 4], seed=3)
    plant_canaries(notes, planted, count=60, length=12, repeats=[1, 4], seed=2)
    assert (planted / "canaries.json").read_bytes() == before


def test_what_is_planted(notes: Path, planted: Path) -> None:
    found = read_canaries(planted)
    written = read_notes(planted / "notes.jsonl")
    original = read_notes(notes)
    texts = [note.text for note in written]
    for canary in found.canaries:
        assert texts.count(canary.text) == (canary.repeats if canary.is_in else 0)
    assert sorted(n.note_id for n in written if not n.note_id.startswith("canary")) == sorted(
        n.note_id for n in original
    )
    assert 15 < sum(canary.is_in for canary in found.canaries) < 45
    assert {len(canary.text.split()) for canary in found.canaries} == {12}
    # Only words of many patients, so that no canary tells of one.
    holders = {word: {n.patient_key for n in original if word in n.text.lower()} for word in found.words}
    assert min(map(len, holders.values())) >= 8
    assert all(path.stat().st_mode & 0o077 == 0 for path in planted.iterdir())


def test_a_corpus_of_them_keeps_a_patients_notes_together(planted: Path, tmp_path: Path) -> None:
    build(tmp_path / "corpus", f"jsonl:{planted / NOTES_FILE}")
    splits: dict[str, set[str]] = {}
    for note in (kept := read_notes(tmp_path / "corpus")):
        splits.setdefault(note.patient_key, set()).add(note.split)
    assert len(splits) == count_patients(read_notes(planted / NOTES_FILE)) < len(kept)
    assert max(map(len, splits.values())) == 1


def test_a_model_that_saw_them_remembers_and_another_does_not(planted: Path, tmp_path: Path) -> None:
    texts = [note.text for note in read_notes(planted / "notes.jsonl")]
    tokenizer = train_tokenizer(tmp_path / "tokenizer", texts, 1200)
    planted_texts = {canary.text for canary in read_canaries(planted).canaries}
    models = {0: tmp_path / "before", 40: tmp_path / "after"}
    train_mlm(tokenizer, [text for text in texts if text in planted_texts], 40, 0, models.get, batch_size=4)
    after = score_canaries(models[40], planted, tmp_path / "a", QUICK, None, 1e-5, 100)
    assert after.settings["max_length"] == QUICK.max_length and "canaries in and" in after.findings["canary.auc"].note
    with pytest.raises(NotemillError, match="has the weights of the audited model"):
        score_canaries(models[40], planted, tmp_path / "c", QUICK, models[40], 1e-5, 100)
    before = score_canaries(models[0], planted, tmp_path / "b", QUICK, None, 1e-5, 100)
    assert after.findings["canary.auc"].value > 0.9
    assert before.findings["canary.auc"].low < 0.5 < before.findings["canary.auc"].high
    assert after.findings["canary.epsilon_lower_bound"].value > 1
    assert before.findings["canary.epsilon_lower_bound"].value == 0
    losses = [after.findings[f"utility.{name}"].value for name in ("member_loss", "member_unigram_loss")]
    # It was trained on the canaries alone, and an untrained one on nothing.
    assert None not in losses and judge(before, load_policy()).verdict == INSUFFICIENT
    with pytest.raises(NotemillError, match="a result by other settings"):
        score_canaries(models[40], planted, tmp_path / "a", QUICK, None, 1e-6, 100)
    often, left_out = (after.findings[f"canary.{name}"].value for name in ("exposure_repeats_4", "exposure_left_out"))
    assert often > left_out + 2 and often <= np.log2(101)
    assert json.loads((tmp_path / "a" / "audit.json").read_text())["kind"] == "canary"


def test_only_canaries_that_were_trained_on_are_in(notes: Path, planted: Path, tmp_path: Path) -> None:
    """A corpus holds some canaries out and drops copies of the others."""
    found = read_canaries(planted)
    canaries = [canary for canary in found.canaries if canary.is_in]
    in_train = canaries[::2]
    rows = [
        AuditNote(str(number), str(number), canary.text, "train" if canary in in_train else "valid")
        for number, canary in enumerate(canaries)
    ]
    write_notes(tmp_path / "corpus.jsonl", rows)
    kept = _trained_on(found, tmp_path / "corpus.jsonl")
    assert {canary.text for canary in kept if canary.is_in} == {canary.text for canary in in_train}
    assert {canary.repeats for canary in kept if canary.is_in} == {1}
    assert _bound(np.ones(1), np.ones(1, bool), 1e-5, "").value is None
    left_out = len(found.canaries) - len(canaries)
    assert sum(not canary.is_in for canary in kept) == round(len(in_train) / len(canaries) * left_out)
    write_notes(tmp_path / "other.jsonl", [AuditNote("a", "p", "x", "train")])
    with pytest.raises(NotemillError, match="none of the"):
        _trained_on(found, tmp_path / "other.jsonl")


def test_notes_that_name_their_split_keep_what_is_held_out(notes: Path, tmp_path: Path) -> None:
    halves = [replace(note, split=("train", "test")[i % 2]) for i, note in enumerate(read_notes(notes))]
    write_notes(tmp_path / "split.jsonl", halves)
    plant_canaries(tmp_path / "split.jsonl", tmp_path / "out", count=20, length=8, repeats=[1], seed=0)
    assert {note.split for note in read_notes(tmp_path / "out" / "notes.jsonl")} == {"train"}


def test_bad_settings(notes: Path, tmp_path: Path) -> None:
    for options, words in (
        ({"count": 5}, "fewer than 10"),
        ({"length": 2}, "4 to 200"),
        ({"repeats": [0]}, "at least once"),
    ):
        with pytest.raises(NotemillError, match=words):
            plant_canaries(notes, tmp_path, **{"count": 20, "length": 8, "repeats": [1], "seed": 0, **options})
    (tmp_path / "few.jsonl").write_text('{"text": "one two three", "patient_id": "1"}\n')
    with pytest.raises(NotemillError, match="give more notes"):
        plant_canaries(tmp_path / "few.jsonl", tmp_path / "x", count=20, length=8, repeats=[1], seed=0)
    whole = {
        "canaries": [{"text": "a b c d", "is_in": True, "repeats": 1}] * 10,
        "words": ["a"],
        "length": 4,
        "seed": 0,
    }
    changes: list[dict[str, object]] = [
        {"canaries": 3},
        {"canaries": [{"text": 3, "is_in": True, "repeats": 1}] * 10},
        {"canaries": [{"text": "a", "is_in": "false", "repeats": 1}] * 10},
        {"length": -3},
        {"words": [3]},
    ]
    for change in ({}, *changes):
        (tmp_path / "canaries.json").write_text(json.dumps(whole | change))
        with pytest.raises(NotemillError, match="no list of canaries") if change else nullcontext():
            read_canaries(tmp_path)
