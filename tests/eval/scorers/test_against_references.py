"""Scores equal sklearn's, scipy's and SQuAD's definitions on random cases, and hand-worked ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from eval.examples import Answer, Document, Entity, LabelledText, Question, Relation, RelationCandidate, SentencePair
from eval.scorers import score
from eval.scorers.answers import exact_match, token_f1
from launch.errors import NotemillError

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40)


@given(LABELS)
def test_classes_equal_sklearn(pairs):
    gold, found = zip(*pairs, strict=True)
    texts = [LabelledText(str(i), "", label) for i, label in enumerate(gold)]
    ours = score("cls", texts, list(found), resamples=0)
    assert ours.metrics["accuracy"] == pytest.approx(sk.accuracy_score(gold, found))
    assert ours.metrics["macro_f1"] == pytest.approx(sk.f1_score(gold, found, average="macro", zero_division=0))
    assert ours.primary == "macro_f1"


@given(LABELS)
def test_relations_equal_sklearn_micro_f1_over_positive_labels(pairs):
    rename = {"a": "TREATS", "b": "CAUSES", "c": "NONE"}
    gold, found = ([rename[side] for side in sides] for sides in zip(*pairs, strict=True))
    candidates = [RelationCandidate(str(i), "", (0, 0), (0, 0), label) for i, label in enumerate(gold)]
    ours = score("re", candidates, found, resamples=0).metrics["micro_f1"]
    theirs = sk.f1_score(gold, found, labels=["TREATS", "CAUSES"], average="micro", zero_division=0)
    assert ours == pytest.approx(theirs)


def test_missed_and_invented_relations_of_a_document():
    entities = tuple(Entity(f"T{i}", "X", ((i, i + 1),)) for i in range(3))
    gold = Document("d", "abc", entities, (Relation("R1", "r", "T0", "T1"), Relation("R2", "r", "T1", "T2")))
    found = Document("d", "abc", entities, (Relation("R1", "r", "T0", "T1"), Relation("R2", "r", "T1", "T0")))
    assert score("re", [gold], [found], resamples=0).metrics["micro_f1"] == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-2, 7)), min_size=3, max_size=40))
def test_correlations_equal_scipy(pairs):
    gold, found = (np.round(side, 3) for side in zip(*pairs, strict=True))
    ours = score("sts", [SentencePair(str(i), "", "", float(g)) for i, g in enumerate(gold)], list(found), resamples=0)
    if np.ptp(gold) < 1e-2 or np.ptp(found) < 1e-2:
        return
    assert ours.metrics["pearson"] == pytest.approx(stats.pearsonr(gold, found).statistic, abs=1e-6)
    assert ours.metrics["spearman"] == pytest.approx(stats.spearmanr(gold, found).statistic, abs=1e-6)


def test_constant_predictions_correlate_with_nothing():
    pairs = [SentencePair(str(i), "", "", float(i)) for i in range(5)]
    scores = score("sts", pairs, [1.7] * 5)
    assert scores.metrics == {"pearson": 0.0, "spearman": 0.0}


def test_squad_by_hand():
    assert exact_match("The  Metformin!", "metformin") == 1.0
    assert token_f1("500 mg of metformin", "metformin 500 mg daily") == pytest.approx(0.75)
    assert token_f1("", "x") == 0.0
    assert token_f1("", "") == 1.0


def test_questions_take_the_best_answer_and_none_means_silence():
    questions = [
        Question("q1", "d1", "", "", (Answer("aspirin", 0), Answer("aspirin 81 mg", 0))),
        Question("q2", "d2", "", "", ()),
    ]
    scores = score("mqa", questions, {"q1": "aspirin 81 mg", "q2": "something"}, resamples=20)
    assert scores.metrics == {"exact_match": 0.5, "f1": 0.5}


def test_intervals_hold_the_value_and_follow_the_seed():
    gold = [LabelledText(str(i), "", "ab"[i % 2]) for i in range(60)]
    found = ["ab"[(i // 3) % 2] for i in range(60)]
    first, again, other = (score("cls", gold, found, seed=seed) for seed in (0, 0, 1))
    low, high = first.intervals["accuracy"]
    assert low < first.metrics["accuracy"] < high
    assert first == again
    assert first.intervals != other.intervals


@pytest.mark.parametrize(
    ("task", "gold", "predictions", "said"),
    [
        ("cls", [LabelledText("1", "", "a")], [], "0 predictions for 1 gold"),
        ("mqa", [Question("q", "d", "", "", ())], {}, "no answer"),
        ("ner", [Document("d", "x")], [Document("e", "x")], "no predictions"),
        ("ner", [Document("d", "x")], [Document("d", "y")], "another text"),
        ("sts", [SentencePair("1", "", "", 1.0)], [float("nan")], "not finite"),
        ("cls", [], [], "no gold examples"),
    ],
)
def test_predictions_for_something_else_are_refused(task, gold, predictions, said):
    with pytest.raises(NotemillError, match=said):
        score(task, gold, predictions)
