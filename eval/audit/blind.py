"""The baseline that never sees the model: can members be told from non-members by their text alone?

Where they can, the two sets differ by more than membership (another year, another ward, another scrubber), and an
attack's success on them says nothing of the model. Published attacks were beaten by such baselines on eight data sets
(Das, Zhang and Tramèr 2024, "Blind Baselines Beat Membership Inference Attacks for Foundation Models").
"""

from collections.abc import Sequence

import numpy as np

from eval.audit.logistic import fit_logistic

FOLDS = 5
_MAX_FEATURES = 50_000


def blind_scores(texts: Sequence[str], is_member: np.ndarray, groups: Sequence[str], seed: int) -> np.ndarray | None:
    """[N] log odds of membership by TF-IDF and logistic regression, each note judged by a fit without its patient.

    Beside words and pairs of words it sees the note's length and its numbers of lines and digits. None where a side has
    fewer patients than FOLDS, or no word stands in two notes.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import StratifiedGroupKFold

    by_side = [
        {group for group, member in zip(groups, is_member, strict=True) if member == side} for side in (True, False)
    ]
    if min(map(len, by_side)) < FOLDS:
        return None
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=_MAX_FEATURES)
    counts = np.log1p([[len(text), text.count("\n"), sum(map(str.isdigit, text))] for text in texts])
    scores = np.zeros(len(texts))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(texts, is_member, groups):
        try:
            matrix = words.fit_transform([texts[i] for i in train])
        except ValueError:
            # No word stands in two notes.
            return None
        centre, spread = counts[train].mean(0), counts[train].std(0) + 1e-9
        features = hstack([matrix, (counts[train] - centre) / spread]).tocsr()
        model = fit_logistic(features, is_member[train], C=10.0, max_iter=1000, class_weight="balanced")
        held_out = hstack([words.transform([texts[i] for i in test]), (counts[test] - centre) / spread]).tocsr()
        scores[test] = model.decision_function(held_out)
    return scores
