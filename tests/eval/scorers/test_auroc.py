"""Areas under the ROC curve by hand, and against sklearn on random cases."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from eval.examples import LabelledText, SentencePair
from eval.score_files import score_files
from eval.scorers import score
from eval.scorers.auroc import score_auroc
from eval.scorers.probabilities import Probabilities, read_probabilities, rounded, write_probabilities
from launch.errors import NotemillError


def texts(labels: str) -> list[LabelledText]:
    return [LabelledText(str(i), f"text {i}", label) for i, label in enumerate(labels)]


def test_by_hand() -> None:
    # Of the four pairs of an "a" and a "b", "a" has the higher probability in two, the same in one, a lower in one.
    probabilities = Probabilities(("a", "b"), ((0.9, 0.1), (0.4, 0.6), (0.4, 0.6), (0.5, 0.5)))
    metrics = score("cls", texts("aabb"), list("abba"), probabilities).metrics
    assert metrics["auroc"] == pytest.approx(2.5 / 4)


def test_every_class_has_its_own_row() -> None:
    probabilities = Probabilities(("a", "b", "c"), ((0.8, 0.1, 0.1), (0.2, 0.7, 0.1), (0.5, 0.4, 0.1), (0.3, 0.4, 0.3)))
    scores = score("cls", texts("abac"), list("abaa"), probabilities)
    areas = [scores.per_class[label]["auroc"] for label in "abc"]
    assert areas == [1.0, 1.0, 1.0]
    assert scores.intervals["auroc"][0] <= 1.0


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(6, 40))
def test_areas_equal_sklearn(seed: int, num_classes: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    # Few different values, so that there are ties.
    raw = generator.integers(1, 6, size=(size, num_classes)).astype(float)
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    labels = [str(label) for label in range(num_classes)]
    gold = [str(label) for label in [*range(num_classes), *generator.integers(num_classes, size=size - num_classes)]]
    ours, by_class, _ = score_auroc(gold, probabilities, labels, gold, resamples=0, seed=0)
    by_sklearn = [
        roc_auc_score([wanted == label for wanted in gold], probabilities[:, i]) for i, label in enumerate(labels)
    ]
    assert [by_class[label] for label in labels] == pytest.approx(by_sklearn)
    if num_classes > 2:
        assert ours == pytest.approx(roc_auc_score(gold, probabilities, multi_class="ovr", average="macro"))
    else:
        assert ours == pytest.approx(roc_auc_score([wanted == "1" for wanted in gold], probabilities[:, 1]))


def test_draws_are_the_areas_of_the_repeated_texts() -> None:
    generator = np.random.default_rng(3)
    gold = [str(label) for label in generator.integers(2, size=30)]
    probabilities = generator.random((30, 2)).round(1)
    groups = [str(i // 2) for i in range(30)]
    _, _, draws = score_auroc(gold, probabilities, ["0", "1"], groups, resamples=3, seed=5)
    weights = np.random.default_rng(5).integers(15, size=(3, 15))
    for drawn, area in zip(weights, draws, strict=True):
        repeated = [row for group in drawn for row in (2 * group, 2 * group + 1)]
        wanted = np.array([gold[row] == "1" for row in repeated])
        by_class = [roc_auc_score(wanted == side, probabilities[repeated, int(side)]) for side in (False, True)]
        assert area == pytest.approx(np.mean(by_class))


def test_a_class_without_gold_has_no_area() -> None:
    probabilities = Probabilities(("a", "b"), ((0.9, 0.1), (0.4, 0.6)))
    scores = score("cls", texts("aa"), list("ab"), probabilities)
    assert scores.metrics["auroc"] == 0.0 and "auroc" not in scores.per_class["a"]


def test_nli_has_it_too() -> None:
    pairs = [SentencePair(str(i), f"premise {i}", "", label=label) for i, label in enumerate("ab")]
    scores = score("nli", pairs, list("ab"), Probabilities(("a", "b"), ((0.9, 0.1), (0.4, 0.6))))
    assert scores.metrics["auroc"] == 1.0 and scores.primary == "accuracy"


def test_the_file_reads_back(tmp_path: Path) -> None:
    written = rounded(["a", "b"], [[1 / 3, 2 / 3], [0.25, 0.75]])
    path = write_probabilities(written, tmp_path)
    assert read_probabilities(path, 2) == written
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(NotemillError, match="2 rows for 3 gold examples"):
        read_probabilities(path, 3)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "labels and rows"),
        ('{"labels": ["a", "b"], "rows": [[0.5]]}', "row 1 of .* is not 2 finite numbers"),
        ('{"labels": ["a"], "rows": [[NaN]]}', "row 1 of .* is not 1 finite numbers"),
        ('{"labels": ["a"]', "not valid JSON"),
    ],
)
def test_broken_files_are_told(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "probabilities.json").write_text(content)
    with pytest.raises(NotemillError, match=told):
        read_probabilities(tmp_path / "probabilities.json", 1)


@pytest.mark.parametrize(
    ("labels", "row", "problem"),
    [
        (["a", "a"], [0.5, 0.5], "names a label twice"),
        (["a", "b"], [5, -4], "row 1 .* not 2 finite numbers from 0 to 1"),
        (["a", "c"], [0.5, 0.5], "a column for 'c', which no example has, and none for 'b'"),
    ],
)
def test_what_are_no_probabilities_of_the_labels_is_refused(tmp_path: Path, labels, row, problem) -> None:
    gold, shares = tmp_path / "gold.csv", tmp_path / "shares.json"
    gold.write_text("text,label\nx,a\ny,b\n")
    shares.write_text(json.dumps({"labels": labels, "rows": [row, [0.5, 0.5]]}))
    with pytest.raises(NotemillError, match=problem):
        score_files("cls", f"csv:{gold}", gold, probabilities=shares)


def test_a_model_may_know_other_labels_or_fewer(tmp_path: Path) -> None:
    gold, shares = tmp_path / "gold.csv", tmp_path / "shares.json"
    gold.write_text("text,label\nx,a\ny,b\n")
    for labels in (["a", "b", "c"], ["a"]):
        shares.write_text(json.dumps({"labels": labels, "rows": [[0.2] * len(labels)] * 2}))
        assert "auroc" in score_files("cls", f"csv:{gold}", gold, probabilities=shares)["metrics"]
