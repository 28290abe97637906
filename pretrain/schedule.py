"""The learning rate as a pure function of the step."""


def linear_warmup_decay(step: int, *, peak: float, floor: float, warmup_steps: int, total_steps: int) -> float:
    """Learning rate of optimizer step `step` (counted from 0): linear from 0 to `peak`, then linear to `floor`.

    The step after warm-up is the first at `peak`; the last step, `total_steps - 1`, is at `floor`.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    decay_steps = max(1, total_steps - 1 - warmup_steps)
    progress = min(1.0, (step - warmup_steps) / decay_steps)
    return peak + (floor - peak) * progress
