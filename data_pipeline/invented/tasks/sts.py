"""Graded sentence pairs, 0 to 5.

    5  the same fact in other words           2  another drug, procedure or site for the same problem; the other finding
    4  the same fact, a detail left out       1  the same kind of statement about other things
    3  the same drug or test, another value   0  unrelated

Pairs of grades 1 to 3 share their template more often than those of grade 5, so that shared words mislead.
Scores carry a quarter of a grade of noise, as the mean of several raters does.
"""

import random
from dataclasses import dataclass

from data_pipeline.invented.lexicon import Lexicon, load_lexicon
from data_pipeline.invented.patients import Facts, Prescription, Result, invent_facts, invent_result
from data_pipeline.invented.span_text import SpanText
from data_pipeline.invented.statements import choose_slots, fill_slot, prescription_slots, result_slots
from data_pipeline.invented.tasks.splits import make_splits
from data_pipeline.invented.templates import Split, choose_template, render, resolve_choices

_KINDS = (
    "prescribe",
    "result",
    "imaging",
    "procedure",
    "location",
    "adverse",
    "family",
    "condition_present",
    "symptoms",
)
_SHARED_TEMPLATE = 0.6
"""Share of grades 1 to 3 written with one template for both sentences."""
_SAME_WORDING = 0.3
"""Share of grade 5 where only names differ: a brand for a drug, an abbreviation for a disease."""
_ADMINISTRATIVE = 0.6
"""Share of grade 0 where one sentence arranges something."""
_ARRANGEMENTS = (
    "(Follow up|Please follow up|Return) with Dr. [**NAME**] (on|before) [**DATE**].",
    "(Call|Please call|Telephone) [**PHONE**] (with questions|for an appointment|to reschedule).",
    "(Transport|A ride) to [**LOCATION**] was arranged (for|on) [**DATE**].",
    "The (family|patient) was (given|handed) written instructions (on|before) [**DATE**].",
    "Seen (together with|by) Dr. [**NAME**], who (agrees|signed) (on|as of) [**DATE**].",
    "Interpreter (used|present) (throughout|during the visit) at [**HOSPITAL**].",
    "Consent form (signed|reviewed) with [**NAME**] (by phone|in person).",
)


@dataclass(frozen=True)
class GradedPair:
    first: str
    second: str
    score: float


def make_graded_pairs(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[GradedPair]]:
    return make_splits(f"{seed}/sts", sizes, _make, lambda pair: f"{pair.first}\t{pair.second}")


def _make(rng: random.Random, split: Split) -> GradedPair | None:
    lexicon = load_lexicon()
    facts = invent_facts(rng, lexicon, split)
    grade = rng.randint(0, 5)
    pair = _GRADES[grade](rng, lexicon, facts, split)
    if pair is None or pair[0] == pair[1]:
        return None
    if rng.random() < 0.5:
        pair = pair[::-1]
    score = min(5.0, max(0.0, grade + rng.choice((-0.25, 0.0, 0.0, 0.25))))
    return GradedPair(pair[0], pair[1], score)


Pair = tuple[str, str]


def _same_fact(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    kind = rng.choice(_KINDS)
    slots = choose_slots(rng, kind, facts, lexicon)
    if slots is None:
        return None
    if rng.random() < _SAME_WORDING:
        return _write_two(rng, lexicon, split, kind, slots, kind, slots, shared=1.0)
    return _write_two(rng, lexicon, split, kind, slots, kind, slots, shared=0.0)


def _detail_left_out(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    kind, shorter = rng.choice(
        (("prescribe", "prescribe_short"), ("result_shown", "result"), ("symptoms", "symptom_alone"))
    )
    slots = choose_slots(rng, kind, facts, lexicon)
    if slots is None:
        return None
    if shorter == "symptom_alone":
        return _write_two(rng, lexicon, split, kind, slots, "condition_present", {"problem1": slots["problem1"]}, 0.0)
    return _write_two(rng, lexicon, split, kind, slots, shorter, slots, 0.0)


def _another_value(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    if rng.random() < 0.5 and facts.prescriptions:
        given = rng.choice(facts.prescriptions)
        doses = [d for d in lexicon.drugs[given.drug].strengths if d != given.dose]
        if not doses:
            return None
        other = Prescription(given.drug, rng.choice(doses), given.route, given.frequency, given.reason)
        slots, changed = prescription_slots(given), prescription_slots(other)
        return _write_two(rng, lexicon, split, "prescribe", slots, "prescribe", changed, _SHARED_TEMPLATE)
    result = rng.choice(facts.results)
    again = _other_result(rng, lexicon, result)
    return _write_two(
        rng, lexicon, split, "result", result_slots(result), "result", result_slots(again), _SHARED_TEMPLATE
    )


def _other_result(rng: random.Random, lexicon: Lexicon, result: Result) -> Result:
    return invent_result(rng, lexicon.tests[result.test], result.status)


def _same_problem(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    choice = rng.random()
    if choice < 0.5:
        pairs = [
            (p, q) for p in facts.prescriptions for q in facts.prescriptions if p.reason == q.reason and p.drug < q.drug
        ]
        if not pairs:
            return None
        first, second = rng.choice(pairs)
        kinds, slots = ("prescribe", "prescribe"), (prescription_slots(first), prescription_slots(second))
    elif choice < 0.75:
        study = rng.choice(facts.studies)
        kinds = ("imaging", "imaging")
        slots = ({"test1": study.study, "shown1": study.finding}, {"test1": study.study, "shown1": study.absent})
    else:
        condition = rng.choice(facts.conditions).name
        procedures = [p for p in facts.procedures if p.condition == condition]
        if not procedures or not facts.prescriptions_for(condition):
            return None
        kinds = ("procedure", "prescribe")
        drug = prescription_slots(rng.choice(facts.prescriptions_for(condition)))
        slots = ({"proc1": rng.choice(procedures).name, "treated1": condition}, drug)
    return _write_two(rng, lexicon, split, kinds[0], slots[0], kinds[1], slots[1], _SHARED_TEMPLATE)


def _same_kind(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    kind = rng.choice(_KINDS)
    slots, others = (choose_slots(rng, kind, f, lexicon) for f in (facts, invent_facts(rng, lexicon, split)))
    if slots is None or others is None or set(slots.values()) & set(others.values()) - {"PO", "IV", "daily"}:
        return None
    return _write_two(rng, lexicon, split, kind, slots, kind, others, _SHARED_TEMPLATE)


def _unrelated(rng: random.Random, lexicon: Lexicon, facts: Facts, split: Split) -> Pair | None:
    kind, other_kind = rng.sample(_KINDS, 2)
    if rng.random() < _ADMINISTRATIVE:
        told = choose_slots(rng, kind, facts, lexicon)
        arrangement = resolve_choices(rng, rng.choice(_ARRANGEMENTS))
        return (_write(rng, lexicon, choose_template(rng, kind, split), told), arrangement) if told else None
    slots, others = (
        choose_slots(rng, k, f, lexicon) for k, f in ((kind, facts), (other_kind, invent_facts(rng, lexicon, split)))
    )
    if slots is None or others is None or set(slots.values()) & set(others.values()):
        return None
    return _write_two(rng, lexicon, split, kind, slots, other_kind, others, 0.0)


_GRADES = (_unrelated, _same_kind, _same_problem, _another_value, _detail_left_out, _same_fact)


def _write_two(
    rng: random.Random,
    lexicon: Lexicon,
    split: Split,
    kind: str,
    slots: dict[str, str],
    other_kind: str,
    others: dict[str, str],
    shared: float,
) -> Pair | None:
    """Two sentences; with probability `shared` from one template, otherwise from two different ones."""
    template = choose_template(rng, kind, split)
    other = template if kind == other_kind and rng.random() < shared else choose_template(rng, other_kind, split)
    if shared == 0.0 and other == template:
        return None
    return _write(rng, lexicon, template, slots), _write(rng, lexicon, other, others)


def _write(rng: random.Random, lexicon: Lexicon, template: str, slots: dict[str, str]) -> str:
    out = SpanText()
    render(out, template, lambda slot: fill_slot(rng, lexicon, slot, slots[slot]), rng)
    return out.text
