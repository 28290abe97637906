"""Mentions counted as the script of n2c2 2018 track 2 counts them, against its rule written out naively."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.examples import Document, Entity
from eval.scorers import score
from eval.scorers.entities import count_matches, overlap, same_place

TEXT = "x" * 40
SPANS = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
MENTIONS = st.lists(SPANS, max_size=8).map(
    lambda spans: [Entity(f"T{i}", "Drug", (span,)) for i, span in enumerate(spans)]
)


def paired_down(gold, predicted, matches):
    """The script's way: strike predictions from a copy of the list, then count those left that match anything."""
    seen, left = [], list(predicted)
    for mention in predicted:
        for truth in gold:
            if matches(mention, truth):
                if truth.id not in seen:
                    seen.append(truth.id)
                elif mention in left:
                    left.remove(mention)
    right = sum(any(matches(mention, truth) for truth in gold) for mention in left)
    return right, len(left) - right, len(gold) - right


@pytest.mark.parametrize("matches", [same_place, overlap])
@settings(deadline=None)
@given(gold=MENTIONS, predicted=MENTIONS)
def test_counts_are_the_scripts(matches, gold, predicted):
    right, counted, wanted = count_matches(gold, predicted, matches)
    assert (right, counted - right, wanted - right) == paired_down(gold, predicted, matches)


def document(key, *mentions):
    return Document(key, TEXT, tuple(Entity(f"T{i}", label, spans) for i, (label, *spans) in enumerate(mentions)))


def test_two_predictions_on_one_mention_count_once():
    gold = [document("a", ("Drug", (0, 10)))]
    found = [document("a", ("Drug", (0, 4)), ("Drug", (5, 10)))]
    metrics = score("ner", gold, found).metrics
    assert (metrics["lenient_precision"], metrics["lenient_recall"]) == (1.0, 1.0)
    assert (metrics["strict_precision"], metrics["strict_recall"]) == (0.0, 0.0)


def test_one_prediction_over_two_mentions_finds_one():
    gold = [document("a", ("Drug", (0, 4)), ("Drug", (5, 10)))]
    found = [document("a", ("Drug", (0, 10)))]
    metrics = score("ner", gold, found).metrics
    assert (metrics["lenient_precision"], metrics["lenient_recall"]) == (1.0, 0.5)


def test_discontinuous_mentions_are_their_whole_stretch():
    gold = [document("a", ("Drug", (0, 4), (8, 10)))]
    found = [document("a", ("Drug", (0, 10)))]
    assert score("ner", gold, found).metrics["strict_f1"] == 1.0


def test_means_over_labels_and_over_documents():
    gold = [document("a", ("Drug", (0, 4)), ("Dose", (5, 8)), ("Dose", (9, 12))), document("b", ("Drug", (0, 4)))]
    found = [document("a", ("Drug", (0, 4)), ("Dose", (5, 8))), document("b")]
    metrics = score("ner", gold, found, resamples=0).metrics
    assert metrics["strict_f1"] == pytest.approx(2 * 2 / (2 + 4))
    # Both labels: one of two found, nothing invented. Documents: 2 of 3, and 0 of 1.
    assert metrics["strict_macro_f1"] == pytest.approx(2 / 3)
    assert metrics["strict_document_f1"] == pytest.approx((0.8 + 0.0) / 2)


def test_documents_without_mentions_do_not_enter_the_mean_over_documents():
    gold = [document("a", ("Drug", (0, 4))), document("b")]
    assert score("ner", gold, gold, resamples=0).metrics["strict_document_f1"] == 1.0


def test_predictions_may_come_in_another_order():
    gold = [document("a", ("Drug", (0, 4))), document("b", ("Dose", (0, 4)))]
    assert score("ner", gold, gold[::-1], resamples=0).metrics["strict_f1"] == 1.0


def test_no_mention_on_either_side_scores_zero_with_intervals():
    gold = [document("a"), document("b")]
    scores = score("ner", gold, gold)
    assert (scores.metrics["strict_f1"], scores.intervals["strict_f1"]) == (0.0, (0.0, 0.0))
