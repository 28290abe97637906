"""Writers of notes: one patient's facts and identifiers become notes of several types over several visits.

`sections.yaml` says what a type of note is made of; `sentences.yaml` says how a fact is told. A note keeps the offsets
of every identifier, in every style of writing: capitals, lower case, lines broken inside a name.
"""

import datetime
import functools
import random
import re
from dataclasses import dataclass, replace
from typing import Any

from data_pipeline.invented.identifiers import (
    IDENTIFIERS,
    OLDEST_PLAIN_AGE,
    Identity,
    NoteIdentifiers,
    Place,
    age_on,
    invent_identity,
)
from data_pipeline.invented.lexicon import Lexicon, load_yaml
from data_pipeline.invented.patients import Facts, StudyResult, invent_facts
from data_pipeline.invented.span_text import SpanText, wrap_lines
from data_pipeline.invented.statements import ROLES, choose_slots, fill_slot, state
from data_pipeline.invented.templates import Hand, Slot, render, resolve_choices

FIRST_DAY = datetime.date(2011, 1, 3)
LAST_DAY_OFFSET = 2900
WRAPPED_SHARE = 0.25
"""Share of notes broken into lines of 60 to 90 columns, as old systems do."""

_STATEMENTS = re.compile(r"^([@#])(\w+) (\d)-(\d)$")


@dataclass(frozen=True)
class Visit:
    number: int
    admit: datetime.date
    note_days: tuple[datetime.date, ...]


@dataclass(frozen=True)
class Patient:
    identity: Identity
    facts: Facts
    place: Place
    visits: tuple[Visit, ...]


@dataclass(frozen=True)
class Note:
    patient: Patient
    visit: Visit
    day: datetime.date
    note_type: str
    category: str
    """What MIMIC-III calls the type."""
    title: str
    text: SpanText


def note_types() -> tuple[str, ...]:
    return tuple(_sections())


def invent_patient(rng: random.Random, lexicon: Lexicon, subject_id: int, places: tuple[Place, ...]) -> Patient:
    facts = invent_facts(rng, lexicon)
    first_day = FIRST_DAY + datetime.timedelta(days=rng.randrange(LAST_DAY_OFFSET))
    identity = invent_identity(rng, lexicon, subject_id, facts.age, first_day)
    visits: list[Visit] = []
    day = first_day
    remaining = rng.randint(4, 6)
    while remaining:
        count = min(remaining, rng.randint(1, 4))
        days = sorted(day + datetime.timedelta(days=rng.randint(0, 6)) for _ in range(count))
        visits.append(Visit(len(visits) + 1, day, tuple(days)))
        remaining -= count
        day += datetime.timedelta(days=rng.randint(20, 200))
    return Patient(identity, facts, rng.choice(places), tuple(visits))


def write_notes(rng: random.Random, lexicon: Lexicon, patient: Patient) -> list[Note]:
    """All notes of a patient in the order of their days; a visit of several notes ends with its discharge summary."""
    notes = []
    others = [t for t in note_types() if t != "Discharge summary"]
    weights = [_sections()[t]["weight"] for t in others]
    for visit in patient.visits:
        for i, day in enumerate(visit.note_days):
            is_last_of_several = len(visit.note_days) > 1 and i == len(visit.note_days) - 1
            note_type = "Discharge summary" if is_last_of_several else rng.choices(others, weights)[0]
            notes.append(write_note(rng, lexicon, patient, visit, day, note_type))
    return notes


def write_note(
    rng: random.Random, lexicon: Lexicon, patient: Patient, visit: Visit, day: datetime.date, note_type: str
) -> Note:
    plan = _sections()[note_type]
    writer = _Writer(rng, lexicon, patient, visit, day, plan)
    title = writer.write_title(rng.choice(plan["titles"]))
    for section in _choose_sections(rng, plan):
        writer.write_section(section)
    text = writer.out
    if rng.random() < WRAPPED_SHARE:
        text.replace_same_length(wrap_lines(text.text, rng.randint(60, 90)))
    return Note(patient, visit, day, note_type, plan.get("category", note_type), title, text)


def _choose_sections(rng: random.Random, plan: dict[str, Any]) -> list[dict[str, Any]]:
    body = [section for section in plan["body"] if section.get("must") or rng.random() < 0.75]
    # Two sections change places here and there: an order, but not always the same one.
    for i in range(len(body) - 1):
        if rng.random() < 0.25:
            body[i], body[i + 1] = body[i + 1], body[i]
    return [*plan["head"], *body, *plan["tail"]]


class _Writer:
    """One note being written."""

    def __init__(
        self,
        rng: random.Random,
        lexicon: Lexicon,
        patient: Patient,
        visit: Visit,
        day: datetime.date,
        plan: dict[str, Any],
    ) -> None:
        self.out = SpanText()
        self._rng = rng
        self._lexicon = lexicon
        self._facts = _keep_to_one_study(rng, lexicon, patient.facts) if "study" in plan else patient.facts
        self._identifiers = NoteIdentifiers(rng, patient.identity, patient.place, visit.admit, day)
        self._age = age_on(patient.identity.birth, day)
        self._hand = Hand(**plan["hand"], lower=rng.random() < plan.get("lower", 0.0))
        self._title_mark = rng.choice((":", ":", ":\n", " -"))
        self._titles_in_capitals = rng.random() < 0.35
        self._day_number = (day - visit.admit).days + 1
        self._operation = rng.choice(self._facts.procedures) if self._facts.procedures else None

    def write_title(self, template: str) -> str:
        render(self.out, template, self._fill, self._rng, Hand(lower=self._hand.lower))
        title = self.out.text
        self.out.write("\n")
        return title

    def write_section(self, section: dict[str, Any]) -> None:
        title = self._rng.choice(section.get("title", [""]))
        if title:
            title = title.upper() if self._titles_in_capitals else title
            written = f"{title}{self._title_mark}"
            self.out.write("\n" + (written.lower() if self._hand.lower else written))
            if not written.endswith("\n"):
                self.out.write(" ")
        for item in section["lines"]:
            line = self._rng.choice(item) if isinstance(item, list) else item
            statements = _STATEMENTS.match(line)
            if statements is None:
                self._line(line)
            else:
                mark, kind, low, high = statements.groups()
                self._statements(kind, self._rng.randint(int(low), int(high)), is_list=mark == "#")
        self.out.write("\n" if title else "")

    def _statements(self, kind: str, count: int, is_list: bool) -> None:
        for number in range(1, count + 1):
            slots = choose_slots(self._rng, kind, self._facts, self._lexicon)
            if slots is None:
                return
            if is_list:
                self.out.write(f"\n{number}. ")
            else:
                self._separate()
            state(self.out, kind, slots, self._rng, self._lexicon, hand=self._hand)

    def _line(self, template: str) -> None:
        if template[:1].isalnum() or template[:1] == "{":
            self._separate()
        render(self.out, template, self._fill, self._rng, self._hand)

    def _separate(self) -> None:
        if len(self.out) and not self.out.text.endswith((" ", "\n")):
            self.out.write(" ")

    def _fill(self, slot: str) -> Slot:
        if slot == "age":
            return self._identifiers.fill("age") if self._age > OLDEST_PLAIN_AGE else Slot(str(self._age), "", False)
        if slot in IDENTIFIERS:
            return self._identifiers.fill(slot)
        if slot.endswith("_cap"):
            inner = self._fill(slot.removesuffix("_cap"))
            return Slot(inner.surface[:1].upper() + inner.surface[1:], inner.concept, inner.is_recorded)
        return Slot(self._words(slot), "", False)

    def _words(self, slot: str) -> str:
        """Text that identifies nobody."""
        rng, words, facts = self._rng, self._lexicon.words, self._facts
        if slot in _WORD_LISTS:
            return rng.choice(words[_WORD_LISTS[slot]])
        match slot:
            case "sex":
                return rng.choice(("female", "woman", "F") if facts.is_female else ("male", "man", "M"))
            case "title":
                return rng.choice(("Ms.", "Mrs.")) if facts.is_female else "Mr."
            case "problem":
                return fill_slot(rng, self._lexicon, "problem1", rng.choice(facts.conditions).name).surface
            case "reason":
                return self._operation.condition if self._operation else facts.conditions[0].name
            case "operation":
                return self._operation.name if self._operation else "diagnostic laparoscopy"
            case "study":
                return facts.studies[0].study
            case "normal":
                return rng.choice(self._lexicon.studies[facts.studies[0].study].normal)
            case "antibiotic":
                return rng.choice(("Cefazolin 2 g", "Vancomycin 1 g", "Clindamycin 600 mg"))
            case "vitals":
                return _write_vitals(rng)
            case "volume":
                return str(rng.choice((5, 10, 25, 50, 100, 150, 200, 350, 500)))
            case "room":
                return f"{rng.randint(2, 9)}{rng.randint(10, 60)}"
            case "shift":
                return rng.choice(("day", "evening", "night", "7a-7p", "7p-7a"))
            case "day":
                return str(self._day_number)
        raise AssertionError(f"no filler for the slot {slot}")


_WORD_LISTS = {
    "service": "services",
    "allergen": "allergens",
    "relative": "relatives",
    "living": "living",
    "tobacco": "tobacco",
    "alcohol": "alcohol",
    "occupation": "occupations",
    "eponym": "eponyms",
    "disposition": "dispositions",
    "diet": "diets",
    "anesthesia": "anesthesia",
    "position": "positions",
    "prep": "preps",
    "suture": "sutures",
    "anatomy": "anatomy",
    "onset": "onsets",
    "severity": "severities",
    "trigger": "triggers",
    "reliever": "relievers",
}
assert not set(_WORD_LISTS) & (set(IDENTIFIERS) | set(ROLES) - {"site"})


def _keep_to_one_study(rng: random.Random, lexicon: Lexicon, facts: Facts) -> Facts:
    """A report tells of one study, though the patient had several."""
    study = lexicon.studies[rng.choice(facts.studies).study]
    findings = rng.sample(study.findings, 3)
    return replace(facts, studies=tuple(StudyResult(study.name, shown, findings[2]) for shown in findings[:2]))


def _write_vitals(rng: random.Random) -> str:
    temperature, pulse = f"{rng.uniform(96.8, 102.4):.1f}", rng.randint(52, 128)
    pressure, breaths, oxygen = (
        f"{rng.randint(88, 184)}/{rng.randint(48, 104)}",
        rng.randint(11, 28),
        rng.randint(88, 100),
    )
    return resolve_choices(
        rng,
        f"(T {temperature} HR {pulse} BP {pressure} RR {breaths} SpO2 {oxygen}%"
        f"|Temp {temperature}, pulse {pulse}, blood pressure {pressure}, respirations {breaths}"
        f"|VS: {temperature}-{pulse}-{pressure}-{breaths}, {oxygen}% on room air"
        f"|afebrile, BP {pressure}, HR {pulse})",
    )


@functools.lru_cache(maxsize=1)
def _sections() -> dict[str, dict[str, Any]]:
    return load_yaml("sections.yaml")
