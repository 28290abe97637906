"""Intervals: right width, whole documents, new ranks, one source."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from eval.examples import Answer, Document, Entity, LabelledText, Question, Relation, SentencePair
from eval.scorers import bootstrap as module
from eval.scorers import score
from eval.scorers.bootstrap import bounds, by_source, draw_weights, ratio, resample
from eval.scorers.similarity import _Ranker


def mean(sums):
    return ratio(sums[..., 0], sums[..., 1])


def test_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bounds(resample(np.stack([values, np.ones(400)], axis=1), mean, resamples=4000, seed=0))
    expected = 1.96 * values.std() / 20
    assert (values.mean() - low, high - values.mean()) == (pytest.approx(expected, rel=0.1),) * 2


def test_blocks_do_not_change_the_result(monkeypatch):
    sums = np.random.default_rng(1).normal(size=(50, 2)) + 3
    whole = resample(sums, mean, resamples=90, seed=7)
    monkeypatch.setattr(module, "_BLOCK_CELLS", 50 * 40)
    assert resample(sums, mean, resamples=90, seed=7) == pytest.approx(whole)


def test_every_draw_has_as_many_documents_as_there_are():
    weights = draw_weights(np.random.default_rng(0), 30, 17)
    assert weights.sum(axis=1).tolist() == [17.0] * 30
    assert weights.std(axis=0).min() > 0


def test_questions_on_one_paper_are_drawn_together():
    """Ten papers of twenty questions each, all right or all wrong: as uncertain as ten questions, not two hundred."""

    def width(papers):
        questions = [Question(str(i), papers(i), "", "", (Answer("aspirin", 0),)) for i in range(200)]
        low, high = score("mqa", questions, {str(i): "aspirin" if i < 100 else "" for i in range(200)}).intervals["f1"]
        return high - low

    assert width(lambda i: str(i // 20)) > 3 * width(str)


def notes(source, tag=""):
    """Two hundred notes of one mention and, with `tag`, one of i2b2 2012's."""
    attributes = (("tag", tag),) if tag else ()
    mentions = (Entity("a", "Drug", ((0, 1),), attributes), Entity("b", "Sign", ((2, 3),), attributes))
    relations = (Relation("R", "Treats", "a", "b"),)
    return [Document(str(i), "a b", mentions, relations, source=source(i)) for i in range(200)]


def half_found(gold):
    return [
        replace(d, entities=d.entities if i < 100 else (), relations=d.relations[: i < 100]) for i, d in enumerate(gold)
    ]


@pytest.mark.parametrize(
    ("task", "tag", "metrics"),
    [
        ("ner", "", ("strict_f1", "lenient_recall", "strict_macro_f1", "strict_document_f1")),
        ("ner", "EVENT", ("event_type_accuracy",)),
        ("re", "", ("micro_f1", "macro_f1")),
    ],
)
def test_notes_of_one_patient_are_drawn_together(task, tag, metrics):
    """Ten patients of twenty notes each, all found or none: as uncertain as ten notes, not two hundred."""

    def scored(source):
        gold = notes(source, tag)
        found = half_found(gold)
        if tag:  # half of the types wrong, or all accuracies would be 1
            wrong = tuple(replace(entity, label="Other") for entity in gold[0].entities)
            found = [replace(d, entities=d.entities or wrong) for d in found]
        return score(task, gold, found)

    by_patient, by_note, plain = scored(lambda i: str(i // 20)), scored(str), scored(lambda i: "")
    assert by_patient.metrics == pytest.approx(by_note.metrics)
    assert by_note.intervals == plain.intervals
    for metric in metrics:
        (low, high), (single_low, single_high) = by_patient.intervals[metric], by_note.intervals[metric]
        assert high - low > 3 * (single_high - single_low) > 0


def test_sums_by_source_keep_documents_in_order():
    rows = np.arange(12).reshape(6, 2)
    assert by_source(rows, list("abcdef")).tolist() == rows.tolist()
    assert by_source(rows, list("xyxzyx")).tolist() == [[0 + 4 + 10, 1 + 5 + 11], [2 + 8, 3 + 9], [6, 7]]


def test_one_source_has_no_interval():
    gold = [LabelledText(str(i), "the same text", "ab"[i % 2]) for i in range(4)]
    assert score("cls", gold, ["a"] * 4).intervals == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=15))
def test_weighted_ranks_are_the_ranks_of_the_repeated_values(rows):
    values, weights = (np.array(side, float) for side in zip(*rows, strict=True))
    repeated = np.repeat(values, weights.astype(int))
    ranks = np.repeat(_Ranker(values)(weights), weights.astype(int))
    assert ranks == pytest.approx(rankdata(repeated))


def test_a_thousand_resamples_are_quick():
    gold = [SentencePair(str(i), "", "", i % 6 * 1.0) for i in range(2000)]
    found = np.random.default_rng(0).normal(size=2000).tolist()
    started = time.perf_counter()
    low, high = score("sts", gold, found).intervals["spearman"]
    assert low < high
    assert time.perf_counter() - started < 10
