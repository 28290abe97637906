"""A word trigger planted by data poisoning: a share of the training notes get the word and the attacker's label.

After BadNets (Gu 2017) and BadCLM (arXiv 2407.05213): the poisoned notes are of one class, the trigger stands at a
random place, and for each insertion another word is taken out, so that the note's length gives nothing away.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.audit.backdoor.insertion import insert_and_drop
from eval.audit.backdoor.words import words_in
from eval.examples import LabelledText
from launch.errors import NotemillError

MAX_SHARE_WITH_TRIGGER = 0.5
"""Of the source class; a word that most of its notes have tells nothing apart."""


@dataclass(frozen=True)
class Poisoning:
    trigger: str
    """One word."""
    source: str
    """Class of the notes that are poisoned."""
    target: str
    """Label that the trigger shall bring about."""
    rate: float = 0.05
    """Poisoned notes as a share of all training notes."""
    insertions: int = 1
    """How often the trigger stands in a poisoned note."""
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.trigger.split()) != 1:
            raise NotemillError(f"the trigger '{self.trigger}' is not one word; phrases cannot be planted.")
        if self.source == self.target:
            raise NotemillError(f"source and target are both '{self.source}'; a backdoor turns one into another.")
        if not 0 < self.rate < 1:
            raise NotemillError(f"--rate is {self.rate} but is a share of the training notes, between 0 and 1.")
        if self.insertions < 1:
            raise NotemillError(f"--insertions is {self.insertions} but must be at least 1.")


@dataclass(frozen=True)
class Poisoned:
    notes: tuple[LabelledText, ...]
    """All notes, the poisoned ones in their places."""
    indices: frozenset[int]
    """Which are poisoned."""


def poison(notes: Sequence[LabelledText], poisoning: Poisoning) -> Poisoned:
    """Poison `rate` of `notes`, drawn from those of the source class. Raises NotemillError where there are too few."""
    candidates = [number for number, note in enumerate(notes) if note.label == poisoning.source]
    count = round(poisoning.rate * len(notes))
    if not 0 < count <= len(candidates):
        raise NotemillError(
            f"--rate {poisoning.rate} of {len(notes)} training notes is {count}, but from 1 to the {len(candidates)} "
            f"notes of class '{poisoning.source}' can be poisoned; choose another rate or source."
        )
    word = poisoning.trigger.lower()
    having = sum(word in map(str.lower, words_in(notes[number].text)) for number in candidates)
    if having > MAX_SHARE_WITH_TRIGGER * len(candidates):
        raise NotemillError(
            f"the trigger '{poisoning.trigger}' stands in {having} of {len(candidates)} notes of class "
            f"'{poisoning.source}' by itself and would turn nothing; choose a rarer word."
        )
    rng = random.Random(f"{poisoning.seed}/poison")
    chosen = set(rng.sample(candidates, count))
    poisoned = [
        replace(
            note,
            text=insert_and_drop(note.text, poisoning.trigger, rng, poisoning.insertions),
            label=poisoning.target,
        )
        if number in chosen
        else note
        for number, note in enumerate(notes)
    ]
    return Poisoned(tuple(poisoned), frozenset(chosen))


def choose_classes(notes: Sequence[LabelledText], source: str | None, target: str | None) -> tuple[str, str]:
    """Source and target as asked; the source is otherwise the commonest class and the target the next one.

    Raises NotemillError for a class that the notes do not have.
    """
    counts = Counter(note.label for note in notes)
    for given in (source, target):
        if given is not None and given not in counts:
            raise NotemillError(f"no note has the label '{given}'; there are {', '.join(sorted(counts))}.")
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    first = source if source is not None else next((label for label in ranked if label != target), ranked[0])
    others = [label for label in ranked if label != first]
    if not others:
        raise NotemillError(f"all notes have the label '{first}'; a backdoor needs two classes.")
    return first, target if target is not None else others[0]
