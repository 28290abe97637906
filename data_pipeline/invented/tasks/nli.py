"""Entailment, contradiction or neutral, from facts.

A hypothesis is chosen first and its label afterwards, evenly: the hypothesis alone tells nothing. The premise is then
written to make the label true: through negation, family history, doubt, values against their ranges, doses, stopped
drugs, drug classes, abbreviations and groups of diseases. Premises often hold a second, irrelevant statement.
"""

import random
from dataclasses import dataclass

from data_pipeline.invented.lexicon import Lexicon, load_lexicon
from data_pipeline.invented.patients import Facts, Status, invent_facts, invent_result
from data_pipeline.invented.statements import choose_slots, other_name, prescription_slots, result_slots, say
from data_pipeline.invented.tasks.splits import make_splits
from data_pipeline.invented.templates import Split, resolve_choices

LABELS = ("entailment", "contradiction", "neutral")
_DISTRACTOR_SHARE = 0.4
_NEGATIVE_HYPOTHESES = 0.2
_FLAGGED_RESULTS = 0.6
"""Share of results with the flag that a laboratory prints beside them."""
_SINGLE_SYMPTOM = 0.5
"""Share of symptom premises that tell of one symptom; the others tell of one present and one absent."""

_HAS = (
    "(The patient|Patient) has {}.",
    "(The patient|He or she) suffers from {}.",
    "{} is present.",
    "The patient is known to have {}.",
)
_HAS_NOT = ("The patient does not have {}.", "{} is absent.", "The patient is free of {}.")
_STATUSES: tuple[Status, ...] = ("high", "low", "normal")
_FLAGS: dict[Status, tuple[str, ...]] = {
    "high": ("H", "high", "elevated"),
    "low": ("L", "low"),
    "normal": ("normal", "WNL"),
}
_UNDECIDED = (
    "(Will consider|Considering|Discussed) {} as an option for a later visit.",
    "The (mother|brother|spouse) takes {}.",
    "Asked about {}, (no decision yet|to be decided).",
)
_TEST_STATUS = {
    "high": ("The {} is elevated.", "The {} is above normal.", "The patient has a high {}."),
    "low": ("The {} is low.", "The {} is below normal.", "The patient has a low {}."),
    "normal": ("The {} is normal.", "The {} is within the normal range."),
}


@dataclass(frozen=True)
class EntailmentPair:
    premise: str
    hypothesis: str
    label: str


def make_entailment_pairs(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[EntailmentPair]]:
    return make_splits(f"{seed}/nli", sizes, _make, lambda pair: f"{pair.premise}\t{pair.hypothesis}")


def _make(rng: random.Random, split: Split) -> EntailmentPair | None:
    writer = _PairWriter(rng, load_lexicon(), split)
    label = rng.choice(LABELS)
    about = rng.choices(
        (writer.condition, writer.symptom, writer.test, writer.drug, writer.dose), weights=(5, 3, 3, 3, 1)
    )[0]
    pair = about(label)
    if pair is None:
        return None
    premise, hypothesis = pair
    return EntailmentPair(writer.add_distractor(premise), hypothesis[0].upper() + hypothesis[1:], label)


Statement = tuple[str, dict[str, str]]


class _PairWriter:
    """Writes premise and hypothesis about one patient; every method takes the label that it must make true."""

    def __init__(self, rng: random.Random, lexicon: Lexicon, split: Split) -> None:
        self._rng, self._lexicon, self._split = rng, lexicon, split
        self._facts: Facts = invent_facts(rng, lexicon, split)

    def condition(self, label: str) -> tuple[str, str] | None:
        """Whether the patient has a condition; the hypothesis may name its group."""
        condition = self._facts.conditions[0]
        absent = self._facts.absent_conditions[0]
        is_negative = self._rng.random() < _NEGATIVE_HYPOTHESES
        # "no lung disease" does not follow from "no asthma", so negative hypotheses name the condition itself.
        by_group = not is_negative and label == "entailment" and self._rng.random() < 0.3
        if by_group:
            return self._premise(self._affirming(condition.name)), self._has(_a(condition.kind))
        name = other_name(self._rng, self._lexicon, "problem", condition.name)
        is_true = {"entailment": not is_negative, "contradiction": is_negative}.get(label)
        if is_true is None:
            statement = self._unsettled(condition.name, absent)
        else:
            statement = (
                self._affirming(condition.name) if is_true else ("condition_absent", {"absent1": condition.name})
            )
        if label == "neutral" and not is_negative and self._rng.random() < 0.3:
            name = _a(condition.kind)
            statement = ("family", {"relative1": self._relative(), "family1": condition.name})
        elif label == "contradiction" and not is_negative and self._rng.random() < 0.25:
            return f"There is no history of any {condition.kind}.", self._has(name)
        return self._premise(statement), self._has_not(name) if is_negative else self._has(name)

    def symptom(self, label: str) -> tuple[str, str] | None:
        """Whether a symptom is there; the premise tells of one that is and one that is not."""
        slots = choose_slots(self._rng, "symptoms_absent", self._facts, self._lexicon)
        if slots is None:
            return None
        is_negative = self._rng.random() < _NEGATIVE_HYPOTHESES
        if self._rng.random() < _SINGLE_SYMPTOM:
            return self._one_symptom(label, slots["problem1"], is_negative)
        premise = ""
        for _ in range(8):
            premise = say("symptoms_absent", slots, self._rng, self._lexicon, self._split, is_plain=True)
            if all(slots[s].lower() in premise.lower() for s in ("problem1", "absent1")):
                break
        else:
            return None
        asked = {"entailment": not is_negative, "contradiction": is_negative}.get(label)
        symptom = slots["problem2"] if asked is None else slots["problem1"] if asked else slots["absent1"]
        if label == "neutral" and symptom.lower() in premise.lower():
            return None
        name = other_name(self._rng, self._lexicon, "problem", symptom)
        return premise, self._has_not(name) if is_negative else self._has(name)

    def _one_symptom(self, label: str, symptom: str, is_negative: bool) -> tuple[str, str]:
        is_there = (label == "entailment") != is_negative
        statement: Statement = (
            ("uncertain", {"problem1": symptom})
            if label == "neutral"
            else ("condition_present", {"problem1": symptom})
            if is_there
            else ("condition_absent", {"absent1": symptom})
        )
        name = other_name(self._rng, self._lexicon, "problem", symptom)
        return self._premise(statement), self._has_not(name) if is_negative else self._has(name)

    def test(self, label: str) -> tuple[str, str] | None:
        """Whether a value is high, low or normal."""
        rng = self._rng
        claimed: Status = rng.choice(_STATUSES)
        result = rng.choice(self._facts.results)
        lab = self._lexicon.tests[result.test]
        called = {"low": lab.low_name, "high": lab.high_name, "normal": ""}[claimed]
        if label == "neutral":
            # Two tests may show the same thing: a high ESR does tell of inflammation, whatever the CRP was.
            stated = rng.choice(
                [r for r in self._facts.results if r.test != result.test and (r.shown or "-") != called]
            )
        else:
            others: list[Status] = [s for s in _STATUSES if s != claimed]
            status = claimed if label == "entailment" else rng.choice(others)
            if (status == "low" and lab.low <= 0.1) or (status == "high" and result.test == "oxygen saturation"):
                return None
            stated = invent_result(rng, lab, status)
        premise = self._premise(("result", result_slots(stated)))
        if rng.random() < _FLAGGED_RESULTS:
            premise = f"{premise.removesuffix('.')} ({rng.choice(_FLAGS[stated.status])})."
        return premise, self._claim(lab.name, claimed, called)

    def drug(self, label: str) -> tuple[str, str] | None:
        """Whether the patient takes a drug, or one of its class."""
        if not self._facts.prescriptions:
            return None
        given = self._rng.choice(self._facts.prescriptions)
        drug = self._lexicon.drugs[given.drug]
        name = other_name(self._rng, self._lexicon, "drug", given.drug)
        template = self._rng.choice(
            ("The patient (takes|is on|receives) {}.", "{} is part of the regimen.", "{} is being given.")
        )
        named = _a(drug.drug_class) if label != "contradiction" and self._rng.random() < 0.3 else name
        hypothesis = resolve_choices(self._rng, template).replace("{}", named)
        if label == "entailment":
            return self._premise(("prescribe", prescription_slots(given))), hypothesis
        if label == "contradiction":
            reaction = self._facts.reactions[0].reaction
            kind = self._rng.choice(("adverse", "never"))
            if kind == "never":
                return f"{self._rng.choice(('Has never taken', 'Does not take', 'Refused'))} {given.drug}.", hypothesis
            return f"{given.drug[0].upper() + given.drug[1:]} was stopped because of {reaction}.", hypothesis
        if self._rng.random() < 0.5:
            open_question = self._rng.choice(_UNDECIDED)
            return resolve_choices(self._rng, open_question).replace("{}", given.drug), hypothesis
        others = [p for p in self._facts.prescriptions if self._lexicon.drugs[p.drug].drug_class != drug.drug_class]
        return (
            (self._premise(("prescribe", prescription_slots(self._rng.choice(others)))), hypothesis) if others else None
        )

    def dose(self, label: str) -> tuple[str, str] | None:
        """Whether a dose is the one that is claimed."""
        if len(self._facts.prescriptions) < 2:
            return None
        given, other = self._rng.sample(self._facts.prescriptions, 2)
        doses = [d for d in self._lexicon.drugs[given.drug].strengths if d != given.dose]
        if not doses:
            return None
        claimed = self._rng.choice(doses) if label == "contradiction" else given.dose
        template = self._rng.choice(("The dose of {} is {}.", "The patient takes {} at {}."))
        hypothesis = template.format(other_name(self._rng, self._lexicon, "drug", given.drug), claimed)
        stated = other if label == "neutral" else given
        return self._premise(("prescribe", prescription_slots(stated))), hypothesis

    def add_distractor(self, premise: str) -> str:
        """Sometimes another true statement about something else, before or after."""
        if self._rng.random() >= _DISTRACTOR_SHARE:
            return premise
        slots = choose_slots(self._rng, "location", self._facts, self._lexicon)
        kind = "location"
        if self._rng.random() < 0.5:
            kind, slots = "imaging", choose_slots(self._rng, "imaging", self._facts, self._lexicon)
        assert slots is not None
        other = say(kind, slots, self._rng, self._lexicon, self._split)
        return f"{other} {premise}" if self._rng.random() < 0.5 else f"{premise} {other}"

    def _affirming(self, condition: str) -> Statement:
        """A statement from which it follows that the patient has the condition."""
        given = [p for p in self._facts.prescriptions if p.reason == condition]
        done = [p for p in self._facts.procedures if p.condition == condition]
        choices: list[Statement] = [("condition_present", {"problem1": condition})] * 2
        choices += [("prescribe", prescription_slots(p)) for p in given]
        choices += [("procedure", {"proc1": p.name, "treated1": condition}) for p in done]
        return self._rng.choice(choices)

    def _unsettled(self, condition: str, other: str) -> Statement:
        """A statement that leaves open whether the patient has the condition."""
        choices: list[Statement] = [
            ("family", {"relative1": self._relative(), "family1": condition}),
            ("family", {"relative1": self._relative(), "family1": condition}),
            ("uncertain", {"problem1": condition}),
            ("uncertain", {"problem1": condition}),
            ("uncertain", {"problem1": condition}),
            ("condition_present", {"problem1": other}),
            ("condition_absent", {"absent1": other}),
        ]
        return self._rng.choice(choices)

    def _relative(self) -> str:
        return self._rng.choice(self._lexicon.words["relatives"])

    def _premise(self, statement: Statement) -> str:
        kind, slots = statement
        return say(kind, slots, self._rng, self._lexicon, self._split)

    def _claim(self, test: str, status: Status, called: str) -> str:
        if called and self._rng.random() < 0.4:
            return self._has(called)
        return self._rng.choice(_TEST_STATUS[status]).format(other_name(self._rng, self._lexicon, "test", test))

    def _has(self, name: str) -> str:
        return self._fill(_HAS, name)

    def _has_not(self, name: str) -> str:
        return self._fill(_HAS_NOT, name)

    def _fill(self, templates: tuple[str, ...], name: str) -> str:
        return resolve_choices(self._rng, self._rng.choice(templates)).replace("{}", name)


def _a(noun: str) -> str:
    """The noun with its article; asked for groups of diseases and classes of drugs only."""
    is_vowel = noun[0].lower() in "aeio" or noun.startswith(_SPELLED_OUT)
    return f"{'an' if is_vowel else 'a'} {noun}"


_SPELLED_OUT = ("NSAID", "SSRI", "SNRI", "H2", "NMDA", "MAO", "MEK")
"""Abbreviations whose first letter is said with a vowel."""
