"""Which words of the notes may stand in a report: those that many notes of many patients share.

A rare word may be a name that de-identification missed. A word is listed only where it holds letters alone and stands
in at least MIN_NOTES of the notes read, of at least MIN_PATIENTS patients. Nothing else of a note's text is written.
"""

from collections import Counter
from collections.abc import Iterable

MIN_NOTES = 20
MIN_PATIENTS = 10


class CommonWords:
    """Counts words; of each no more patients are remembered than the limit needs."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._patients: dict[str, set[str]] = {}

    def add(self, words: Iterable[str], patient_key: str) -> None:
        """The words of one note."""
        of_note = Counter(words)
        self.counts.update(of_note)
        self._notes.update(of_note.keys())
        for word in of_note:
            patients = self._patients.setdefault(word, set())
            if len(patients) < MIN_PATIENTS:
                patients.add(patient_key)

    def may_be_listed(self, word: str) -> bool:
        """Whether the word is common to enough notes and patients."""
        return word.isalpha() and self._notes[word] >= MIN_NOTES and len(self._patients.get(word, ())) >= MIN_PATIENTS
