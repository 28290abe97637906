"""Scores of every task as its official script counts them, with bootstrap intervals by source; no files.

task      predictions                                                   primary metric
ner       documents with the predicted entities                         strict_f1
re        documents with predicted relations; a label for a candidate   micro_f1
sts       a number for a pair                                           pearson
nli       a label for a pair                                            accuracy
mqa       answer text by question id                                    f1
cls       a label for a text                                            macro_f1
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

from eval.clusters import cluster_of
from eval.examples import Document, Example, LabelledText, Question, RelationCandidate, SentencePair, Task
from eval.scorers.answers import score_answers
from eval.scorers.classification import score_labels
from eval.scorers.entities import score_entities
from eval.scorers.probabilities import Probabilities
from eval.scorers.relations import score_document_relations, score_labelled_relations
from eval.scorers.scores import Scores
from eval.scorers.similarity import score_similarity
from launch.errors import NotemillError

__all__ = ["Scores", "in_order", "score"]

_ExampleT = TypeVar("_ExampleT")


def score(
    task: Task,
    gold: Sequence[Example],
    predictions: Any,
    probabilities: Probabilities | None = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Scores:
    """Score predictions for `gold`, in the form that `eval.formats` reads them; `resamples=0` leaves intervals out,
    as does gold from a single source. `probabilities` of nli and cls add the area under the ROC curve.

    Raises NotemillError when predictions and gold are not about the same examples, or a value is of the wrong kind.
    """
    if not gold:
        raise NotemillError("there are no gold examples to score against.")
    # Draws from a single source are all the same, and their interval would claim to be certain.
    resamples = resamples if len(set(_sources(gold))) > 1 else 0
    options: dict[str, int] = {"resamples": resamples, "seed": seed}
    match task:
        case "ner":
            documents = _all_of(Document, gold, task, "gold")
            return score_entities(documents, in_order(documents, predictions, task), **options)
        case "re" if isinstance(gold[0], Document):
            documents = _all_of(Document, gold, task, "gold")
            return score_document_relations(documents, in_order(documents, predictions, task), **options)
        case "re":
            candidates = _all_of(RelationCandidate, gold, task, "gold")
            labels = [candidate.label for candidate in candidates]
            return score_labelled_relations(labels, _labels(predictions, gold, task), _sources(gold), **options)
        case "sts":
            return score_similarity(_gold_scores(gold), _numbers(predictions, gold), **options)
        case "mqa":
            questions = _all_of(Question, gold, task, "gold")
            return score_answers(questions, _answers(questions, predictions), **options)
        case "nli" | "cls":
            primary = "accuracy" if task == "nli" else "macro_f1"
            found = _labels(predictions, gold, task)
            wanted = _gold_labels(gold, task)
            return score_labels(wanted, found, _sources(gold), probabilities, primary=primary, **options)
        case _:
            raise NotemillError(f"unknown task '{task}'; scorers exist for ner, re, sts, nli, mqa and cls.")


def _sources(gold: Sequence[Example]) -> list[str]:
    return [cluster_of(example) for example in gold]


def _all_of(kind: type[_ExampleT], examples: Sequence[Any], task: str, side: str) -> list[_ExampleT]:
    for number, example in enumerate(examples, start=1):
        if not isinstance(example, kind):
            raise NotemillError(
                f"{side} example {number} for {task} is a {type(example).__name__}, not a {kind.__name__}; "
                f"read the file in a format for {task}."
            )
    return list(examples)


def _one_each(predictions: Any, gold: Sequence[Example], task: str) -> list[Any]:
    if isinstance(predictions, str | Mapping) or not hasattr(predictions, "__len__"):
        raise NotemillError(f"{task} predictions are a {type(predictions).__name__}, not a list in the order of gold.")
    if len(predictions) != len(gold):
        raise NotemillError(
            f"there are {len(predictions)} predictions for {len(gold)} gold examples; give one for each."
        )
    return list(predictions)


def in_order(gold: Sequence[Example], predictions: Any, task: str) -> Any:
    """Predicted documents in gold's order; predictions of other kinds as they are, for they carry no other key."""
    if not isinstance(gold[0], Document):
        return predictions
    documents = _all_of(Document, gold, task, "gold")
    predicted = _all_of(Document, _one_each(predictions, gold, task), task, "predicted")
    if [document.id for document in predicted] != [document.id for document in documents]:
        by_id = {document.id: document for document in predicted}
        missing = [document.id for document in documents if document.id not in by_id]
        if missing:
            raise NotemillError(
                f"{len(missing)} of {len(documents)} documents have no predictions, the first is '{missing[0]}'."
            )
        if len(by_id) < len(predicted):
            raise NotemillError(f"{len(predicted) - len(by_id)} documents are predicted twice; give one for each.")
        predicted = [by_id[document.id] for document in documents]
    for wanted, found in zip(documents, predicted, strict=True):
        if wanted.text != found.text:
            raise NotemillError(f"the predictions for document '{wanted.id}' are for another text than the gold one.")
    return predicted


def _labels(predictions: Any, gold: Sequence[Example], task: str) -> list[str]:
    labels = _one_each(predictions, gold, task)
    for number, label in enumerate(labels, start=1):
        if not isinstance(label, str):
            raise NotemillError(f"{task} prediction {number} is a {type(label).__name__}, not a label.")
    return labels


def _numbers(predictions: Any, gold: Sequence[Example]) -> list[float]:
    values = _one_each(predictions, gold, "sts")
    bad = sum(not isinstance(value, Real) or not math.isfinite(value) for value in values)
    if bad:
        raise NotemillError(f"{bad} of {len(values)} predicted scores are not finite numbers.")
    return [float(value) for value in values]


def _answers(questions: Sequence[Question], predictions: Any) -> Mapping[str, str]:
    if not isinstance(predictions, Mapping):
        raise NotemillError(f"mqa predictions are a {type(predictions).__name__}, not answers by question id.")
    missing = [question.id for question in questions if not isinstance(predictions.get(question.id), str)]
    if missing:
        raise NotemillError(
            f"{len(missing)} of {len(questions)} questions have no answer, the first is '{missing[0]}'; "
            'give "" where the text holds none.'
        )
    return predictions


def _gold_scores(gold: Sequence[Example]) -> list[float]:
    scores = [pair.score for pair in _all_of(SentencePair, gold, "sts", "gold")]
    known = [score for score in scores if score is not None and math.isfinite(score)]
    if len(known) < len(scores):
        raise NotemillError(f"{len(scores) - len(known)} of {len(scores)} gold pairs have no finite score.")
    return known


def _gold_labels(gold: Sequence[Example], task: str) -> list[str]:
    if task == "cls":
        return [text.label for text in _all_of(LabelledText, gold, task, "gold")]
    labels = [pair.label for pair in _all_of(SentencePair, gold, task, "gold")]
    known = [label for label in labels if label is not None]
    if len(known) < len(labels):
        raise NotemillError(f"{len(labels) - len(known)} of {len(labels)} gold pairs have no label.")
    return known
