"""The canaries of one planting: which sentences, and which the coins put among the notes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json, sha256_file
from launch.errors import NotemillError

CANARIES_FILE = "canaries.json"
NOTES_FILE = "notes.jsonl"
ID_PREFIX = "canary-"
"""Of the note ids and pseudo-patients of canaries."""


@dataclass(frozen=True)
class Canary:
    text: str
    is_in: bool
    repeats: int
    """How often it stands in the notes, or would."""


@dataclass(frozen=True)
class CanarySet:
    canaries: list[Canary]
    words: list[str]
    length: int
    seed: int
    sha256: str


def read_canaries(folder: Path) -> CanarySet:
    """What `plant_canaries` wrote. Raises NotemillError where it is damaged."""
    path = folder / CANARIES_FILE
    content: Any = read_json(path, "list of canaries", "plant them again with notemill audit canary plant")
    try:
        canaries = [Canary(item["text"], item["is_in"], item["repeats"]) for item in content["canaries"]]
        words, length, seed = content["words"], content["length"], content["seed"]
        if not all((type(one.text), type(one.is_in), type(one.repeats)) == (str, bool, int) for one in canaries):
            raise TypeError
        if not words or not all(isinstance(word, str) for word in words):
            raise TypeError
        if type(length) is not int or type(seed) is not int:
            raise TypeError
        if wrong_settings(len(canaries), length, [one.repeats for one in canaries]):
            raise ValueError
        return CanarySet(canaries, words, length, seed, sha256_file(path))
    except (KeyError, TypeError, ValueError):
        raise NotemillError(f"{path} is no list of canaries of notemill audit canary plant.") from None


def draw_sentence(rng: random.Random, words: Sequence[str], length: int) -> str:
    drawn = [rng.choice(words) for _ in range(length)]
    return " ".join([drawn[0].capitalize(), *drawn[1:]]) + "."


def wrong_settings(count: int, length: int, repeats: Sequence[int]) -> str:
    if count < 10:
        return f"--count is {count}; fewer than 10 canaries bound nothing"
    if not 4 <= length <= 200:
        return f"--length is {length}, but a canary has 4 to 200 words"
    if not repeats or min(repeats) < 1:
        return f"--repeats is {list(repeats)}, but each canary stands in the notes at least once"
    return ""
