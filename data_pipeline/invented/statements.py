"""From a fact to a sentence: which slots a fact fills, and which surface a concept takes.

A slot's role says what it is in the annotation (`ROLES`) and, with its number, which other slot it belongs to.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from data_pipeline.invented.lexicon import Lexicon
from data_pipeline.invented.patients import Facts, Prescription, Result, sample
from data_pipeline.invented.span_text import SpanText
from data_pipeline.invented.templates import NEAT, Hand, Slot, Split, choose_template, render


@dataclass(frozen=True)
class Role:
    """What a slot is as an entity, and the relation to its partner slot of the same number."""

    entity: str
    assertion: str = "present"
    relation: str = ""
    partner: str = ""


ROLES: dict[str, Role] = {
    "drug": Role("Drug"),
    "dose": Role("Dosage", relation="DosageOf", partner="drug"),
    "freq": Role("Frequency", relation="FrequencyOf", partner="drug"),
    "reason": Role("Problem", relation="ReasonFor", partner="drug"),
    "adverse": Role("Problem", relation="AdverseEffectOf", partner="drug"),
    "test": Role("Test"),
    "value": Role("Result", relation="ResultOf", partner="test"),
    "shown": Role("Problem", relation="ShownBy", partner="test"),
    "proc": Role("Treatment"),
    "treated": Role("Problem", relation="TreatedBy", partner="proc"),
    "site": Role("Anatomy"),
    "located": Role("Problem", relation="LocatedIn", partner="site"),
    "problem": Role("Problem"),
    "past": Role("Problem", assertion="historical"),
    "absent": Role("Problem", assertion="absent"),
    "family": Role("Problem", assertion="family"),
    "pair": Role("Problem"),
}
"""Roles that become entities; other slots (a route, a relative) are plain text."""

Filler = Callable[[random.Random, Facts], dict[str, str] | None]


def state(
    out: SpanText,
    kind: str,
    slots: dict[str, str],
    rng: random.Random,
    lexicon: Lexicon,
    split: Split | None = None,
    hand: Hand = NEAT,
    is_plain: bool = False,
) -> None:
    """Write one statement of `kind` about `slots` (canonical terms by slot name)."""
    template = choose_template(rng, kind, split)
    render(out, template, lambda slot: fill_slot(rng, lexicon, slot, slots[slot], is_plain), rng, hand)


def say(
    kind: str, slots: dict[str, str], rng: random.Random, lexicon: Lexicon, split: Split, is_plain: bool = False
) -> str:
    """One statement as a string."""
    out = SpanText()
    state(out, kind, slots, rng, lexicon, split, is_plain=is_plain)
    return out.text


def fill_slot(rng: random.Random, lexicon: Lexicon, slot: str, concept: str, is_plain: bool = False) -> Slot:
    """The surface of a concept in a slot; `is_plain` asks for the canonical name."""
    role = slot.rstrip("0123456789")
    surface = concept if is_plain else other_name(rng, lexicon, role, concept)
    return Slot(surface, concept, is_recorded=role in ROLES)


def other_name(rng: random.Random, lexicon: Lexicon, role: str, concept: str) -> str:
    """One of the names of a concept: as it stands, abbreviated, a brand, a synonym."""
    if role == "freq":
        return rng.choice(lexicon.frequency_forms[concept])
    if role == "route":
        return rng.choice({"PO": ("PO", "by mouth", "orally"), "IV": ("IV", "intravenously")}.get(concept, (concept,)))
    if role == "dose":
        # 500 mg, 500mg: both are common, and a tokenizer meets both.
        return concept.replace(" ", "", 1) if rng.random() < 0.2 else concept
    also = synonyms(lexicon, role, concept)
    return rng.choice(also) if also and rng.random() < 0.35 else concept


def synonyms(lexicon: Lexicon, role: str, concept: str) -> tuple[str, ...]:
    """The other names that the lexicon knows."""
    if role == "drug":
        return lexicon.drugs[concept].also if concept in lexicon.drugs else ()
    if role == "test":
        entry = lexicon.tests.get(concept) or lexicon.studies.get(concept)
        return entry.also if entry else ()
    if concept in lexicon.conditions:
        return lexicon.conditions[concept].also
    return lexicon.symptoms.get(concept, ())


def prescription_slots(prescription: Prescription, number: int = 1) -> dict[str, str]:
    p = prescription
    return {
        f"drug{number}": p.drug,
        f"dose{number}": p.dose,
        f"route{number}": p.route,
        f"freq{number}": p.frequency,
        f"reason{number}": p.reason,
    }


def result_slots(result: Result, number: int = 1) -> dict[str, str]:
    return {f"test{number}": result.test, f"value{number}": result.value, f"shown{number}": result.shown}


def choose_slots(rng: random.Random, kind: str, facts: Facts, lexicon: Lexicon) -> dict[str, str] | None:
    """Facts of the patient that a statement of `kind` can tell, or None when there are none."""
    if kind == "coordinated":
        return {"pair1": _coordinate(rng, lexicon)}
    return _FILLERS[kind](rng, facts)


def coordinated_parts(surface: str) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Offsets of site, other site and complaint in "right knee and left hip pain"."""
    first, rest = surface.split(" and ")
    second = rest.rsplit(" ", 1)[0]
    at = len(first) + len(" and ")
    return (0, len(first)), (at, at + len(second)), (at + len(second) + 1, len(surface))


def _coordinate(rng: random.Random, lexicon: Lexicon) -> str:
    one, other = rng.sample(lexicon.words["paired_sites"], 2)
    sides = [rng.choice(("right", "left")) for _ in range(2)]
    return f"{sides[0]} {one} and {sides[1]} {other} {rng.choice(lexicon.words['site_complaints'])}"


def _one_prescription(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    return prescription_slots(rng.choice(facts.prescriptions)) if facts.prescriptions else None


def _two_prescriptions(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    if not facts.prescriptions:
        return None
    first = rng.choice(facts.prescriptions)
    others = [p for p in facts.prescriptions if p.reason != first.reason]
    return prescription_slots(first) | prescription_slots(rng.choice(others), 2) if others else None


def _adverse(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    reaction = rng.choice(facts.reactions)
    return {"drug1": reaction.drug, "adverse1": reaction.reaction}


def _switch(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    if not facts.prescriptions:
        return None
    return _adverse(rng, facts) | prescription_slots(rng.choice(facts.prescriptions), 2)  # type: ignore[operator]


def _unrelated_drug(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    slots = _one_prescription(rng, facts)
    others = [c.name for c in facts.conditions if slots and c.name != slots["reason1"]]
    return slots | {"problem1": rng.choice(others)} if slots and others else None


def _one_result(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    return result_slots(rng.choice(facts.results))


def _shown_result(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    named = [r for r in facts.results if r.shown]
    return result_slots(rng.choice(named)) if named else None


def _two_results(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    first, second = rng.sample(facts.results, 2)
    return result_slots(first) | result_slots(second, 2)


def _study(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    study = rng.choice(facts.studies)
    return {"test1": study.study, "shown1": study.finding, "absent1": study.absent}


def _procedure(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    if not facts.procedures:
        return None
    procedure = rng.choice(facts.procedures)
    others = [c.name for c in facts.conditions if c.name != procedure.condition]
    return {"proc1": procedure.name, "treated1": procedure.condition, "problem1": rng.choice(others)}


def _location(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    complaint = rng.choice(facts.complaints)
    return {"located1": complaint.what, "site1": complaint.site}


def _symptoms(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    if len(facts.symptoms) < 2:
        return None
    first, second = rng.sample(facts.symptoms, 2)
    absent, also_absent = sample(rng, facts.absent_symptoms, 2)
    return {"problem1": first, "problem2": second, "absent1": absent, "absent2": also_absent}


def _history(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    first, second = rng.sample(facts.conditions, 2)
    return {"past1": first.name, "past2": second.name}


def _family(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    member = rng.choice(facts.family)
    return {"relative1": member.relative, "family1": member.condition}


def _present(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    return {"problem1": rng.choice(facts.conditions).name}


def _uncertain(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    return {"problem1": rng.choice(facts.absent_conditions)}


def _absent(rng: random.Random, facts: Facts) -> dict[str, str] | None:
    return {"absent1": rng.choice(facts.absent_conditions)}


_FILLERS: dict[str, Filler] = {
    "prescribe": _one_prescription,
    "prescribe_short": _one_prescription,
    "prescribe_two": _two_prescriptions,
    "switch": _switch,
    "adverse": _adverse,
    "unrelated_drug": _unrelated_drug,
    "result": _one_result,
    "result_shown": _shown_result,
    "result_two": _two_results,
    "imaging": _study,
    "imaging_absent": _study,
    "procedure": _procedure,
    "procedure_unrelated": _procedure,
    "location": _location,
    "symptoms": _symptoms,
    "symptoms_absent": _symptoms,
    "history": _history,
    "family": _family,
    "uncertain": _uncertain,
    "condition_present": _present,
    "condition_absent": _absent,
}
