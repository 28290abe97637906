"""Whom a step trains on: each patient by its own coin, as both accountants assume; never a shuffled pass.

A shuffled pass is not what is accounted for, and its real cost can be several times the figure (Chua 2024). A patient's
windows are drawn from its own notes alone, so that nothing of one patient decides what is taken of another.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from eval.private.randomness import SecretRandom
from eval.private.task import PrivateTask


def drawn_patients(random: SecretRandom, step: int, num_patients: int, rate: float) -> list[int]:
    """Indices of those that the step draws, maybe none; every process draws the same ones."""
    return np.flatnonzero(random.uniforms("patients", step, num_patients) < rate).tolist()


def micro_batches(
    task: PrivateTask, patients: Sequence[int], random: SecretRandom, step: int, size: int, device: torch.device
) -> Iterator[Any]:
    """Batches of up to `size` patients with equally many windows, made as they are asked for."""
    by_windows: dict[int, list[list[Any]]] = {}
    for patient in patients:
        windows = task.draw(patient, random.generator("windows", step, patient))
        by_windows.setdefault(len(windows), []).append(windows)
    for _, group in sorted(by_windows.items()):
        for start in range(0, len(group), size):
            yield task.collate(group[start : start + size], device)
