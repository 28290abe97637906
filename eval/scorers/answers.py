"""SQuAD's exact match and F1: best over the gold answers, after lower-casing and dropping punctuation and articles.

As in SQuAD 2.0, a question without answers is right when nothing is answered.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from eval.examples import Question
from eval.scorers.bootstrap import bootstrap, ratio
from eval.scorers.scores import Scores

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_answers(gold: Sequence[Question], predicted: Mapping[str, str], *, resamples: int, seed: int) -> Scores:
    """Means over questions; intervals resample documents with all their questions."""
    rows = {document: index for index, document in enumerate(dict.fromkeys(map(_document_of, gold)))}
    sums = np.zeros((len(rows), 3))
    for question in gold:
        # The script's rule: an answer of which nothing is left is none.
        answers = [answer.text for answer in question.answers if normalise(answer.text)] or [""]
        given = predicted[question.id]
        best_match = max(exact_match(given, answer) for answer in answers)
        sums[rows[_document_of(question)]] += (best_match, max(token_f1(given, answer) for answer in answers), 1)
    functions = {name: (lambda s, k=k: ratio(s[..., k], s[..., 2])) for k, name in enumerate(("exact_match", "f1"))}
    metrics = {name: float(function(sums.sum(axis=0))) for name, function in functions.items()}
    intervals = {
        name: bootstrap(sums, function, resamples=resamples, seed=seed)
        for name, function in functions.items()
        if resamples
    }
    return Scores(metrics, "f1", len(gold), {}, intervals)


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
