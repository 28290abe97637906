"""n2c2 2018 and 2019 and MedNLI: split files and folders by name, scores beside pairs, labels withheld."""

import pytest

from eval.formats import load_dataset, read_predictions
from launch.errors import NotemillError
from tests.eval.formats import releases


def test_2018_overlapping_and_divided_mentions_and_their_relations(tmp_path):
    dataset = load_dataset("re", f"n2c2_2018:{releases.n2c2_2018(tmp_path)}")
    document, empty = dataset.splits["test"]
    assert [" ".join(document.text[a:b] for a, b in entity.spans) for entity in document.entities] == [
        *("Lisinopril", "10 mg", "daily", "high blood pressure", "10 mg daily"),
    ]
    assert [(r.label, r.head, r.tail) for r in document.relations] == [
        ("Strength-Drug", "T2", "T1"),
        ("Reason-Drug", "T4", "T1"),
    ]
    assert empty.entities == ()
    assert dataset.notes == {"texts without annotations left": 1}


def test_2018_annotations_without_their_text_are_refused(tmp_path):
    root = releases.n2c2_2018(tmp_path)
    (root / "training_20180910" / "100035.txt").unlink()
    with pytest.raises(NotemillError, match=r"100035\.ann has no 100035\.txt beside it"):
        load_dataset("ner", f"n2c2_2018:{root}")


def test_2019_pairs_take_their_scores_from_the_line_or_the_file_beside(tmp_path):
    splits = load_dataset("sts", f"n2c2_2019:{releases.n2c2_2019(tmp_path)}").splits
    assert [(pair.first, pair.second, pair.score) for pair in splits["train"][:2]] == [
        ('He "naps.', "He sleeps.", 4.5),
        ("No cough", "Fièvre", 0.0),
    ]
    assert [(pair.second, pair.score) for pair in splits["test"]] == [("A 'cough", 5.0), ("Two", 0.5), ("B c", 2.0)]


def test_2019_scores_alone_are_predictions(tmp_path):
    gold = load_dataset("sts", f"n2c2_2019:{releases.n2c2_2019(tmp_path)}").splits["test"]
    scores = releases.put(tmp_path / "submission.txt", "1\n2\r\n3.5\n")
    assert read_predictions("sts", "n2c2_2019", scores, gold) == [1.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("clinicalSTS2019.train.txt", "secret\tb\t1\nsecret\tb\n", r"train\.txt line 2 has not the three columns"),
        ("clinicalSTS2019.train.txt", "secret\tb\tsecret\n", r"train\.txt line 1 has no number"),
        ("clinicalSTS2019.train.txt", "secret\tb\tnan\n", r"train\.txt line 1 has no number"),
        ("clinicalSTS2019.train.txt", "\n", r"train\.txt holds no pairs"),
        ("clinicalSTS2019.test.gs.sim.txt", "1\n2\n", r"gs\.sim\.txt has 2 scores for the 3 pairs"),
        ("clinicalSTS2019.test.gs.sim.txt", "1\nsecret\n3\n", r"gs\.sim\.txt line 2 has no number"),
    ],
)
def test_broken_pairs_of_2019_are_named_by_line(tmp_path, name, content, problem):
    releases.put(releases.n2c2_2019(tmp_path) / name, content)
    with pytest.raises(NotemillError, match=problem) as refused:
        load_dataset("sts", f"n2c2_2019:{tmp_path}")
    assert "secret" not in str(refused.value)


def test_2019_test_pairs_without_scores_are_refused(tmp_path):
    (releases.n2c2_2019(tmp_path) / "clinicalSTS2019.test.gs.sim.txt").unlink()
    with pytest.raises(NotemillError, match=r"put clinicalSTS2019\.test\.gs\.sim\.txt beside it"):
        load_dataset("sts", f"n2c2_2019:{tmp_path}")


def test_mednli_pairs_without_a_gold_label_are_counted(tmp_path):
    dataset = load_dataset("nli", f"mednli:{releases.mednli(tmp_path)}")
    assert [(pair.id, pair.label) for pair in dataset.splits["test"]] == [
        ("test-0", "neutral"),
        ("test-1", "contradiction"),
    ]
    assert dataset.notes == {"pairs without a gold label left": 1}


def test_broken_mednli_is_named_by_line(tmp_path):
    releases.put(releases.mednli(tmp_path) / "mli_dev_v1.jsonl", '{"sentence1": "a"}\n{"secret\n')
    with pytest.raises(NotemillError, match=r"mli_dev_v1\.jsonl line 2 is not valid JSON") as refused:
        load_dataset("nli", f"mednli:{tmp_path}")
    assert "secret" not in str(refused.value)
