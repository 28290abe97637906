"""Spans and types of i2b2 2012 by hand."""

import pytest

from eval.examples import Document, Entity
from eval.scorers import score
from eval.scorers.spans_2012 import overlaps

TEXT = "admitted on 3 May with chest pain , given aspirin"


def mention(text: str, label: str, tag: str = "", **attributes: str) -> Entity:
    start = TEXT.index(text)
    kept = (("tag", tag),) if tag else ()
    return Entity(f"{label}{start}", label, ((start, start + len(text)),), (*kept, *attributes.items()))


GOLD = [
    Document(
        "d",
        TEXT,
        (
            mention("admitted", "OCCURRENCE", "EVENT", polarity="POS"),
            mention("3 May", "DATE", "TIMEX3"),
            mention("chest pain ,", "PROBLEM", "EVENT", polarity="POS"),
            mention("aspirin", "TREATMENT", "EVENT", polarity="NEG"),
        ),
    )
]


def test_by_hand() -> None:
    # Without tags, as a model predicts them: "pain" overlaps, "given" is no event, the date has another type.
    found = [
        Document(
            "d",
            TEXT,
            (
                mention("admitted", "OCCURRENCE"),
                mention("on 3 May", "DURATION", "TIMEX3"),
                mention("chest pain", "TEST", "EVENT"),
                mention("given", "TREATMENT"),
            ),
        )
    ]
    metrics = score("ner", GOLD, found, resamples=0).metrics
    assert metrics["event_span_recall"] == pytest.approx(2 / 3)
    assert metrics["event_span_precision"] == pytest.approx(2 / 3)
    assert metrics["event_span_f1"] == pytest.approx(2 / 3)
    # The comma alone does not part "chest pain ," from "chest pain".
    assert metrics["event_exact_span_f1"] == pytest.approx(2 / 3)
    assert metrics["event_type_accuracy"] == pytest.approx(1 / 2)
    assert (metrics["timex3_span_f1"], metrics["timex3_exact_span_f1"]) == (1.0, 0.0)
    assert metrics["timex3_type_accuracy"] == 0.0
    assert "event_polarity_accuracy" not in metrics


def test_attributes_count_where_predictions_have_them() -> None:
    found = [
        Document(
            "d",
            TEXT,
            (
                mention("admitted", "OCCURRENCE", "EVENT", polarity="pos"),
                mention("aspirin", "TREATMENT", "EVENT", polarity="POS"),
            ),
        )
    ]
    metrics = score("ner", GOLD, found, resamples=0).metrics
    assert metrics["event_polarity_accuracy"] == pytest.approx(1 / 2)
    assert metrics["timex3_span_f1"] == 0.0


def test_the_first_that_overlaps_is_the_match() -> None:
    found = [
        Document("d", TEXT, (mention("pain", "TEST", "EVENT"), mention("chest pain ,", "PROBLEM", "EVENT"))),
    ]
    metrics = score("ner", GOLD, found, resamples=0).metrics
    assert metrics["event_span_precision"] == 1.0 and metrics["event_span_recall"] == pytest.approx(1 / 3)
    assert metrics["event_type_accuracy"] == 0.0


def test_one_character_is_enough_only_from_the_left() -> None:
    left, right = Entity("a", "X", ((0, 5),)), Entity("b", "X", ((4, 9),))
    assert overlaps(left, right) and not overlaps(right, left)


def test_intervals_and_labels_that_are_tags() -> None:
    gold = [Document(key, TEXT, (mention("aspirin", "EVENT", "EVENT"),)) for key in "ab"]
    scores = score("ner", gold, gold, resamples=10)
    assert scores.intervals["event_span_f1"] == (1.0, 1.0)
    assert "event_type_accuracy" not in scores.metrics


def test_other_releases_have_no_such_scores() -> None:
    gold = [Document("d", TEXT, (mention("aspirin", "DRUG"),))]
    assert not [name for name in score("ner", gold, gold).metrics if "span" in name]
