"""Activation clustering (Chen et al. 2018, arXiv 1811.03728): within a label, poisoned notes lie apart from the others.

The notes of each label are reduced to ten dimensions and divided in two. A smaller part that is small and well apart
(silhouette) holds notes of another kind, and the words concentrated in it say of which. With a model fine-tuned on the
set the activations are what its last layer reads; without one they are TF-IDF reduced by SVD, which sees far less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import nn

from eval.audit.backdoor.words import WordIndex
from eval.examples import LabelledText
from eval.finetune.load_classifier import LoadedClassifier

DIMENSIONS = 10
TOP_WORDS = 5
MIN_NOTES = 20
"""Of one label, below which there is nothing to divide."""
_COMPARED = 2000
"""Notes of a label between which distances are taken."""


@dataclass(frozen=True)
class LabelClusters:
    label: str
    notes: int
    smaller: float
    """Share of the notes in the smaller part."""
    silhouette: float
    words: tuple[str, ...]
    """Most concentrated in the smaller part."""
    members: tuple[int, ...]
    """Indices of the smaller part's notes."""


def cluster_labels(notes: Sequence[LabelledText], features: np.ndarray, index: WordIndex) -> list[LabelClusters]:
    """For each label with enough notes its two parts; `features` [notes, dimensions]."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    found = []
    for label in sorted({note.label for note in notes}):
        at = np.array([number for number, note in enumerate(notes) if note.label == label])
        if len(at) < MIN_NOTES:
            continue
        dimensions = min(DIMENSIONS, features.shape[1], len(at) - 1)
        reduced = PCA(dimensions, random_state=0).fit_transform(features[at])
        parts = KMeans(2, n_init=10, random_state=0).fit_predict(reduced)
        if len(set(parts)) < 2:
            continue
        is_small = parts == np.bincount(parts).argmin()
        drawn = _some_of_both(is_small)
        silhouette = float(silhouette_score(reduced[drawn], parts[drawn]))
        members = at[is_small]
        words = _concentrated(index, at, members)
        found.append(LabelClusters(label, len(at), float(is_small.mean()), silhouette, words, tuple(members.tolist())))
    return found


def _some_of_both(is_small: np.ndarray) -> np.ndarray:
    """Places of at most _COMPARED notes, of both parts in their proportion but of each at least two where it has them:
    distances between all notes of a large label would not fit in memory."""
    rng = np.random.default_rng(0)
    share = min(1.0, _COMPARED / len(is_small))
    drawn = [
        rng.choice(places, min(len(places), max(2, round(share * len(places)))), replace=False)
        for places in (np.flatnonzero(is_small), np.flatnonzero(~is_small))
    ]
    return np.concatenate(drawn)


def _concentrated(index: WordIndex, at: np.ndarray, members: np.ndarray) -> tuple[str, ...]:
    """Words of the label's notes that the smaller part has more of than chance would give it, likeliest first."""
    inside, whole = set(members.tolist()), set(at.tolist())
    scored = []
    for word, places in index.notes.items():
        of_label = [place for place in places if place in whole]
        of_part = sum(place in inside for place in of_label)
        if of_part:
            log_p = float(hypergeom.logsf(of_part - 1, len(whole), len(of_label), len(inside)))
            scored.append((log_p, index.surface[word]))
    return tuple(word for _, word in sorted(scored)[:TOP_WORDS])


def model_features(classifier: LoadedClassifier, notes: Sequence[LabelledText]) -> np.ndarray:
    """[notes, hidden]: what the classifier's last linear layer reads, mean over a note's windows."""
    last = [
        m for m in classifier.model.modules() if isinstance(m, nn.Linear) and m.out_features == len(classifier.labels)
    ]
    seen: list[torch.Tensor] = []

    def keep(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        # RoBERTa-like heads read the first position inside their own module, so rows are vectors already.
        seen.append(arguments[0].detach().float().cpu())

    handle = last[-1].register_forward_pre_hook(keep)
    try:
        items = classifier.head.windows(list(notes), with_targets=False)
        read = classifier.trainer.read(items, lambda scores, batch: seen.pop().tolist())
    finally:
        handle.remove()
    sums, windows = np.zeros((len(notes), len(read[0]))), np.zeros((len(notes), 1))
    for item, vector in zip(items, read, strict=True):
        sums[item.example] += vector
        windows[item.example] += 1
    return sums / windows


def text_features(notes: Sequence[LabelledText]) -> np.ndarray:
    """[notes, up to 50]: TF-IDF reduced by SVD."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    matrix = TfidfVectorizer(min_df=2, sublinear_tf=True).fit_transform([note.text for note in notes])
    if matrix.shape[1] < 2:
        return matrix.toarray()
    return TruncatedSVD(min(50, matrix.shape[1] - 1), random_state=0).fit_transform(matrix)
