"""Logistic regression, where its scores are wanted and not that its weights have settled."""

import warnings
from typing import Any


def fit_logistic(features: Any, target: Any, **settings: Any) -> Any:
    """sklearn's LogisticRegression on `features` [N, F], without its warning that more rounds would move the weights
    a little further."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(**settings).fit(features, target)
