"""Reads a finished note again, as if nothing had been done to it before.

It sees the columns that will be written and the lists of people, and none of the detectors' spans. What it finds holds
the note back. Before a build begins, it has to find identifiers that are planted in every manner of writing: a verifier
that is blind stops the build.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypedDict

from data_pipeline.gate.lookup import CHECKS, People
from data_pipeline.gate.normal import BARRIER, key_form, plain_letters, without_placeholders
from data_pipeline.gate.people import Person, open_people
from data_pipeline.gate.shapes import SHAPES, find_shapes
from data_pipeline.patients import patient_key
from launch.errors import NotemillError

VERIFIER_VERSION = 2
"""Changes with every change of what is found; it is part of a corpus' identity."""
MAX_PLANTED_PEOPLE = 200
_PLANTED_SHAPES = (
    "SSN 290-81-0033.", "call (465) 555-9647", "465-555-9647", "pager 555-9647", "write to a.hill@example.org",
    "see www.example.org/a", "from 10.20.30.40", "MRN: 7893287", "number 7893287 on file", "born 2/3/1950",
    "on Feb 3, 1950", "on 3 February 1950", "on 12Mar19", "since 1950-02-03", "a 93-year-old", "at 4164 Elm Court",
    "seen by Dr. Hill",
)  # fmt: skip


class SelfTest(TypedDict):
    """How many identifiers were planted before the build, and how many the verifier found."""

    planted: int
    found: int


class Verifier:
    """What counts as a leak, for one corpus."""

    def __init__(
        self,
        roster: Path | None,
        staff: Path | None,
        single_names: Literal["every", "own"],
        look_for_shapes: bool,
        key_of: Callable[[str], str],
    ) -> None:
        """Read the lists of people. Raises NotemillError where one cannot be read or its columns are not understood."""
        self._files = [open_people(path, role) for path, role in _given(roster, staff)]
        self._people = People(self._files, single_names, key_of) if self._files else None
        self._look_for_shapes = look_for_shapes
        self._key_of = key_of
        self.single_names = single_names
        self.entries = self._people.entries if self._people else {}

    @property
    def knows_people(self) -> bool:
        """Whether there is any list of people."""
        return self._people is not None

    def check(self, columns: Mapping[str, str]) -> set[str]:
        """Names of the checks that the note fails; empty for a note that may pass."""
        # The type of a note is free text in some sources. Ids and sources are the hospital's own: a long number there
        # is no telephone, but it may be a patient's.
        free_text = f"{columns['text']} {BARRIER} {columns['note_type']}"
        return self.check_text(free_text, columns["patient_key"], f"{columns['note_id']} {BARRIER} {columns['source']}")

    def check_text(self, text: str, patient: str, ids: str = "") -> set[str]:
        """The same for a text, and for ids in which only people are looked for."""
        plain = plain_letters(without_placeholders(text))
        found: set[str] = set(find_shapes(plain)) if self._look_for_shapes else set()
        if self._people:
            found |= self._people.find(f"{plain} {BARRIER} {plain_letters(ids)}" if ids else plain, patient)
        return found

    def check_id(self, value: str, patient: str) -> set[str]:
        """Which people's identifiers a note's id holds, in a note of this patient (by patient key)."""
        return set(self._people.find(plain_letters(value), patient)) if self._people else set()

    def checks(self) -> list[str]:
        """Everything that is looked for."""
        people = [check for check in CHECKS if check.split()[0] in self.entries]
        return [*people, *(SHAPES if self._look_for_shapes else ())]

    def self_test(self) -> SelfTest:
        """Plant identifiers in carrier sentences. Raises NotemillError when one is not found."""
        planted = found = 0
        missed: list[str] = []
        for manner, text, patient in self._plants():
            planted += 1
            if self.check_text(text, patient):
                found += 1
            else:
                missed.append(manner)
        if missed:
            raise NotemillError(
                f"the gate did not find {len(missed)} of {planted} identifiers that were planted to try it (as "
                f"{', '.join(sorted(set(missed)))}); nothing may be released: check the columns of the roster."
            )
        return SelfTest(planted=planted, found=found)

    def _plants(self) -> Iterator[tuple[str, str, str]]:
        """Manner of writing, carrier sentence, patient key."""
        if self._look_for_shapes:
            yield from (("a shape", f"Note: {plant} today.", "") for plant in _PLANTED_SHAPES)
        for file in self._files:
            chosen = sorted(file, key=lambda person: hashlib.blake2b(repr(person).encode()).digest())
            for person in chosen[:MAX_PLANTED_PEOPLE]:
                owner = self._key_of(person.owner) if person.owner else ""
                for manner, plant in _manners(person):
                    yield f"{person.role} {manner}", f"Spoke with {plant} about this.", owner


def _given(roster: Path | None, staff: Path | None) -> Iterator[tuple[Path, Literal["patient", "staff"]]]:
    if roster is not None:
        yield roster, "patient"
    if staff is not None:
        yield staff, "staff"


def _manners(person: Person) -> Iterator[tuple[str, str]]:
    """The same identifiers as a note may write them."""
    value = dict(reversed(person.values))
    given, surname = value.get("given", ""), value.get("surname", "")
    if _is_name(given) and _is_name(surname):
        yield "full name", f"{given} {surname}"
        yield "surname first", f"{surname}, {given}"
        yield "name in capitals", f"{given} {surname}".upper()
        yield "name with doubled spaces", f"{given}   {surname}"
        yield "name over two lines", f"{given}\n{surname}"
        if len(surname) >= 6 and surname.isascii() and surname.isalpha():
            yield "name hyphenated over two lines", f"{given} {surname[:3]}-\n{surname[3:]}"
    for field in ("number", "phone"):
        digits = value.get(field, "")
        if len(digits) >= 9 and digits.isdigit():
            yield "number broken up", f"{digits[:3]} {digits[3:6]}-\n{digits[6:]}"
        if sum(char.isdigit() for char in digits) >= 7:
            yield "number", digits


def _is_name(value: str) -> bool:
    return len(key_form(value).replace(" ", "")) >= 3 and value.replace(" ", "").isalpha()


@functools.lru_cache(maxsize=1)
def verifier_for(
    roster: Path | None,
    staff: Path | None,
    single_names: Literal["every", "own"],
    look_for_shapes: bool,
    hmac_key: bytes,
) -> Verifier:
    """Built once a process; a large roster takes a while."""
    return Verifier(roster, staff, single_names, look_for_shapes, functools.partial(patient_key, hmac_key))
