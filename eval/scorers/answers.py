"""SQuAD's exact match and F1: best over the gold answers, after lower-casing and dropping punctuation and articles.

As in SQuAD 2.0, a question without answers is right when nothing is answered.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from eval.examples import Question
from eval.scorers.bootstrap import ratio, resample
from eval.scorers.scores import Scores

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_answers(gold: Sequence[Question], predicted: Mapping[str, str], *, resamples: int, seed: int) -> Scores:
    """Means over questions; intervals resample documents with all their questions.

    Where some questions have an answer and some have none, `has_answer_` and `no_answer_` are the means over each kind,
    as SQuAD 2.0's script prints them.
    """
    rows = {document: index for index, document in enumerate(dict.fromkeys(map(_document_of, gold)))}
    # By document, for questions with and without an answer: exact matches, F1, questions.
    sums = np.zeros((len(rows), 2, 3))
    for question in gold:
        # The script's rule: an answer of which nothing is left is none.
        answers = [answer.text for answer in question.answers if normalise(answer.text)]
        given = predicted[question.id]
        best_match = max(exact_match(given, answer) for answer in answers or [""])
        best_f1 = max(token_f1(given, answer) for answer in answers or [""])
        sums[rows[_document_of(question)], 0 if answers else 1] += (best_match, best_f1, 1)
    functions = {name: partial(_mean_of, column, slice(None)) for column, name in enumerate(("exact_match", "f1"))}
    if sums[:, :, 2].sum(axis=0).all():
        for kind, prefix in enumerate(("has_answer", "no_answer")):
            for column, name in enumerate(("exact_match", "f1")):
                functions[f"{prefix}_{name}"] = partial(_mean_of, column, slice(kind, kind + 1))
    flat = sums.reshape(len(sums), -1)
    metrics = {name: float(function(flat.sum(axis=0))) for name, function in functions.items()}
    draws = {
        name: resample(flat, function, resamples=resamples, seed=seed)
        for name, function in functions.items()
        if resamples
    }
    return Scores(metrics, "f1", len(gold), {}, draws)


def _mean_of(column: int, kinds: slice, sums: np.ndarray) -> np.ndarray:
    """Mean of a column over the questions of some kinds, from sums [..., kinds × 3]."""
    chosen = sums.reshape(*sums.shape[:-1], 2, 3)[..., kinds, :].sum(axis=-2)
    return ratio(chosen[..., column], chosen[..., 2])


def _document_of(question: Question) -> str:
    return question.document_id or question.id


def exact_match(predicted: str, gold: str) -> float:
    return float(normalise(predicted) == normalise(gold))


def token_f1(predicted: str, gold: str) -> float:
    """Harmonic mean of token precision and recall; two empty answers agree."""
    ours, theirs = normalise(predicted).split(), normalise(gold).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def normalise(answer: str) -> str:
    """Lower case, no punctuation, no articles, single spaces, in SQuAD's order."""
    without_articles = _ARTICLES.sub(" ", answer.lower().translate(_NO_PUNCTUATION))
    return " ".join(without_articles.split())
