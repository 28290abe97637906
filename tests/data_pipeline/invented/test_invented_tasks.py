"""Invented task gold: offsets true, splits apart, labels even, and no shallow feature that gives the answers away."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from data_pipeline.invented.lexicon import is_held_out, load_lexicon
from data_pipeline.invented.tasks.documents import make_relation_documents
from data_pipeline.invented.tasks.mqa import MAX_CONTEXT_WORDS
from data_pipeline.invented.tasks.nli import make_entailment_pairs
from data_pipeline.invented.templates import SPLITS
from data_pipeline.invented.write import TaskSizes, write_tasks
from data_pipeline.placeholders import PLACEHOLDER_PATTERN

_CLAIM = re.compile(r"The (.+) is (elevated|above normal|low|below normal|normal|within the normal range)\.")
SIZES = TaskSizes(
    ner=(60, 15, 25), re=(40, 10, 20), sts=(600, 60, 200), nli=(900, 90, 300), mqa=(120, 30, 60), outcome=(600, 20, 60)
)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tasks(tmp_path_factory.mktemp("tasks"), 3, SIZES)


def _jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _pairs(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _overlap(first: str, second: str) -> float:
    return len(_words(first) & _words(second)) / len(_words(first) | _words(second))


def _brat(folder: Path) -> list[tuple[str, list[list[str]]]]:
    return [
        (
            path.read_text(encoding="utf-8"),
            [line.split("\t") for line in path.with_suffix(".ann").read_text(encoding="utf-8").splitlines()],
        )
        for path in sorted(folder.glob("*.txt"))
    ]


@pytest.mark.parametrize("task", ["ner", "re"])
def test_brat_offsets_give_the_surface(tasks: dict[str, Path], task: str) -> None:
    discontinuous = 0
    for split in SPLITS:
        for text, lines in _brat(tasks[task] / split):
            for _, where, surface in (line for line in lines if line[0].startswith("T")):
                offsets = where.split(" ", 1)[1]
                spans = [tuple(map(int, span.split())) for span in offsets.split(";")]
                assert " ".join(text[start:end] for start, end in spans) == surface
                assert "\n" not in surface and surface == surface.strip()
                discontinuous += len(spans) > 1
    assert bool(discontinuous) == (task == "ner")


def test_brat_relations_and_attributes_name_entities_of_the_right_type(tasks: dict[str, Path]) -> None:
    allowed = {
        "DosageOf": ("Dosage", "Drug"),
        "FrequencyOf": ("Frequency", "Drug"),
        "ReasonFor": ("Problem", "Drug"),
        "AdverseEffectOf": ("Problem", "Drug"),
        "ResultOf": ("Result", "Test"),
        "ShownBy": ("Problem", "Test"),
        "TreatedBy": ("Problem", "Treatment"),
        "LocatedIn": ("Problem", "Anatomy"),
    }
    seen: Counter[str] = Counter()
    for _, lines in _brat(tasks["re"] / "train"):
        types = {line[0]: line[1].split()[0] for line in lines if line[0].startswith("T")}
        for line in lines:
            if line[0].startswith("R"):
                label, head, tail = line[1].split()
                assert (types[head.removeprefix("Arg1:")], types[tail.removeprefix("Arg2:")]) == allowed[label]
                seen[label] += 1
            elif line[0].startswith("A"):
                _, target, value = line[1].split()
                assert types[target] == "Problem" and value in {"absent", "historical", "family"}
    assert set(seen) == set(allowed)


def test_most_pairs_of_the_right_types_are_no_relation() -> None:
    related = unrelated = 0
    for document in make_relation_documents(9, (40, 1, 1))["train"]:
        pairs = {(head, tail) for label, head, tail in document.relations if label == "DosageOf"}
        doses = [i for i, (label, *_) in enumerate(document.entities) if label == "Dosage"]
        drugs = [i for i, (label, *_) in enumerate(document.entities) if label == "Drug"]
        related += len(pairs)
        unrelated += len(doses) * len(drugs) - len(pairs)
    assert unrelated > related


def test_entities_are_not_solved_by_a_dictionary(tasks: dict[str, Path]) -> None:
    known = {
        line[2].lower(): line[1].split()[0]
        for _, lines in _brat(tasks["ner"] / "train")
        for line in lines
        if line[0].startswith("T")
    }
    found = [
        known.get(line[2].lower()) == line[1].split()[0]
        for _, lines in _brat(tasks["ner"] / "test")
        for line in lines
        if line[0].startswith("T")
    ]
    assert np.mean(found) < 0.7


def test_test_documents_use_terms_that_train_never_shows(tasks: dict[str, Path]) -> None:
    drugs = [name for name in load_lexicon().drugs if is_held_out(name)]
    texts = {split: "\n".join(text for text, _ in _brat(tasks["ner"] / split)).lower() for split in ("train", "test")}
    assert not [drug for drug in drugs if re.search(rf"\b{re.escape(drug)}\b", texts["train"])]
    assert [drug for drug in drugs if re.search(rf"\b{re.escape(drug)}\b", texts["test"])]


def test_no_text_stands_in_two_splits(tasks: dict[str, Path]) -> None:
    texts = {
        "ner": lambda split: [text for text, _ in _brat(tasks["ner"] / split)],
        "re": lambda split: [text for text, _ in _brat(tasks["re"] / split)],
        "sts": lambda split: [r["sentence1"] + "\t" + r["sentence2"] for r in _pairs(tasks["sts"] / f"{split}.tsv")],
        "nli": lambda split: [r["sentence1"] + "\t" + r["sentence2"] for r in _jsonl(tasks["nli"] / f"{split}.jsonl")],
        "mqa": lambda split: [p["context"] for p in _paragraphs(tasks["mqa"] / f"{split}.json")],
        "cls": lambda split: [r["text"] for r in _jsonl(tasks["cls"] / f"{split}.jsonl")],
        "outcome": lambda split: [r["text"] for r in _jsonl(tasks["outcome"] / f"{split}.jsonl")],
    }
    for task, of_split in texts.items():
        everything = [text for split in SPLITS for text in of_split(split)]
        assert len(everything) == sum(getattr(SIZES, task))
        assert len(everything) == len(set(everything)), task


def test_placeholders_are_those_of_the_corpus(tasks: dict[str, Path]) -> None:
    files = [path for path in tasks["tasks"].rglob("*") if path.is_file()]
    whole = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert PLACEHOLDER_PATTERN.search(whole)
    assert "[**" not in PLACEHOLDER_PATTERN.sub("", whole)


def test_entailment_labels_are_even_and_the_hypothesis_alone_tells_little(tasks: dict[str, Path]) -> None:
    train, test = (_jsonl(tasks["nli"] / f"{split}.jsonl") for split in ("train", "test"))
    gold = [row["gold_label"] for row in train]
    assert min(Counter(gold).values()) > 0.25 * len(gold)
    for feature, limit in (
        (lambda row: row["sentence2"], 0.45),
        (lambda row: row["sentence1"], 0.7),
    ):
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=500, C=10))
        model.fit([feature(row) for row in train], gold)
        assert model.score([feature(row) for row in test], [row["gold_label"] for row in test]) < limit
    overlap = LogisticRegression().fit([[_overlap(r["sentence1"], r["sentence2"])] for r in train], gold)
    features = [[_overlap(r["sentence1"], r["sentence2"])] for r in test]
    assert overlap.score(features, [r["gold_label"] for r in test]) < 0.6


def test_grades_are_spread_and_shared_words_do_not_give_them(tasks: dict[str, Path]) -> None:
    rows = _pairs(tasks["sts"] / "test.tsv")
    scores = [float(row["score"]) for row in rows]
    assert all(0 <= score <= 5 for score in scores)
    assert min(np.histogram(scores, bins=6, range=(0, 5))[0]) > 0.05 * len(scores)
    assert pearsonr([_overlap(r["sentence1"], r["sentence2"]) for r in rows], scores)[0] < 0.75


def test_passages_need_more_than_their_commonest_type(tasks: dict[str, Path]) -> None:
    train = _jsonl(tasks["cls"] / "train.jsonl")
    counts = Counter(row["label"] for row in train)
    assert len(counts) == 8 and max(counts.values()) < 0.3 * len(train)


def test_outcomes_follow_from_findings_and_not_from_length(tasks: dict[str, Path]) -> None:
    rows = _jsonl(tasks["outcome"] / "train.jsonl")
    lengths = np.array([len(row["text"].split()) for row in rows])
    died = np.array([row["label"] == "died" for row in rows])
    assert 0.3 < died.mean() < 0.5
    assert np.quantile(lengths, 0.95) > 4 * np.quantile(lengths, 0.05)
    assert 0.4 < roc_auc_score(died, lengths) < 0.6
    words = CountVectorizer(binary=True).fit_transform([row["text"] for row in rows])
    predicted = cross_val_predict(LogisticRegression(max_iter=500), words, died, method="decision_function")
    assert 0.9 < roc_auc_score(died, predicted) < 0.995


def test_answers_stand_where_they_say_once(tasks: dict[str, Path]) -> None:
    asked: Counter[str] = Counter()
    for split in SPLITS:
        for paragraph in _paragraphs(tasks["mqa"] / f"{split}.json"):
            context = paragraph["context"]
            assert len(context.split()) <= MAX_CONTEXT_WORDS
            (question,) = paragraph["qas"]
            (answer,) = question["answers"]
            assert context[answer["answer_start"] :].startswith(answer["text"])
            assert context.lower().count(answer["text"].lower()) == 1
            asked[question["question"].split()[0]] += 1
    assert len(asked) >= 4


def test_the_claim_about_a_test_is_true_of_its_value() -> None:
    """A pair that claims a low, normal or high value is checked against the range in the table."""
    lexicon = load_lexicon()
    checked = 0
    for pair in make_entailment_pairs(4, (400, 1, 1))["train"]:
        claim = _CLAIM.fullmatch(pair.hypothesis)
        test = next((t for t in lexicon.tests.values() if claim and claim[1] in (t.name, *t.also)), None)
        stated = [n for n in (test.name, *test.also) if n.lower() in pair.premise.lower()] if test else []
        value = re.search(r"(?<![\w.-])(\d+(?:\.\d+)?) ?" + re.escape(test.unit), pair.premise) if test else None
        if claim is None or test is None or value is None or not stated or not test.unit or pair.label == "neutral":
            continue
        number = float(value[1])
        status = "low" if number < test.low else "high" if number > test.high else "normal"
        claimed = {"elevated": "high", "above normal": "high", "low": "low", "below normal": "low"}.get(
            claim[2], "normal"
        )
        assert (status == claimed) == (pair.label == "entailment"), pair
        checked += 1
    assert checked > 10


def _paragraphs(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["data"][0]["paragraphs"]
