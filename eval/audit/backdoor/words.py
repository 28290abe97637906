"""The words of a set of notes: in how many notes and of how many patients each stands, and which may be shown.

Words are compared in lower case. A word that stands in the notes of fewer than `k` patients is never shown, since it
may be a name that de-identification missed (k-anonymity).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from eval.clusters import cluster_of
from eval.examples import LabelledText
from eval.words import words_of

MIN_LETTERS = 2
K_ANONYMOUS = 10
"""Patients below which a word is not shown."""


@dataclass(frozen=True)
class WordIndex:
    notes: dict[str, list[int]]
    """By word in lower case the indices of its notes, ascending; words that may be shown alone."""
    surface: dict[str, str]
    """As the word is most often written."""
    hidden: int
    """Words left out because too few patients have them."""


def words_in(text: str) -> list[str]:
    """The words of `text` in order, as written: at least two characters, a letter first; no placeholder."""
    found = (text[start:end] for start, end in words_of(text))
    return [word for word in found if len(word) >= MIN_LETTERS and word[0].isalpha()]


def index_words(notes: Sequence[LabelledText], k: int = K_ANONYMOUS) -> WordIndex:
    """Where the words stand that at least `k` patients have (notes count where no patient is named)."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for number, note in enumerate(notes):
        for word in words_in(note.text):
            written[word.lower()][word] += 1
        for key in sorted({word.lower() for word in words_in(note.text)}):
            places[key].append(number)
    patients = [cluster_of(note) for note in notes]
    kept = {word: at for word, at in sorted(places.items()) if len({patients[i] for i in at}) >= k}
    surface = {word: min(written[word], key=lambda form: (-written[word][form], form)) for word in kept}
    return WordIndex(kept, surface, len(places) - len(kept))


def like_frequency(index: WordIndex, wanted: int, count: int, without: Collection[str]) -> list[str]:
    """`count` words that stand in about `wanted` notes each, as written."""
    free = [word for word in index.notes if word not in without]
    nearest = sorted(free, key=lambda word: (abs(len(index.notes[word]) - wanted), word))
    return [index.surface[word] for word in nearest[:count]]
