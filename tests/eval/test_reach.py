"""The table of gold relations that candidates do not reach."""

from eval.examples import Dataset, Document, Entity, Relation
from eval.reach import count_out_of_reach, reach_rows, reach_table

TEXT = "Aspirin 81 mg. Fever came. Pain went. Then warfarin 5 mg."


def document(key, *relations):
    entities = [("a", "Drug", "Aspirin"), ("b", "Dose", "81 mg"), ("c", "Problem", "Pain"), ("d", "Drug", "warfarin")]
    placed = tuple(Entity(k, label, ((TEXT.index(s), TEXT.index(s) + len(s)),)) for k, label, s in entities)
    made = tuple(Relation(f"R{n}", label, head, tail) for n, (label, head, tail) in enumerate(relations))
    return Document(key, TEXT, placed, made)


TRAIN = document("1", ("Dose", "b", "a"), ("Dose", "b", "d"), ("Treats", "d", "c"))
TEST = document("2", ("Dose", "b", "d"), ("Treats", "c", "a"))


def test_every_gold_relation_is_reached_or_has_a_reason():
    rows = reach_rows(Dataset("re", "brat", "x", {"train": (TRAIN,), "test": (TEST,)}), 1)
    assert rows == [
        {"split": "train", "label": "Dose", "gold": 2, "reached": 1, "reasons": {"3 sentences apart": 1}},
        {"split": "train", "label": "Treats", "gold": 1, "reached": 1, "reasons": {}},
        {"split": "test", "label": "Dose", "gold": 1, "reached": 0, "reasons": {"3 sentences apart": 1}},
        {
            "split": "test",
            "label": "Treats",
            "gold": 1,
            "reached": 0,
            "reasons": {"types never related in training": 1},
        },
    ]
    assert count_out_of_reach(rows) == {"train relations out of reach": 1, "test relations out of reach": 2}
    assert reach_table(rows, 1) == [
        "gold relations and candidates, with max_sentence_distance=1:",
        "  split  relation  gold  reached  out of reach",
        "  train  Dose         2        1  3 sentences apart 1",
        "  train  Treats       1        1  -",
        "  test   Dose         1        0  3 sentences apart 1",
        "  test   Treats       1        0  types never related in training 1",
    ]


def test_far_relations_are_counted_together():
    text = "Aa. Bb. Cc. Dd. Ee. Ff. Gg."
    entities = tuple(Entity(key, "X", ((text.index(key), text.index(key) + 2),)) for key in ("Aa", "Bb", "Gg"))
    both = Document("1", text, entities, (Relation("R1", "r", "Aa", "Gg"), Relation("R2", "r", "Aa", "Bb")))
    (row,) = reach_rows(Dataset("re", "brat", "x", {"train": (both,)}), 1)
    assert row["reasons"] == {"5+ sentences apart": 1}


def test_marked_sentences_and_other_tasks_have_no_table():
    assert reach_rows(Dataset("ner", "brat", "x", {"train": (TRAIN,)}), 1) == []
    assert reach_table([], 1) == []
