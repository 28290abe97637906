"""What changes over a run as a pure function of how far it has come: learning rate, batch size, masking rate."""

import math
from typing import Literal

Shape = Literal["linear", "cosine", "wsd"]


def learning_rate(
    step: int,
    *,
    peak: float,
    floor: float,
    warmup_steps: int,
    total_steps: int,
    shape: Shape = "linear",
    decay_steps: int = 0,
) -> float:
    """Learning rate of optimizer step `step` (counted from 0): in a line up to `peak`, then down to `floor`.

    The last step of warm-up is the first at `peak`; the last step, `total_steps - 1`, is at `floor`. wsd stays at
    `peak` until the last `decay_steps` steps and then falls in a straight line (Hu et al. 2024, MiniCPM).
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    start = max(warmup_steps, total_steps - 1 - decay_steps) if shape == "wsd" else warmup_steps
    progress = min(1.0, max(0, step - start) / max(1, total_steps - 1 - start))
    fallen = (1 - math.cos(math.pi * progress)) / 2 if shape == "cosine" else progress
    return peak + (floor - peak) * fallen


def batch_size(rows_seen: int, *, start: int, full: int, ramp_rows: int) -> int:
    """Rows of the next step after `rows_seen` rows: from `start` to `full` over the first `ramp_rows`.

    Grows by `start` at a time, so every size can be split over micro-batches and ranks as `start` can, and does not
    depend on the layout. `start` divides `full`.
    """
    if rows_seen >= ramp_rows:
        return full
    return start * (1 + (full // start - 1) * rows_seen // ramp_rows)


def mask_probability(step: int, *, first: float, last: float, total_steps: int) -> float:
    """Share of tokens to predict in step `step`, in a straight line from `first` to `last`."""
    return first + (last - first) * min(1.0, step / max(1, total_steps - 1))
