"""Whether a model has learnt anything of some notes: one that has not leaks nothing, which proves nothing."""

from collections.abc import Sequence

import numpy as np

from eval.audit.attacks import AttackConfig
from eval.audit.findings import Finding
from eval.audit.mlm_scores import MaskedLM, some_at_random


def learning(loss: float | None, by_frequencies: float | None, whose: str, note: str = "") -> dict[str, Finding]:
    """What the default policy compares: nats a hidden piece by the model, and by piece frequencies alone."""
    return {
        "utility.member_loss": Finding(loss, f"MLM loss (nats a hidden piece) on {whose} notes", note=note),
        "utility.member_unigram_loss": Finding(
            by_frequencies,
            "loss on the same hidden pieces by the notes' own piece frequencies (add-one smoothing)",
            note=note,
        ),
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
    questions = some_at_random(windows, config.mask_rounds, config.seed)
    answers = [answer for question in questions if question.text in numbers for answer in question.answers]
    return float(-log_p[answers].mean()) if answers else None
