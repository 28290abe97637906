"""Text that remembers where its parts are.

A writer appends literal text and mentions; offsets are therefore true by construction, never searched for afterwards.
Every change after writing keeps the length (a space that becomes a line break), so that offsets stay true.
"""

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Mention:
    """Characters `start` to `end` of the text, written for the slot `slot` of a template."""

    start: int
    end: int
    slot: str
    concept: str
    """The canonical name of what is mentioned, whatever its surface."""
    statement: int
    """Number of the statement that the mention belongs to; roles pair up only within one."""


class SpanText:
    """A text under construction and the mentions in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._last = "\n"
        self.statement = 0
        self.mentions: list[Mention] = []

    def __len__(self) -> int:
        return self._length

    def write(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)
            self._last = text[-1]

    def mention(self, surface: str, slot: str, concept: str) -> None:
        start = self._length
        self.write(surface)
        self.mentions.append(Mention(start, self._length, slot, concept, self.statement))

    def append(self, other: "SpanText") -> None:
        """Write another text with its mentions after this one; its statements stay apart from those here."""
        shift = self._length
        for mention in other.mentions:
            self.mentions.append(
                replace(
                    mention,
                    start=mention.start + shift,
                    end=mention.end + shift,
                    statement=mention.statement + self.statement + 1,
                )
            )
        self.write(other.text)
        self.statement += other.statement + 1

    @property
    def at_sentence_start(self) -> bool:
        return self._last == "\n" or self.text.rstrip(" ")[-1:] in {"", ".", "\n", ":"}

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def surface(self, mention: Mention) -> str:
        return self.text[mention.start : mention.end]

    def replace_same_length(self, text: str) -> None:
        """Put a rewritten text in place; offsets stay true because nothing moved."""
        assert len(text) == self._length
        self._parts = [text]


def wrap_lines(text: str, width: int) -> str:
    """Break lines at `width` columns by turning spaces into line breaks, so that no offset moves."""
    characters = list(text)
    line_start, last_space = 0, -1
    for position, character in enumerate(text):
        if character == "\n":
            line_start, last_space = position + 1, -1
        elif character == " ":
            last_space = position
        if position - line_start >= width and last_space > line_start:
            characters[last_space] = "\n"
            line_start, last_space = last_space + 1, -1
    return "".join(characters)


def mistype(rng: random.Random, text: str) -> str:
    """One slip of the fingers in a word of at least five letters: two neighbours swapped, or one letter left out."""
    words = text.split(" ")
    long_enough = [i for i, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long_enough:
        return text
    i = rng.choice(long_enough)
    at = rng.randrange(1, len(words[i]) - 2)
    word = words[i]
    words[i] = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :] if rng.random() < 0.6 else word[:at] + word[at + 1 :]
    )
    return " ".join(words)
