"""Invented patients as facts, before any sentence is written.

A patient has conditions; drugs, test results, symptoms, studies and procedures follow from them. That is what lets
masked language modelling on the notes learn that metformin goes with diabetes, and lets the tasks ask for it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from data_pipeline.invented.lexicon import Condition, LabTest, Lexicon, is_held_out
from data_pipeline.invented.templates import Split

ItemT = TypeVar("ItemT")
Status = Literal["low", "normal", "high"]


@dataclass(frozen=True)
class Prescription:
    drug: str
    dose: str
    route: str
    frequency: str
    reason: str
    """The condition that the drug is for."""


@dataclass(frozen=True)
class Result:
    test: str
    value: str
    """With its unit, as written."""
    status: Status
    shown: str
    """What the status is called, or an empty string."""


@dataclass(frozen=True)
class StudyResult:
    study: str
    finding: str
    absent: str
    """An abnormality of the same study that was not there."""


@dataclass(frozen=True)
class Procedure:
    name: str
    condition: str


@dataclass(frozen=True)
class Complaint:
    what: str
    site: str


@dataclass(frozen=True)
class Reaction:
    drug: str
    reaction: str


@dataclass(frozen=True)
class FamilyMember:
    relative: str
    condition: str


@dataclass(frozen=True)
class Facts:
    """What is true of one patient."""

    is_female: bool
    age: int
    conditions: tuple[Condition, ...]
    """The first is why the patient is seen."""
    prescriptions: tuple[Prescription, ...]
    results: tuple[Result, ...]
    studies: tuple[StudyResult, ...]
    procedures: tuple[Procedure, ...]
    complaints: tuple[Complaint, ...]
    reactions: tuple[Reaction, ...]
    symptoms: tuple[str, ...]
    absent_symptoms: tuple[str, ...]
    absent_conditions: tuple[str, ...]
    family: tuple[FamilyMember, ...]

    def prescriptions_for(self, condition: str) -> tuple[Prescription, ...]:
        return tuple(p for p in self.prescriptions if p.reason == condition)


_ONLY_WOMEN = {"ovarian cancer", "uterine fibroids", "endometriosis", "preeclampsia"}
_ONLY_MEN = {"benign prostatic hyperplasia", "prostate cancer"}


def invent_facts(rng: random.Random, lexicon: Lexicon, split: Split | None = None) -> Facts:
    """A coherent patient; "train" and "dev" show no held-out term, in "test" the first condition often is one."""
    may_use = _usable(split)
    is_female = rng.random() < 0.5
    barred = _ONLY_MEN if is_female else _ONLY_WOMEN
    pool = [c for c in lexicon.conditions.values() if c.name not in barred and may_use(c.name)]
    # Ages above 89 identify, so there are more of them here than in a hospital.
    draw = rng.random()
    age = rng.randint(24, 40) if draw < 0.15 else rng.randint(90, 101) if draw > 0.93 else round(rng.gauss(66, 12))
    age = min(101, max(24, age))
    conditions = _choose_conditions(rng, pool, split)
    prescriptions = _prescribe(rng, lexicon, conditions, may_use)
    symptoms = [s for c in conditions for s in sample(rng, [s for s in c.symptoms if may_use(s)], 3)]
    others = [s for s in lexicon.symptoms if s not in {x for c in conditions for x in c.symptoms} and may_use(s)]
    taken = {p.drug for p in prescriptions}
    return Facts(
        is_female=is_female,
        age=age,
        conditions=tuple(conditions),
        prescriptions=tuple(prescriptions),
        results=tuple(_measure_all(rng, lexicon, conditions, may_use)),
        studies=tuple(_image(rng, lexicon, conditions, may_use)),
        procedures=tuple(
            Procedure(name, c.name)
            for c in conditions
            for name in sample(rng, [p for p in c.procedures if may_use(p)], 2)
        ),
        complaints=tuple(
            Complaint(what, site)
            for what, site in zip(
                sample(rng, lexicon.words["site_complaints"], 4), sample(rng, lexicon.words["anatomy"], 4), strict=True
            )
        ),
        reactions=tuple(
            Reaction(drug, rng.choice(lexicon.words["adverse_reactions"]))
            for drug in sample(rng, [d for d in lexicon.drugs if d not in taken and may_use(d)], 3)
        ),
        symptoms=tuple(dict.fromkeys(symptoms)),
        absent_symptoms=tuple(sample(rng, others, 8)),
        absent_conditions=tuple(sample(rng, [c.name for c in pool if c not in conditions], 6)),
        family=tuple(
            FamilyMember(relative, c.name)
            for relative, c in zip(
                sample(rng, lexicon.words["relatives"], 3),
                sample(rng, [c for c in pool if c not in conditions], 3),
                strict=True,
            )
        ),
    )


def invent_result(rng: random.Random, test: LabTest, status: Status) -> Result:
    """A value of `test` that is low, normal or high."""
    low, high = test.low, test.high
    if status == "high":
        value = high * rng.uniform(1.15, 1.9) if high < 90 or test.unit != "mEq/L" else high * rng.uniform(1.03, 1.1)
    elif status == "low":
        value = low * (rng.uniform(0.85, 0.97) if test.unit in {"mEq/L", "%", "mmHg", "fL"} else rng.uniform(0.3, 0.9))
    else:
        margin = (high - low) * 0.1
        value = rng.uniform(low + margin, high - margin)
    step = 10**-test.decimals
    # Rounding must not carry a value over the edge of the range it was drawn for.
    value = max(value, high + step) if status == "high" else min(value, low - step) if status == "low" else value
    written = f"{max(value, 0.0):.{test.decimals}f}"
    unit = test.unit if test.unit.startswith(("%", "/")) or not test.unit else f" {test.unit}"
    shown = {"high": test.high_name, "low": test.low_name, "normal": ""}[status]
    return Result(test.name, f"{written}{unit}", status, shown)


def sample(rng: random.Random, items: Sequence[ItemT], at_most: int) -> list[ItemT]:
    """Up to `at_most` different items in random order."""
    return rng.sample(items, min(at_most, len(items)))


def _usable(split: Split | None) -> Callable[[str], bool]:
    if split in ("train", "dev"):
        return lambda term: not is_held_out(term)
    return lambda term: True


def _choose_conditions(rng: random.Random, pool: list[Condition], split: Split | None) -> list[Condition]:
    first_pool = [c for c in pool if is_held_out(c.name)] if split == "test" and rng.random() < 0.5 else pool
    chosen = [rng.choice(first_pool)]
    wanted = rng.randint(3, 5)
    while len(chosen) < wanted:
        # Half of what else a patient has is of the same kind: comorbidities cluster.
        same_kind = [c for c in pool if c.kind == chosen[0].kind and c not in chosen]
        chosen.append(
            rng.choice(same_kind if same_kind and rng.random() < 0.4 else [c for c in pool if c not in chosen])
        )
    return chosen


def _prescribe(
    rng: random.Random, lexicon: Lexicon, conditions: list[Condition], may_use: Callable[[str], bool]
) -> list[Prescription]:
    prescriptions: dict[str, Prescription] = {}
    for condition in conditions:
        for name in sample(rng, [d for d in condition.drugs if may_use(d)], 2):
            drug = lexicon.drugs[name]
            dose, frequency = rng.choice(drug.strengths), rng.choice(drug.frequencies)
            prescriptions.setdefault(name, Prescription(name, dose, drug.route, frequency, condition.name))
    return list(prescriptions.values())


def _measure_all(
    rng: random.Random, lexicon: Lexicon, conditions: list[Condition], may_use: Callable[[str], bool]
) -> list[Result]:
    results: dict[str, Result] = {}
    for condition in conditions:
        for name, direction in condition.tests:
            if may_use(name):
                status: Status = "normal" if rng.random() < 0.2 else "high" if direction == "high" else "low"
                results.setdefault(name, invent_result(rng, lexicon.tests[name], status))
    for name in sample(rng, [t for t in lexicon.tests if t not in results and may_use(t)], 3):
        results[name] = invent_result(rng, lexicon.tests[name], "normal")
    return list(results.values())


def _image(
    rng: random.Random, lexicon: Lexicon, conditions: list[Condition], may_use: Callable[[str], bool]
) -> list[StudyResult]:
    sites = " ".join(c.site for c in conditions)
    usable = [s for s in lexicon.studies.values() if may_use(s.name)]
    fitting = [s for s in usable if s.site in sites] or usable
    chosen = dict.fromkeys([rng.choice(fitting), *sample(rng, usable, 2)])
    return [StudyResult(study.name, *rng.sample(study.findings, 2)) for study in chosen]
