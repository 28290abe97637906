"""The word tables of the generator, read once from the `.txt` and `.yaml` files beside this module.

A table row is `field | field | …`, a list inside a field is separated by `;`. A fifth of all terms is *held out*: the
task sets use those only in their test split, while the notes use all of them, so that a model can know a drug from
pretraining that fine-tuning never showed. Which terms these are depends on the term alone, not on the seed.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

HELD_OUT_ONE_IN = 5


@dataclass(frozen=True)
class Condition:
    name: str
    also: tuple[str, ...]
    kind: str
    """The group it belongs to, such as "lung disease"."""
    symptoms: tuple[str, ...]
    drugs: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    """Pairs of a test's name and "high" or "low"."""
    procedures: tuple[str, ...]
    site: str


@dataclass(frozen=True)
class Drug:
    name: str
    also: tuple[str, ...]
    drug_class: str
    strengths: tuple[str, ...]
    route: str
    frequencies: tuple[str, ...]


@dataclass(frozen=True)
class LabTest:
    name: str
    also: tuple[str, ...]
    unit: str
    low: float
    high: float
    decimals: int
    low_name: str
    """What a value below the range is called; empty when that has no name."""
    high_name: str


@dataclass(frozen=True)
class Study:
    """An imaging study with what it can show."""

    name: str
    also: tuple[str, ...]
    site: str
    findings: tuple[str, ...]
    normal: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    conditions: dict[str, Condition]
    drugs: dict[str, Drug]
    tests: dict[str, LabTest]
    studies: dict[str, Study]
    symptoms: dict[str, tuple[str, ...]]
    """Every symptom of a condition, with its other forms."""
    words: dict[str, Any]
    identities: dict[str, list[str]]

    @property
    def frequency_forms(self) -> dict[str, list[str]]:
        return self.words["frequency_forms"]


@functools.lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The whole lexicon; read on the first call, shared afterwards."""
    conditions = {row[0]: _condition(row) for row in _rows("conditions.txt", 8)}
    drugs = {
        name: Drug(name, _items(also), drug_class, _items(strengths), route, _items(frequencies))
        for name, also, drug_class, strengths, route, frequencies in _rows("drugs.txt", 6)
    }
    tests = {
        name: LabTest(name, _items(also), unit, float(low), float(high), int(decimals), low_name, high_name)
        for name, also, unit, low, high, decimals, low_name, high_name in _rows("tests.txt", 8)
    }
    studies = {
        name: Study(name, _items(also), site, _items(findings), _items(normal))
        for name, also, site, findings, normal in _rows("imaging.txt", 5)
    }
    symptoms: dict[str, tuple[str, ...]] = {
        symptom: () for condition in conditions.values() for symptom in condition.symptoms
    }
    symptoms |= {name: _items(also) for name, also in _rows("symptoms.txt", 2)}
    return Lexicon(
        conditions,
        drugs,
        tests,
        studies,
        symptoms,
        load_yaml("lexicon/words.yaml"),
        load_yaml("lexicon/identities.yaml"),
    )


@functools.cache
def is_held_out(term: str) -> bool:
    """Whether a term is kept for test splits; the same answer on every machine and for every seed."""
    return int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "big") % HELD_OUT_ONE_IN == 0


def load_yaml(name: str) -> Any:
    """A data file of this package, by its path inside `data_pipeline/invented`."""
    return yaml.safe_load((resources.files("data_pipeline.invented") / name).read_text(encoding="utf-8"))


def _condition(row: list[str]) -> Condition:
    name, also, kind, symptoms, drugs, tests, procedures, site = row
    directions = {"+": "high", "-": "low"}
    directed = tuple((test[:-1], directions[test[-1]]) for test in _items(tests))
    return Condition(name, _items(also), kind, _items(symptoms), _items(drugs), directed, _items(procedures), site)


def _rows(name: str, columns: int) -> Iterator[list[str]]:
    text = (resources.files("data_pipeline.invented") / "lexicon" / name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            row = [field.strip() for field in line.split("|")]
            assert len(row) == columns, f"{name}: {line}"
            yield row


def _items(field: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in field.split(";") if item.strip())
