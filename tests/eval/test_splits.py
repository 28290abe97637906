"""Splits that a release does not bring."""

import pytest

from eval.examples import Dataset, LabelledText, Question, SentencePair
from eval.splits import complete_splits
from launch.errors import NotemillError

TEXTS = tuple(LabelledText(str(i), f"text {i}", "a") for i in range(100))


def dataset(task="cls", **splits):
    return Dataset(task, "jsonl", "set", splits, {"kept": 1})


def test_complete_sets_stay_as_they_are():
    splits = {"train": TEXTS[:80], "dev": TEXTS[80:90], "test": TEXTS[90:]}
    done = complete_splits(dataset(**splits))
    assert (done.splits, done.notes) == (splits, {"kept": 1})


def test_dev_is_scored_and_a_tenth_of_train_replaces_it():
    done = complete_splits(dataset(train=TEXTS[:80], dev=TEXTS[80:]))
    assert done.splits["test"] == TEXTS[80:]
    assert len(done.splits["dev"]) == 8
    assert sorted(done.splits["train"] + done.splits["dev"], key=lambda t: int(t.id)) == list(TEXTS[:80])
    assert sorted(done.notes.values()) == [1, 8, 20]


def test_the_seed_decides():
    bare = dataset(train=TEXTS[:80], test=TEXTS[80:])
    assert complete_splits(bare) == complete_splits(bare)
    assert complete_splits(bare).splits["dev"] != complete_splits(bare, seed=1).splits["dev"]


@pytest.mark.parametrize(
    ("task", "examples", "source"),
    [
        ("nli", [SentencePair(str(i), f"premise {i // 3}", str(i), label="x") for i in range(90)], lambda e: e.first),
        ("mqa", [Question(str(i), f"paper {i // 9}", "", "", ()) for i in range(90)], lambda e: e.document_id),
    ],
)
def test_what_has_one_source_stays_together(task, examples, source):
    done = complete_splits(dataset(task, train=tuple(examples), test=tuple(examples[:1])))
    assert not {source(e) for e in done.splits["train"]} & {source(e) for e in done.splits["dev"]}


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"test": TEXTS}, "no training examples"),
        ({"train": TEXTS}, "only a train split"),
        ({"train": TEXTS[:1], "test": TEXTS}, "single source"),
    ],
)
def test_sets_that_cannot_be_completed_are_refused(splits, said):
    with pytest.raises(NotemillError, match=said):
        complete_splits(dataset(**splits))
