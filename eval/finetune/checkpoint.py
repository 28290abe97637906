"""The state of a fine-tuning between two epochs, in one private file, so that a killed run goes on exactly as it was.

The file is there only while the fine-tuning is unfinished. It goes on with as many processes as wrote it, because each
draws its own dropout.
"""

import pickle
import random
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import atomic_write, make_private_folder
from eval.finetune.processes import ALONE, Processes
from launch.errors import NotemillError


class Checkpoint:
    """The file at `path` of the fine-tuning that `fingerprint` names."""

    def __init__(self, path: Path, fingerprint: str, processes: Processes = ALONE) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.processes = processes

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` and the random states of all processes. All of them call it, with equal states."""
        generators = self.processes.gather(_generators())
        if not self.processes.is_main:
            return
        make_private_folder(self.path.parent)
        with atomic_write(self.path) as temporary:
            torch.save({"fingerprint": self.fingerprint, "generators": generators, "state": state}, temporary)

    def load(self) -> dict[str, Any] | None:
        """The last state, with torch's generators put back as they were; None where there is none.

        Raises NotemillError where the file is damaged, of another fine-tuning or of another number of processes.
        """
        if not self.path.is_file():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            fingerprint, generators, state = (content[key] for key in ("fingerprint", "generators", "state"))
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
            raise NotemillError(f"the checkpoint {self.path} cannot be read; remove it and run again.") from None
        if fingerprint != self.fingerprint:
            raise NotemillError(
                f"{self.path} is of other data, another model or another recipe; choose a new --out or remove it."
            )
        if len(generators) != self.processes.size:
            raise NotemillError(
                f"{self.path} was written by {len(generators)} processes and this run has {self.processes.size}; start "
                "as many, or remove it."
            )
        _set_generators(generators[self.processes.rank])
        return state

    def remove(self) -> None:
        if self.processes.is_main:
            self.path.unlink(missing_ok=True)


def random_state(rng: random.Random) -> list[Any]:
    """`rng`'s state in a form that `restore_random` takes and a checkpoint holds."""
    version, words, gauss = rng.getstate()
    return [version, list(words), gauss]


def restore_random(rng: random.Random, state: list[Any]) -> None:
    version, words, gauss = state
    rng.setstate((version, tuple(words), gauss))


def _generators() -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state()] if torch.cuda.is_available() else states


def _set_generators(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[1])
