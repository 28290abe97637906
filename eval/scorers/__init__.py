"""Scores of every task as its official script counts them, with bootstrap intervals by document; no files."""

import math
from collections.abc import Sequence
from typing import Any, cast

from eval.examples import Document, Example, LabelledText, Question, RelationCandidate, SentencePair, Task
from eval.scorers.answers import score_answers
from eval.scorers.classification import score_labels
from eval.scorers.entities import score_entities
from eval.scorers.relations import score_document_relations, score_labelled_relations
from eval.scorers.scores import Scores
from eval.scorers.similarity import score_similarity
from launch.errors import NotemillError

__all__ = ["Scores", "score"]


def score(task: Task, gold: Sequence[Example], predictions: Any, *, seed: int = 0, resamples: int = 1000) -> Scores:
    """Score predictions for `gold`, in the form that `eval.formats` reads them.

    ner: Documents with predicted entities; re: Documents with predicted relations, or a label for each candidate; sts: a number
    each; nli and cls: a label each; mqa: answer text by question id. `resamples=0` leaves intervals out. Raises
    NotemillError when predictions and gold are not about the same examples.
    """
    if not gold:
        raise NotemillError("there are no gold examples to score against.")
    options: dict[str, int] = {"resamples": resamples, "seed": seed}
    if task == "mqa":
        questions = cast(Sequence[Question], gold)
        _check_questions(questions, predictions)
        return score_answers(questions, predictions, **options)
    if len(predictions) != len(gold):
        raise NotemillError(
            f"there are {len(predictions)} predictions for {len(gold)} gold examples; give one for each."
        )
    if task == "sts":
        scores = [cast(SentencePair, pair).score for pair in gold]
        _check_numbers(predictions)
        return score_similarity(cast(list[float], scores), predictions, **options)
    if isinstance(gold[0], Document):
        documents = cast(Sequence[Document], gold)
        ordered = _in_order(documents, predictions)
        scorer = score_entities if task == "ner" else score_document_relations
        return scorer(documents, ordered, **options)
    labels = [cast(str, cast(SentencePair | LabelledText | RelationCandidate, example).label) for example in gold]
    if task == "re":
        groups = [cast(RelationCandidate, example).document_id or example.id for example in gold]
        return score_labelled_relations(labels, predictions, groups, **options)
    return score_labels(labels, predictions, primary="accuracy" if task == "nli" else "macro_f1", **options)


def _in_order(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Document]:
    by_id = {document.id: document for document in predicted}
    missing = [document.id for document in gold if document.id not in by_id]
    if missing:
        raise NotemillError(
            f"{len(missing)} of {len(gold)} documents have no predictions, the first is '{missing[0]}'."
        )
    changed = [document.id for document in gold if by_id[document.id].text != document.text]
    if changed:
        raise NotemillError(f"the predictions for document '{changed[0]}' are for another text than the gold one.")
    return [by_id[document.id] for document in gold]


def _check_questions(gold: Sequence[Question], predictions: Any) -> None:
    missing = [question.id for question in gold if question.id not in predictions]
    if missing:
        raise NotemillError(f"{len(missing)} of {len(gold)} questions have no answer, the first is '{missing[0]}'.")


def _check_numbers(predictions: Sequence[float]) -> None:
    bad = sum(not math.isfinite(value) for value in predictions)
    if bad:
        raise NotemillError(f"{bad} of {len(predictions)} predicted scores are not finite numbers.")
