"""Questions with one answer span in a short context.

A context tells of several drugs, tests and problems of one patient. Its question names one of them, often by another
name, and the context holds other answers of the same type.
"""

import random
from dataclasses import dataclass
from typing import Any

from data_pipeline.invented.lexicon import Lexicon, load_lexicon
from data_pipeline.invented.patients import invent_facts
from data_pipeline.invented.span_text import Mention, SpanText
from data_pipeline.invented.statements import other_name
from data_pipeline.invented.tasks.splits import make_splits, write_opening, write_statements
from data_pipeline.invented.templates import HELD_OUT_TEMPLATE, Split, resolve_choices

MAX_CONTEXT_WORDS = 120

_QUESTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("drug", "dose"): (
        "What (dose|amount) of {} (is|was) given?",
        "How much {} does the patient take?",
        "At what dose is {} (prescribed|ordered)?",
        "What is the strength of {}?",
    ),
    ("drug", "freq"): (
        "How often is {} (taken|given)?",
        "What is the frequency of {}?",
        "When does the patient take {}?",
        "What is the schedule for {}?",
    ),
    ("drug", "reason"): (
        "(Why|For what) is {} given?",
        "What is {} (prescribed|used) for?",
        "What condition does {} treat here?",
        "Which problem is the reason for {}?",
    ),
    ("reason", "drug"): (
        "Which (drug|medication) is given for {}?",
        "What does the patient take for {}?",
        "How is {} treated?",
        "What was prescribed because of {}?",
    ),
    ("test", "value"): (
        "What (is|was) the {}?",
        "What did the {} measure?",
        "How high or low was the {}?",
        "What value was found for {}?",
    ),
    ("test", "shown"): (
        "What did the {} show?",
        "What was found on {}?",
        "What was the abnormality on {}?",
        "Which finding came from the {}?",
    ),
    ("treated", "proc"): (
        "Which procedure was (done|chosen) for {}?",
        "What operation addressed {}?",
        "What intervention did {} need?",
        "By which procedure was {} treated?",
    ),
    ("drug", "adverse"): (
        "What reaction did {} cause?",
        "What was the side effect of {}?",
        "Why was {} stopped?",
        "What made {} intolerable?",
    ),
    ("located", "site"): (
        "Where is the {}?",
        "Which site shows {}?",
        "In which place was {} found?",
        "What part of the body has {}?",
    ),
}
"""(role that the question names, role of the answer) → questions; the last of each is for the test split."""

_KINDS = (
    "prescribe", "prescribe", "prescribe_two", "result", "result_two", "result_shown", "imaging", "procedure",
    "adverse", "location", "symptoms_absent", "family", "uncertain",
)  # fmt: skip


@dataclass(frozen=True)
class QuestionContext:
    context: str
    question: str
    answer: str
    answer_start: int


def make_questions(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[QuestionContext]]:
    """One question a context."""
    return make_splits(f"{seed}/mqa", sizes, _make, lambda row: row.context)


def squad(rows: list[QuestionContext], split: Split) -> dict[str, Any]:
    """SQuAD v1: one article a split."""
    paragraphs = [
        {
            "context": row.context,
            "qas": [
                {
                    "id": f"{split}-{i:05d}",
                    "question": row.question,
                    "answers": [{"text": row.answer, "answer_start": row.answer_start}],
                }
            ],
        }
        for i, row in enumerate(rows)
    ]
    return {"version": "1.1", "data": [{"title": f"invented notes, {split}", "paragraphs": paragraphs}]}


def _make(rng: random.Random, split: Split) -> QuestionContext | None:
    lexicon = load_lexicon()
    facts = invent_facts(rng, lexicon, split)
    out = SpanText()
    write_opening(rng, out)
    write_statements(rng, lexicon, facts, rng.sample(_KINDS, rng.randint(4, 6)), split, out)
    if len(out.text.split()) > MAX_CONTEXT_WORDS:
        return None
    askable = [(named, answer) for named in out.mentions for answer in out.mentions if _can_ask(out, named, answer)]
    if not askable:
        return None
    # By the kind of question first, or doses would crowd the others out.
    kinds = sorted({(_role(named), _role(answer)) for named, answer in askable})
    kind = rng.choice(kinds)
    named, answer = rng.choice([pair for pair in askable if (_role(pair[0]), _role(pair[1])) == kind])
    return QuestionContext(out.text, _ask(rng, lexicon, split, named, kind), out.surface(answer), answer.start)


def _can_ask(out: SpanText, named: Mention, answer: Mention) -> bool:
    """Whether the two belong together, and the context leaves no doubt about what is asked and answered."""
    if (_role(named), _role(answer)) not in _QUESTIONS or named.statement != answer.statement:
        return False
    if named.slot[len(_role(named)) :] != answer.slot[len(_role(answer)) :]:
        return False
    is_told_once = sum(m.concept == named.concept for m in out.mentions) == 1
    return is_told_once and out.text.lower().count(out.surface(answer).lower()) == 1


def _ask(rng: random.Random, lexicon: Lexicon, split: Split, named: Mention, kind: tuple[str, str]) -> str:
    templates = _QUESTIONS[kind]
    known, held_out = templates[: HELD_OUT_TEMPLATE - 1], templates[HELD_OUT_TEMPLATE - 1]
    template = held_out if split == "test" and rng.random() < 0.4 else rng.choice(known)
    name = other_name(rng, lexicon, _role(named), named.concept)
    return resolve_choices(rng, template).replace("{}", name)


def _role(mention: Mention) -> str:
    return mention.slot.rstrip("0123456789")
