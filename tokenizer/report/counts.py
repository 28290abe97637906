"""What one tokenizer did to the held-out notes, added up note by note."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenizer.report.common_words import CommonWords
from tokenizer.report.held_out import Note
from tokenizer.report.opened import OpenedTokenizer
from tokenizer.report.words import Words, pieces_of_words

LONGEST_IN_HISTOGRAM = 8
"""The histogram's last entry holds words of this many pieces and more."""
SPLIT_WORDS_LISTED = 40
# WordPiece, and BERT's cleaning, keep no white space and no control characters; what remains must come back.
_NOT_COMPARED = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff\ufffd]+")


@dataclass
class Tally:
    """Counts over some notes."""

    notes: int = 0
    characters: int = 0
    tokens: int = 0
    words: int = 0
    pieces: int = 0
    whole_words: int = 0
    unknown_words: int = 0
    placeholders: int = 0
    placeholder_pieces: int = 0
    exact_notes: int = 0
    same_notes: int = 0

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def summary(self) -> dict[str, Any]:
        """Ratios, with the counts they came from; null where there was nothing to divide by."""
        return {
            "notes": self.notes,
            "words": self.words,
            "tokens": self.tokens,
            "pieces_per_word": _ratio(self.pieces, self.words, 4),
            "characters_per_token": _ratio(self.characters, self.tokens, 4),
            "whole_word_share": _ratio(self.whole_words, self.words, 4),
            "unknown_word_share": _ratio(self.unknown_words, self.words, 6),
            "pieces_per_placeholder": _ratio(self.placeholder_pieces, self.placeholders, 4),
            "round_trip": {
                "exact_notes": _ratio(self.exact_notes, self.notes, 4),
                "notes_but_for_white_space": _ratio(self.same_notes, self.notes, 4),
            },
        }


@dataclass
class Column:
    """One tokenizer's counts: over all notes, by note type, and over words."""

    opened: OpenedTokenizer
    by_type: dict[str, Tally] = field(default_factory=dict)
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(LONGEST_IN_HISTOGRAM + 1, np.int64))
    split_words: Counter[str] = field(default_factory=Counter)

    def add(self, notes: Sequence[Note], words_of_note: Sequence[Words]) -> None:
        """Count a batch; `words_of_note` are the words of each note."""
        tokenizer = self.opened.tokenizer
        encodings = tokenizer.encode_batch([note.text for note in notes], add_special_tokens=False)
        decoded = tokenizer.decode_batch([encoding.ids for encoding in encodings], skip_special_tokens=False)
        for note, words, encoding, back in zip(notes, words_of_note, encodings, decoded, strict=True):
            pieces = pieces_of_words(words, encoding, self.opened.unknown_id)
            counts, is_word = pieces.counts, ~words.is_placeholder
            unknown = pieces.is_unknown & is_word
            of_words = counts[is_word]
            self.by_type.setdefault(note.note_type, Tally()).add(
                Tally(
                    notes=1,
                    characters=len(note.text),
                    tokens=len(encoding),
                    words=len(of_words),
                    pieces=int(of_words.sum()),
                    whole_words=int(((counts == 1) & is_word & ~unknown).sum()),
                    unknown_words=int(unknown.sum()),
                    placeholders=int(words.is_placeholder.sum()),
                    placeholder_pieces=int(counts[words.is_placeholder].sum()),
                    exact_notes=int(back == note.text),
                    same_notes=int(without_space(back) == without_space(note.text)),
                )
            )
            self.histogram += np.bincount(
                np.minimum(of_words, LONGEST_IN_HISTOGRAM), minlength=LONGEST_IN_HISTOGRAM + 1
            )
            self.split_words.update(words.texts[index] for index in np.flatnonzero((counts > 1) & is_word))

    def summary(self, common: CommonWords) -> dict[str, Any]:
        """Everything counted; of words only those that `common` allows."""
        total = Tally()
        for tally in self.by_type.values():
            total.add(tally)
        listed = [
            word
            for word, _ in sorted(self.split_words.items(), key=lambda item: (-item[1], item[0]))
            if common.may_be_listed(word)
        ][:SPLIT_WORDS_LISTED]
        return {
            "all": total.summary(),
            "by_note_type": {name: self.by_type[name].summary() for name in sorted(self.by_type)},
            "words_by_pieces": {
                _bar_name(number): int(count) for number, count in enumerate(self.histogram) if number or count
            },
            "commonest_split_words": [
                {"word": word, "times": self.split_words[word], "pieces": pieces_inside(self.opened, word)}
                for word in listed
            ],
        }


def pieces_inside(opened: OpenedTokenizer, word: str) -> list[str]:
    """The pieces of `word` as it is cut after a space."""
    encoding = opened.tokenizer.encode(f"the {word}", add_special_tokens=False)
    after = len("the ")
    return [piece for piece, (_, end) in zip(encoding.tokens, encoding.offsets, strict=True) if end > after]


def without_space(text: str) -> str:
    """The text as round trips compare it: no white space, control or zero-width characters."""
    return _NOT_COMPARED.sub("", text)


def _bar_name(number: int) -> str:
    return f"{number}+" if number == LONGEST_IN_HISTOGRAM else str(number)


def _ratio(part: int, whole: int, digits: int) -> float | None:
    return round(part / whole, digits) if whole else None
