"""Relations by hand: numbering, negatives, out-of-reach gold."""

import pytest

from eval.examples import Document, Entity, Relation, RelationCandidate
from eval.scorers import score

DRUG, DOSE, PAIN = (Entity(f"T{i}", label, ((i, i + 1),)) for i, label in enumerate(("Drug", "Dose", "Problem"), 1))
GOLD = Document(
    "d", "abcd", (DRUG, DOSE, PAIN), (Relation("R1", "DoseOf", "T2", "T1"), Relation("R2", "Treats", "T1", "T3"))
)


def test_a_relation_that_no_prediction_reaches_is_missed():
    found = Document("d", "abcd", GOLD.entities, GOLD.relations[:1])
    scores = score("re", [GOLD], [found])
    assert scores.metrics["micro_f1"] == pytest.approx(2 / 3)
    assert scores.metrics["macro_f1"] == 0.5
    assert scores.per_class["Treats"]["support"] == 1
    assert (scores.primary, scores.n) == ("micro_f1", 1)


def test_mentions_are_known_by_their_place_not_their_number():
    entities = (Entity("T1", "Dose", DOSE.spans), Entity("T9", "Drug", DRUG.spans))
    found = Document("d", "abcd", entities, (Relation("R1", "DoseOf", "T1", "T9"),))
    assert score("re", [GOLD], [found]).metrics["precision"] == 1.0


def test_a_number_of_gold_on_another_mention_does_not_match():
    entities = (Entity("T2", "Drug", ((3, 4),)), Entity("T1", "Dose", ((0, 1),)))
    found = Document("d", "abcd", entities, (Relation("R1", "DoseOf", "T2", "T1"),))
    assert score("re", [GOLD], [found]).metrics["micro_f1"] == 0.0


def test_direction_counts():
    found = Document("d", "abcd", GOLD.entities, (Relation("R1", "DoseOf", "T1", "T2"),))
    assert score("re", [GOLD], [found]).metrics["micro_f1"] == 0.0


def candidates(*labels):
    return [RelationCandidate(str(i), f"text {i}", (0, 1), (2, 3), label) for i, label in enumerate(labels)]


@pytest.mark.parametrize("negative", ["NONE", "false", "no relation", "NO_RELATION", "No-Relation"])
def test_negatives_are_no_class(negative):
    scores = score("re", candidates("Treats", negative, negative, "Causes"), ["Treats", negative, "Treats", negative])
    # One right; one invented; one missed.
    assert scores.metrics["micro_f1"] == 0.5
    assert set(scores.per_class) == {"Treats", "Causes"}


def test_without_negatives_micro_f1_is_accuracy():
    metrics = score("re", candidates("A", "B", "C"), ["A", "B", "A"]).metrics
    assert metrics["micro_f1"] == pytest.approx(2 / 3)


def test_only_negatives_score_zero():
    scores = score("re", candidates("NONE", "NONE"), ["NONE", "NONE"])
    assert scores.metrics["micro_f1"] == 0.0
