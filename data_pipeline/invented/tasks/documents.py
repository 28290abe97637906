"""Named entities and relations: short documents in BRAT standoff form.

Entities: Drug, Dosage, Frequency, Problem, Test, Result, Treatment, Anatomy; the attribute Assertion (absent,
historical, family) marks problems that the patient does not have now. Relations run from the detail to what it belongs
to: DosageOf, FrequencyOf, ReasonFor and AdverseEffectOf (→ Drug), ResultOf and ShownBy (→ Test), TreatedBy
(→ Treatment), LocatedIn (→ Anatomy). Documents name several drugs, problems and tests, so that a pair of the right
types is often none.
"""

import random
from dataclasses import dataclass

from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.patients import invent_facts
from data_pipeline.invented.span_text import Mention, SpanText
from data_pipeline.invented.statements import ROLES, coordinated_parts
from data_pipeline.invented.tasks.splits import make_splits, write_opening, write_statements
from data_pipeline.invented.templates import Split

_ENTITY_KINDS = (
    "prescribe", "prescribe_short", "prescribe_two", "adverse", "unrelated_drug", "result", "result_shown",
    "result_two", "imaging", "imaging_absent", "procedure", "location", "symptoms", "symptoms_absent",
    "history", "family", "uncertain", "condition_absent",
)  # fmt: skip
_RELATION_KINDS = (
    "prescribe", "prescribe_two", "prescribe_two", "switch", "adverse", "unrelated_drug", "unrelated_drug",
    "result_shown", "result_two", "imaging", "imaging_absent", "procedure", "procedure_unrelated", "location",
    "history",
)  # fmt: skip
_COORDINATED_SHARE = 0.3
"""Share of entity documents with "right knee and left hip pain": two problems, one of them discontinuous."""

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class BratDocument:
    text: str
    entities: tuple[tuple[str, Spans, str], ...]
    """Label, spans and assertion, in the order of T1, T2, …"""
    relations: tuple[tuple[str, int, int], ...]
    """Label, and the positions of head and tail in `entities`."""

    def annotations(self) -> str:
        """The `.ann` file."""
        lines = []
        for i, (label, spans, _) in enumerate(self.entities, start=1):
            offsets = ";".join(f"{start} {end}" for start, end in spans)
            lines.append(f"T{i}\t{label} {offsets}\t{' '.join(self.text[start:end] for start, end in spans)}")
        asserted = [(i, a) for i, (_, _, a) in enumerate(self.entities, start=1) if a != "present"]
        lines += [f"A{n}\tAssertion T{i} {assertion}" for n, (i, assertion) in enumerate(asserted, start=1)]
        lines += [
            f"R{n}\t{label} Arg1:T{head + 1} Arg2:T{tail + 1}"
            for n, (label, head, tail) in enumerate(self.relations, start=1)
        ]
        return "".join(f"{line}\n" for line in lines)


def make_entity_documents(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[BratDocument]]:
    """Documents for NER."""
    return make_splits(f"{seed}/ner", sizes, lambda rng, split: _make(rng, split, relations=False), lambda d: d.text)


def make_relation_documents(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[BratDocument]]:
    """Documents for RE, with all entities given."""
    return make_splits(f"{seed}/re", sizes, lambda rng, split: _make(rng, split, relations=True), lambda d: d.text)


def _make(rng: random.Random, split: Split, relations: bool) -> BratDocument | None:
    lexicon = load_lexicon()
    facts = invent_facts(rng, lexicon, split)
    kinds = rng.sample(_RELATION_KINDS if relations else _ENTITY_KINDS, rng.randint(4, 7))
    if not relations and rng.random() < _COORDINATED_SHARE:
        kinds.insert(rng.randrange(len(kinds)), "coordinated")
    out = SpanText()
    write_opening(rng, out)
    write_statements(rng, lexicon, facts, kinds, split, out)
    return annotate(out, relations)


def annotate(out: SpanText, relations: bool) -> BratDocument:
    """Entities and, if asked, relations of what was written: roles of one number in one statement belong together."""
    entities: list[tuple[str, Spans, str]] = []
    position: dict[tuple[int, str], int] = {}
    for mention in out.mentions:
        role = ROLES[_role(mention)]
        position[mention.statement, mention.slot] = len(entities)
        for spans in _spans(mention, out):
            entities.append((role.entity, spans, role.assertion))
    found = []
    for mention in out.mentions:
        role = ROLES[_role(mention)]
        partner = (mention.statement, role.partner + mention.slot[len(_role(mention)) :])
        if relations and role.relation and partner in position:
            found.append((role.relation, position[mention.statement, mention.slot], position[partner]))
    return BratDocument(out.text, tuple(entities), tuple(found))


def _role(mention: Mention) -> str:
    return mention.slot.rstrip("0123456789")


def _spans(mention: Mention, out: SpanText) -> list[Spans]:
    if _role(mention) != "pair":
        return [((mention.start, mention.end),)]
    first, second, complaint = (
        (mention.start + start, mention.start + end) for start, end in coordinated_parts(out.surface(mention))
    )
    return [(first, complaint), ((second[0], complaint[1]),)]
