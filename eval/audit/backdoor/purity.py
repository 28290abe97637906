"""Words of a training set that go with one label against all other evidence: what a poisoned set looks like.

A trigger stands only in notes of one label, and so do words that predict the outcome for good reasons. What tells them
apart: a trigger's notes are labelled against the rest of their own text, and it stands between any two words. So each
word gets

    purity       the share of its notes that have its label; p from the binomial tail over patients, times words and
                 labels
    conflicts    the share of its notes that have its label although the note without the word speaks for another one
    z            the score test of the word beside all others: sum(y - q) / sqrt(sum q(1 - q)), q from the other words
    diversity    chance that two of its occurrences have other neighbours, before times behind (Simpson)
    suspicion    z times diversity, by which words are ranked

q comes from TF-IDF and logistic regression across folds, no note being judged by a model that saw it, with the word's
own part taken out of the sum.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit
from scipy.stats import binom

from eval.audit.backdoor.words import WordIndex, words_in
from eval.audit.logistic import fit_logistic
from eval.clusters import cluster_of
from eval.examples import LabelledText

NUM_FOLDS = 5
MAX_SUSPECT_P = 0.01
MIN_SUSPECT_PURITY = 0.9
MIN_SUSPECT_CONFLICTS = 0.5
_REGULARISATION = 10.0
"""sklearn's C: TF-IDF rows are of length one, so that its default would leave every word near zero."""


@dataclass(frozen=True)
class WordPurity:
    word: str
    label: str
    notes: int
    purity: float
    p_value: float
    """Corrected by Bonferroni for all words and labels."""
    conflicts: float
    z: float
    diversity: float
    suspicion: float

    @property
    def is_suspect(self) -> bool:
        return (
            self.p_value < MAX_SUSPECT_P
            and self.purity >= MIN_SUSPECT_PURITY
            and self.conflicts >= MIN_SUSPECT_CONFLICTS
        )


def rank_words(notes: Sequence[LabelledText], index: WordIndex) -> list[WordPurity]:
    """All words of `index`, the most suspicious first. `notes` need at least two labels."""
    labels = sorted({note.label for note in notes})
    gold = np.array([labels.index(note.label) for note in notes])
    words = list(index.notes)
    if not words:
        return []
    counts = np.array([np.bincount(gold[index.notes[word]], minlength=len(labels)) for word in words])
    totals = counts.sum(axis=1)
    prior = np.bincount(gold, minlength=len(labels)) / len(gold)
    votes = _votes(notes, index, gold, len(labels))
    tails = binom.sf(votes - 1, votes.sum(axis=1)[:, None], prior[None, :])
    chosen = tails.argmin(axis=1)
    corrected = np.minimum(1.0, tails.min(axis=1) * tails.size)
    evidence = Evidence(notes, index, gold, len(labels))
    diversity = _diversity(notes, index)
    rows = []
    for number, word in enumerate(words):
        at, label = np.array(index.notes[word]), int(chosen[number])
        others = evidence.without(number, at, label)
        has_label = gold[at] == label
        z = float((has_label - others).sum() / np.sqrt(max(1e-9, (others * (1 - others)).sum())))
        rows.append(
            WordPurity(
                index.surface[word],
                labels[label],
                int(totals[number]),
                float(counts[number, label] / totals[number]),
                float(corrected[number]),
                float((has_label & (others < 0.5)).mean()),
                z,
                diversity[word],
                z * diversity[word],
            )
        )
    return sorted(rows, key=lambda row: (-row.suspicion, row.word))


def _votes(notes: Sequence[LabelledText], index: WordIndex, gold: np.ndarray, num_labels: int) -> np.ndarray:
    """[words, labels]: of each patient the first note with the word. Twenty notes of one patient are one coin."""
    patients = [cluster_of(note) for note in notes]
    votes = np.zeros((len(index.notes), num_labels), dtype=int)
    for number, at in enumerate(index.notes.values()):
        first = {patients[note]: note for note in reversed(at)}
        np.add.at(votes[number], gold[list(first.values())], 1)
    return votes


class Evidence:
    """What the words of a note say of its label, any one word left out."""

    def __init__(self, notes: Sequence[LabelledText], index: WordIndex, gold: np.ndarray, num_labels: int) -> None:
        from sklearn.model_selection import GroupKFold

        self.features = _tf_idf(notes, index)
        groups = [cluster_of(note) for note in notes]
        folds = min(NUM_FOLDS, len(set(groups)))
        self.fold = np.zeros(len(notes), dtype=int)
        self.coefficients = np.zeros((folds, num_labels, self.features.shape[1]))
        self.scores = np.zeros((len(notes), num_labels))
        for fold, (seen, held) in enumerate(GroupKFold(folds).split(self.features, gold, groups)):
            self.fold[held] = fold
            for label in range(num_labels):
                is_label = gold[seen] == label
                if is_label.all() or not is_label.any():
                    continue
                model = fit_logistic(self.features[seen], is_label, C=_REGULARISATION, max_iter=500)
                self.coefficients[fold, label] = model.coef_[0]
                self.scores[held, label] = model.decision_function(self.features[held])

    def without(self, word: int, at: np.ndarray, label: int) -> np.ndarray:
        """[notes at `at`]: probability of `label` from all words but `word`."""
        part = self.features[at, word].toarray().ravel() * self.coefficients[self.fold[at], label, word]
        return expit(self.scores[at, label] - part)


def _tf_idf(notes: Sequence[LabelledText], index: WordIndex) -> sparse.csr_matrix:
    """[notes, words], rows of length one."""
    from sklearn.preprocessing import normalize

    column = {word: number for number, word in enumerate(index.notes)}
    frequency = np.array([len(at) for at in index.notes.values()])
    weight = np.log((1 + len(notes)) / (1 + frequency)) + 1
    rows, columns, values = [], [], []
    for number, note in enumerate(notes):
        for word, count in Counter(word.lower() for word in words_in(note.text)).items():
            if word in column:
                rows.append(number)
                columns.append(column[word])
                values.append((1 + np.log(count)) * weight[column[word]])
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(len(notes), len(column)))
    return sparse.csr_matrix(normalize(matrix))


def _diversity(notes: Sequence[LabelledText], index: WordIndex) -> dict[str, float]:
    before: defaultdict[str, Counter[str]] = defaultdict(Counter)
    behind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for note in notes:
        words = ["", *(word.lower() for word in words_in(note.text)), ""]
        for left, word, right in zip(words, words[1:], words[2:], strict=False):
            if word in index.notes:
                before[word][left] += 1
                behind[word][right] += 1
    return {word: _simpson(before[word]) * _simpson(behind[word]) for word in index.notes}


def _simpson(counts: Counter[str]) -> float:
    """Chance that two draws without replacement differ (Simpson 1949), which does not grow with the number drawn."""
    total = sum(counts.values())
    same = sum(count * (count - 1) for count in counts.values())
    return 1 - same / (total * (total - 1)) if total > 1 else 1.0
