"""Entity scores by hand, and against seqeval on random CoNLL sentences."""

import random
from dataclasses import replace

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from eval.examples import Document, Entity
from eval.formats.conll import _block, _document
from eval.scorers import score

TEXT = "aspirin for chest pain and fever"


def document(*mentions, text=TEXT):
    return Document(
        "d",
        text,
        tuple(Entity(f"T{i}", label, spans) for i, (label, *spans) in enumerate(mentions) for spans in [tuple(spans)]),
    )


def test_strict_and_lenient_by_hand():
    gold = [document(("DRUG", (0, 7)), ("PROBLEM", (12, 22)), ("PROBLEM", (27, 32)))]
    found = [document(("DRUG", (0, 7)), ("PROBLEM", (18, 22)), ("DRUG", (27, 32)))]
    scores = score("ner", gold, found, resamples=0)
    # Strict: one of three found, of three gold. Lenient: "pain" overlaps "chest pain"; "fever" has the wrong class.
    assert scores.metrics["strict_f1"] == pytest.approx(1 / 3)
    assert scores.metrics["lenient_f1"] == pytest.approx(2 / 3)
    row = scores.per_class["DRUG"]
    assert [row[key] for key in ("precision", "recall", "support", "predicted")] == [0.5, 1.0, 1, 2]
    assert (row["f1"], scores.per_class["PROBLEM"]["lenient_recall"]) == (pytest.approx(2 / 3), 0.5)


def test_discontinuous_mentions_need_every_part():
    gold = [document(("PROBLEM", (12, 17), (27, 32)))]
    assert score("ner", gold, gold, resamples=0).metrics["strict_f1"] == 1.0
    part = [document(("PROBLEM", (12, 17)))]
    scores = score("ner", gold, part, resamples=0)
    assert (scores.metrics["strict_f1"], scores.metrics["lenient_f1"]) == (0.0, 1.0)


def test_nothing_predicted_scores_zero():
    gold = [replace(document(("DRUG", (0, 7))), id=key) for key in "ab"]
    scores = score("ner", gold, [replace(document(), id=key) for key in "ab"], resamples=50)
    assert scores.metrics["strict_f1"] == 0.0
    assert scores.intervals["strict_f1"] == (0.0, 0.0)


def random_tags(generator, length):
    tags = []
    while len(tags) < length:
        if generator.random() < 0.5:
            tags.append("O")
        else:
            label = generator.choice(["A", "B"])
            tags += [f"B-{label}"] + [f"I-{label}"] * generator.randrange(3)
    return tags[:length]


@pytest.mark.parametrize("seed", range(20))
def test_strict_equals_seqeval(seed):
    generator = random.Random(seed)
    gold_tags = [random_tags(generator, generator.randint(1, 12)) for _ in range(15)]
    found_tags = [tags if generator.random() < 0.4 else random_tags(generator, len(tags)) for tags in gold_tags]
    gold, found = (
        [_document(i, [f"w{j}" for j in range(len(tags))], tags) for i, tags in enumerate(side)]
        for side in (gold_tags, found_tags)
    )
    scores = score("ner", gold, found, resamples=0).metrics
    options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert scores["strict_f1"] == pytest.approx(f1_score(gold_tags, found_tags, **options))
    assert scores["strict_precision"] == pytest.approx(precision_score(gold_tags, found_tags, **options))
    assert scores["strict_recall"] == pytest.approx(recall_score(gold_tags, found_tags, **options))


def test_conll_block_reads_back():
    tags = ["O", "B-A", "I-A", "B-A", "O", "B-B"]
    block = _block(_document(0, list("abcdef"), tags))
    assert [line.split("\t")[1] for line in block.splitlines()] == tags
