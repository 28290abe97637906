"""The gold data of the tasks in memory: what every format reads into and every task head and scorer works on.

Offsets are character offsets into the text, start inclusive and end exclusive.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Task = Literal["ner", "re", "sts", "nli", "mqa", "cls"]
TASKS: tuple[Task, ...] = ("ner", "re", "sts", "nli", "mqa", "cls")
Span: TypeAlias = tuple[int, int]
MENTION_MARKS = ("[s1]", "[e1]")
"""Before and after the mention that a labelled text is about."""


@dataclass(frozen=True)
class Entity:
    """A mention. Discontinuous mentions have several spans, in order."""

    id: str
    label: str
    spans: tuple[Span, ...]
    attributes: tuple[tuple[str, str], ...] = ()
    """What else the format says of the mention, by its own names; kept for writing and not scored."""

    @property
    def start(self) -> int:
        return self.spans[0][0]

    @property
    def end(self) -> int:
        return self.spans[-1][1]


@dataclass(frozen=True)
class Relation:
    """A directed relation between two entities of the same document, by their ids."""

    id: str
    label: str
    head: str
    tail: str


@dataclass(frozen=True)
class Document:
    """A text with its mentions and relations: NER, and RE before candidates are made."""

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    tokens: tuple[Span, ...] | None = None
    """Word boundaries where the format fixes them (CoNLL); None where it does not (BRAT)."""
    found: tuple[Span, ...] = ()
    """What other detectors already find in the text, where the format says so: a model need not find it again."""
    sentences: tuple[int, ...] | None = None
    """Offsets at which sentences begin, the first being 0, where the format fixes them (a line each in i2b2 2010)."""
    source: str = ""
    """What documents have in common that must not be divided between splits, such as the patient."""


@dataclass(frozen=True)
class RelationCandidate:
    """Two mentions in a context, to be classified: RE as marked sentences, or made from a Document."""

    id: str
    text: str
    head: Span
    tail: Span
    label: str
    document_id: str = ""
    head_id: str = ""
    tail_id: str = ""


@dataclass(frozen=True)
class SentencePair:
    """STS has a `score`, NLI a `label`; the other is None."""

    id: str
    first: str
    second: str
    score: float | None = None
    label: str | None = None


@dataclass(frozen=True)
class Answer:
    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """Extractive question answering; no answers means the context holds none."""

    id: str
    document_id: str
    context: str
    question: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class LabelledText:
    """Document classification, or of one mention between MENTION_MARKS in its context."""

    id: str
    text: str
    label: str
    document_id: str = ""


Example: TypeAlias = Document | RelationCandidate | SentencePair | Question | LabelledText


@dataclass(frozen=True)
class Dataset:
    """A task set as read: its splits, and a count of everything that the format held and this form cannot."""

    task: Task
    format: str
    path: str
    splits: dict[str, tuple[Example, ...]]
    """Keys are among "train", "dev" and "test"."""
    notes: dict[str, int] = field(default_factory=dict)
    """Plain-word counts, such as {"answers realigned by text": 123}; nothing is dropped without one."""
    options: dict[str, str] = field(default_factory=dict)
    """Choices of the format's reading that the user made, by which predictions are read as well."""
