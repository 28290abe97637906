"""Whether a model has learnt anything of some notes: one that has not leaks nothing, which proves nothing."""

from collections.abc import Sequence

import numpy as np

from eval.audit.attacks import AttackConfig
from eval.audit.findings import Finding
from eval.audit.mlm_scores import MaskedLM, some_at_random

MEMBER_LOSS, MEMBER_UNIGRAM_LOSS = "utility.member_loss", "utility.member_unigram_loss"
"""The default policy holds the first against the second."""
_SMOOTHED = "piece frequencies alone (add-one smoothing)"


def learnt(losses: Sequence[np.ndarray], unigram_loss: float | None, whose: str) -> dict[str, Finding]:
    """Both findings; `losses` are log-likelihoods of the hidden pieces of each note that was trained on."""
    return {
        MEMBER_LOSS: Finding(mean_loss(losses), f"MLM loss (nats a hidden piece) on {whose} notes"),
        MEMBER_UNIGRAM_LOSS: Finding(unigram_loss, f"loss on the same hidden pieces by their own {_SMOOTHED}"),
    }


def mean_loss(values: Sequence[np.ndarray]) -> float | None:
    """Nats a hidden piece; None where none was hidden."""
    joined = np.concatenate(values) if values else np.zeros(0)
    return float(-joined.mean()) if len(joined) else None


def unigram_loss(
    model: MaskedLM,
    windows: Sequence[Sequence[Sequence[int]]],
    config: AttackConfig,
    counted: slice,
    asked: slice,
) -> float | None:
    """Nats a hidden piece of the notes `asked` by the piece frequencies of those `counted`; None where none is hidden.

    The pieces are those that the model is asked for under one `config` and list of windows.
    """
    counts = np.ones(max(model.vocabulary.values()) + 1)
    for parts in windows[counted]:
        for window in parts:
            np.add.at(counts, window, 1)
    log_p = np.log(counts / counts.sum())
    numbers = range(len(windows))[asked]
    questions = some_at_random(model, windows, config.mask_rounds, config.seed)
    answers = [answer for question in questions if question.text in numbers for answer in question.answers]
    return float(-log_p[answers].mean()) if answers else None
