"""Confusions by hand: what is set against what."""

import pytest

from eval.confusion import NOTHING, align, classes_of, count_confusions, fold, mean_confusion
from eval.examples import Document, Entity, LabelledText, Relation, RelationCandidate, SentencePair, Task

TEXT = "aspirin for chest pain"


def entity(key: str, label: str, start: int, end: int) -> Entity:
    return Entity(key, label, ((start, end),))


def test_classes() -> None:
    gold = [LabelledText(str(i), "", label) for i, label in enumerate("aab")]
    cells = count_confusions("cls", gold, ["a", "b", "b"])
    assert cells == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1}


@pytest.mark.parametrize("task", ["sts", "mqa"])
def test_no_classes(task: Task) -> None:
    assert count_confusions(task, [SentencePair("1", "", "", 1.0)], [1.0]) is None


def test_negatives_of_marked_sentences_are_nothing() -> None:
    gold = [RelationCandidate(str(i), "", (0, 0), (0, 0), label) for i, label in enumerate(["R", "NONE", "R", "false"])]
    cells = count_confusions("re", gold, ["R", "R", "no", "NONE"])
    assert cells == {("R", "R"): 1, (NOTHING, "R"): 1, ("R", NOTHING): 1, (NOTHING, NOTHING): 1}


def test_relations_of_a_document() -> None:
    entities = tuple(entity(f"T{i}", "X", i, i + 1) for i in range(4))
    gold = Document("d", TEXT, entities, (Relation("1", "A", "T0", "T1"), Relation("2", "A", "T1", "T2")))
    found = Document(
        "d",
        TEXT,
        entities,
        (Relation("1", "B", "T0", "T1"), Relation("2", "A", "T2", "T3"), Relation("3", "A", "T0", "T1")),
    )
    # T0-T1 has A rightly and B besides; T1-T2 is missed; T2-T3 is invented.
    cells = count_confusions("re", [gold], [found])
    assert cells == {("A", "A"): 1, (NOTHING, "B"): 1, ("A", NOTHING): 1, (NOTHING, "A"): 1}


def test_mentions_prefer_their_place_then_the_longest_overlap() -> None:
    gold = [entity("1", "DRUG", 0, 7), entity("2", "PROBLEM", 12, 22)]
    found = [entity("a", "PROBLEM", 12, 17), entity("b", "TEST", 12, 22), entity("c", "DRUG", 8, 11)]
    pairs = [(a.id if a else None, b.id if b else None) for a, b in align(gold, found)]
    assert pairs == [("2", "b"), ("1", None), (None, "a"), (None, "c")]
    cells = count_confusions("ner", [Document("d", TEXT, tuple(gold))], [Document("d", TEXT, tuple(found))])
    assert cells == {("PROBLEM", "TEST"): 1, ("DRUG", NOTHING): 1, (NOTHING, "PROBLEM"): 1, (NOTHING, "DRUG"): 1}


def test_every_mention_is_counted_once() -> None:
    gold = [entity(str(i), "A", i, i + 3) for i in range(0, 12, 2)]
    found = [entity(str(i), "B", i, i + 4) for i in range(0, 12, 3)]
    pairs = align(gold, found)
    assert sorted(a.id for a, _ in pairs if a) == sorted(e.id for e in gold)
    assert sorted(b.id for _, b in pairs if b) == sorted(e.id for e in found)


def test_seeds_are_averaged_and_small_classes_folded() -> None:
    gold = [LabelledText(str(i), "", label) for i, label in enumerate("aaabbc")]
    seeds = [count_confusions("cls", gold, list(found)) for found in ("aaabbc", "aaaaac")]
    cells = [found for found in seeds if found is not None]
    mean = mean_confusion(cells, classes_of(cells))
    assert mean == {"labels": ["a", "b", "c"], "rows": [[3, 0, 0], [1, 1, 0], [0, 0, 1]]}
    wide = {"labels": [*"abcd", NOTHING], "rows": [[9, 0, 0, 0, 0], [1, 2, 3, 4, 5], [0] * 5, [0] * 5, [7, 0, 1, 1, 0]]}
    folded = fold(wide, 4)  # type: ignore[arg-type]
    assert folded["labels"] == ["a", "b", "2 other classes", NOTHING]
    assert folded["rows"] == [[9, 0, 0, 0], [1, 2, 7, 5], [0, 0, 0, 0], [7, 0, 2, 0]]
