"""Scores equal sklearn's, scipy's and SQuAD's definitions on random cases, and hand-worked ones."""

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from eval.examples import Answer, Document, Entity, LabelledText, Question, Relation, RelationCandidate, SentencePair
from eval.scorers import score
from eval.scorers.answers import exact_match, token_f1
from launch.errors import NotemillError

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40)


@settings(deadline=None)
@given(LABELS)
def test_classes_equal_sklearn(pairs):
    gold, found = zip(*pairs, strict=True)
    texts = [LabelledText(str(i), "", label) for i, label in enumerate(gold)]
    ours = score("cls", texts, list(found), resamples=0)
    assert ours.metrics["accuracy"] == pytest.approx(sk.accuracy_score(gold, found))
    assert ours.metrics["macro_f1"] == pytest.approx(sk.f1_score(gold, found, average="macro", zero_division=0))
    assert ours.metrics["micro_f1"] == pytest.approx(sk.f1_score(gold, found, average="micro", zero_division=0))
    assert ours.primary == "macro_f1"
    labels = list(ours.per_class)
    rows = zip(*sk.precision_recall_fscore_support(gold, found, labels=labels, zero_division=0), strict=True)
    for label, row in zip(labels, rows, strict=True):
        assert [ours.per_class[label][key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(row)


@settings(deadline=None)
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


@settings(deadline=None)
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
    assert scores.metrics == {
        "exact_match": 0.5,
        "has_answer_exact_match": 1.0,
        "no_answer_exact_match": 0.0,
        "f1": 0.5,
        "has_answer_f1": 1.0,
        "no_answer_f1": 0.0,
    }


def test_intervals_hold_the_value_and_follow_the_seed():
    gold = [LabelledText(str(i), f"text {i}", "ab"[i % 2]) for i in range(60)]
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
        ("sts", [SentencePair("1", "", "", 1.0)], ["high"], "not finite"),
        ("sts", [SentencePair("1", "", "")], [1.0], "no finite score"),
        ("nli", [SentencePair("1", "", "", label="entailment")], [None], "not a label"),
        ("nli", [SentencePair("1", "", "", 1.0)], ["entailment"], "no label"),
        ("mqa", [Question("q", "d", "", "", ())], {"q": None}, "no answer"),
        ("mqa", [Question("q", "d", "", "", ())], ["aspirin"], "answers by question id"),
        ("cls", [LabelledText("1", "", "a")], "a", "not a list"),
        ("ner", [LabelledText("1", "", "a")], [Document("d", "x")], "not a Document"),
        ("ner", [Document("a", "x"), Document("b", "x"), Document("c", "x")][:2], [Document("a", "x")] * 2, "'b'"),
        ("spelling", [Document("d", "x")], [Document("d", "x")], "unknown task"),
    ],
)
def test_predictions_for_something_else_are_refused(task, gold, predictions, said):
    with pytest.raises(NotemillError, match=said):
        score(task, gold, predictions)


def squad_words(answer):
    """The published steps one by one: lower case, punctuation, articles, white space."""
    kept = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def squad_f1(gold, found):
    wanted, given = squad_words(gold), squad_words(found)
    if not wanted or not given:
        return int(wanted == given)
    same = sum((Counter(wanted) & Counter(given)).values())
    if same == 0:
        return 0
    precision, recall = same / len(given), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


ANSWERS = st.lists(st.sampled_from(["the", "An", "a", "pain", "Pain,", "an-81", "mg.", " ", "x"]), max_size=5).map(
    " ".join
)


@settings(deadline=None)
@given(st.lists(ANSWERS, max_size=3), ANSWERS)
def test_answers_equal_squads_definition(answers, found):
    question = Question("q", "d", "", "", tuple(Answer(text, 0) for text in answers))
    metrics = score("mqa", [question], {"q": found}, resamples=0).metrics
    wanted = [answer for answer in answers if squad_words(answer)] or [""]
    assert metrics["f1"] == pytest.approx(max(squad_f1(answer, found) for answer in wanted))
    assert metrics["exact_match"] == max(squad_words(answer) == squad_words(found) for answer in wanted)
