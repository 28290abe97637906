"""What classes weigh, and what that does to the loss of each head that has classes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from eval.examples import Document, Entity, LabelledText, RelationCandidate, SentencePair
from eval.finetune.batches import collate
from eval.finetune.class_weights import weights_of_classes
from eval.finetune.head import Head
from eval.finetune.load_classifier import FolderHead
from eval.finetune.recipe import load_recipe
from eval.finetune.tasks import make_head
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError
from tests.eval.finetune.test_heads import dataset


def test_balanced_weights_are_inverse_to_counts_and_one_on_average() -> None:
    seen = ["a"] * 6 + ["b"] * 3 + ["c"]
    weights = weights_of_classes("balanced", ("a", "b", "c", "never"), lambda: seen)
    assert weights is not None
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3, 1.0])
    by_label = dict(zip("abc", weights.tolist(), strict=False))
    assert sum(by_label[label] for label in seen) / len(seen) == pytest.approx(1.0)


def test_given_weights_go_by_class_and_others_weigh_one() -> None:
    labels = ("O", "B-Drug", "I-Drug", "B-Sign", "I-Sign")
    class_of = lambda label: label.partition("-")[2] or label  # noqa: E731
    weights = weights_of_classes({"Drug": 3, "O": 0.5}, labels, list, class_of)
    assert weights is not None and weights.tolist() == [0.5, 3.0, 3.0, 1.0, 1.0]
    assert weights_of_classes("none", labels, list) is None
    with pytest.raises(NotemillError, match=r"class_weights names 'Drag'.*there are O, Drug, Sign"):
        weights_of_classes({"Drag": 3}, labels, list, class_of)


def test_balanced_weights_of_tags_count_entity_types() -> None:
    labels = ("O", "B-Drug", "I-Drug", "B-Sign", "I-Sign")
    seen = ["O"] * 12 + ["B-Drug"] * 2 + ["I-Drug"] * 4 + ["B-Sign"] * 2
    weights = weights_of_classes("balanced", labels, lambda: seen, lambda label: label.partition("-")[2] or label)
    assert weights is not None
    assert weights.tolist() == pytest.approx([20 / 36, 20 / 18, 20 / 18, 20 / 6, 20 / 6])


def test_weights_follow_the_order_of_a_folders_labels(tiny_model: Path, tmp_path: Path) -> None:
    recipe = load_recipe("cls", None, ["class_weights={a: 2, c: 5}"])
    head = FolderHead(tmp_path, ("c", "b", "a"), dataset("cls", NOTES), TextEncoder(tiny_model), recipe)
    assert head.labels == ("c", "b", "a")
    assert head.class_weights is not None and head.class_weights.tolist() == [5.0, 1.0, 2.0]
    recipe = load_recipe("cls", None, ["class_weights=balanced"])
    head = FolderHead(tmp_path, ("c", "b", "a"), dataset("cls", NOTES), TextEncoder(tiny_model), recipe)
    assert head.class_weights is not None and head.class_weights.tolist() == [1.0, 6 / (2 * 2), 6 / (2 * 4)]


NOTES = tuple(LabelledText(f"n{i}", "the patient felt well", "aab"[i % 3]) for i in range(6))
PAIRS = tuple(SentencePair(f"p{i}", "the pain", "no pain", label="aab"[i % 3]) for i in range(6))
MARKED = tuple(RelationCandidate(f"r{i}", "aspirin treats fever", (0, 7), (15, 20), "aab"[i % 3]) for i in range(6))
TAGGED = tuple(Document(f"d{i}", "takes aspirin today", (Entity("T1", "a", ((6, 13),)),)) for i in range(6))


def _loss(tiny_model: Path, task: str, examples: tuple[Any, ...], setting: str) -> tuple[Head[Any], float]:
    """The summed loss of scores that are drawn from a fixed seed."""
    recipe = load_recipe(task, None, ["max_length=32", f"class_weights={setting}"])  # type: ignore[arg-type]
    text = TextEncoder(tiny_model)
    head = make_head(task, dataset(task, examples), text, recipe)  # type: ignore[arg-type]
    items = head.windows(examples, with_targets=True)
    batch = collate(items, text.pad_id, False, 64, torch.device("cpu"))
    network = head.network(8, 0.0)
    hidden = torch.randn(*batch.input_ids.shape, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        return head, float(head.loss(network(hidden, batch), batch))


@pytest.mark.parametrize(("task", "examples"), [("cls", NOTES), ("nli", PAIRS), ("re", MARKED), ("ner", TAGGED)])
def test_weights_scale_the_part_of_their_class(tiny_model: Path, task: str, examples: tuple[Any, ...]) -> None:
    other = "O" if task == "ner" else "b"
    _, plain = _loss(tiny_model, task, examples, "none")
    _, of_a = _loss(tiny_model, task, examples, f"{{{other}: 0}}")
    _, of_b = _loss(tiny_model, task, examples, "{a: 0}")
    assert of_a > 0 and of_b > 0 and of_a + of_b == pytest.approx(plain, rel=1e-5)
    _, weighted = _loss(tiny_model, task, examples, f"{{a: 3, {other}: 0.5}}")
    assert weighted == pytest.approx(3 * of_a + 0.5 * of_b, rel=1e-5)
    _, balanced = _loss(tiny_model, task, examples, "balanced")
    shares = (6 / (2 * 4), 6 / (2 * 2)) if task != "ner" else (18 / (2 * 6), 18 / (2 * 12))
    assert balanced == pytest.approx(shares[0] * of_a + shares[1] * of_b, rel=1e-5)
