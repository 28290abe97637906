"""The patients' own identifiers: found in notes by Aho-Corasick, and looked for again once they are replaced.

Text and identifiers are brought to one form: letters folded and lower-cased, every run of other characters one space.
"Kim, Andrew", "ANDREW\\n  KIM" and "(465) 555-9647" thus match however a note writes them, only as whole words, and a
match's words lead back to its offsets.

The roster is a CSV with a column for the patient's id and columns for identifiers, recognised by their header. Three
kinds of entry follow from it:
- full names, numbers, complete dates of birth, addresses: replaced wherever they stand;
- single names: replaced in every note or only in the patient's own (`deid.roster_names`). One that is also an ordinary
  word ("walker", "white") counts in other patients' notes only when it is written with a capital;
- what is no identifier without its owner (a birthday without a year, a two-letter name, a town): only in the own notes.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data_pipeline.byte_patterns import compiled
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import byte_view, plain_view
from data_pipeline.deid.words import MONTHS, ordinary_words
from data_pipeline.files import sha256_file
from data_pipeline.placeholders import PLACEHOLDER_PATTERN, PlaceholderClass
from data_pipeline.readers.people_file import open_people_table
from launch.errors import NotemillError

_WORD = re.compile(r"[0-9a-z]+")
# One step from a byte view to lower-case words and spaces; \xb5 and the like are no letters here.
_TO_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_NO_IDENTIFIER = re.compile(r"sex|gender|race|ethnic|language|religion|marital|deceased|^$")
_COLUMN_CLASSES: tuple[tuple[str, PlaceholderClass], ...] = (
    (r"e-?mail", "EMAIL"),
    (r"user_?name|login", "ID"),
    (r"hospital|employer|facility", "HOSPITAL"),
    (r"name|alias|initials", "NAME"),
    (r"dob|birth|date|dod|death", "DATE"),
    (r"phone|fax|pager|cell|mobile|tel", "PHONE"),
    (r"ssn|social", "SSN"),
    (r"mrn|medical_?record|record", "MRN"),
    (r"account|acct|csn|encounter|visit|hadm", "ACCOUNT"),
    (r"licen[sc]e|dea|npi", "LICENSE"),
    (r"device|serial|implant", "DEVICE"),
    (r"address|street|city|town|zip|postal|county", "LOCATION"),
    (r"url|web", "URL"),
    (r"id$|^id|_no$|number|policy|insurance|member|plate|vin", "ID"),
)
# Of "Lee III" only the Lee is looked for alone: "CN III" is a nerve.
_NAME_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "iv", "md", "dr", "mr", "mrs", "ms"])
_NUMBER_CLASSES = frozenset({"SSN", "MRN", "ACCOUNT", "LICENSE", "DEVICE", "ID", "PHONE"})
MIN_NAME_CHARS = 3
"""A shorter single name, such as Li or Do, is looked for only in its owner's notes, and with a capital."""
MIN_NUMBER_CHARS = 6
"""A shorter number is looked for only in its owner's notes: elsewhere it is a dose or a count."""
MIN_SQUEEZED_DIGITS = 7
"""`Roster.leaks` also finds a number of this many digits when other signs break it up."""

Scope = Literal["every", "capital", "own"]


@dataclass(slots=True)
class _Entry:
    cls: PlaceholderClass
    scope: Scope
    owners: set[str] = field(default_factory=set)
    """Patients whose identifier it is."""
    capital_only: bool = False
    """Even in its owner's notes it counts only with a capital."""


@dataclass(frozen=True)
class RosterSummary:
    """What the attestation says about the roster; holds no identifier."""

    sha256: str
    patients: int
    identifiers: int
    columns_used: tuple[str, ...]
    columns_not_used: tuple[str, ...]


class Roster:
    """An automaton over all identifiers of all patients."""

    def __init__(self, path: Path, single_names: Literal["every", "own"] = "every") -> None:
        """Read `path`. Raises NotemillError when it cannot be read, lacks a patient column or holds no identifier."""
        import ahocorasick

        self._single_names = single_names
        self._entries: dict[str, _Entry] = {}
        self._squeezed: dict[str, PlaceholderClass] = {}
        self._patients = self._load(path)
        if not self._entries:
            raise NotemillError(f"the roster {path} holds no identifier; fill its columns or build without --roster.")
        self.summary = RosterSummary(
            sha256_file(path), len(self._patients), len(self._entries), tuple(self._used), tuple(self._not_used)
        )
        self._automaton: Any = ahocorasick.Automaton()
        for key, entry in self._entries.items():
            self._automaton.add_word(f" {key} ", (len(key), entry))
        self._automaton.make_automaton()

    def find(self, plain: str, patient_id: str) -> list[PhiSpan]:
        """Identifiers in a view of `deid.view.plain_view` of a note of this patient; spans may overlap."""
        words = byte_view(plain).translate(_TO_WORDS)
        hits = list(self._automaton.iter(f" {b' '.join(words.split()).decode('latin-1')} "))
        if not hits:
            return []
        starts, ends, normal_starts = _word_bounds(words)
        spans = []
        for last, (length, entry) in hits:
            # `last` is the space behind the key, so the key's last character is one before it.
            first_word = int(np.searchsorted(normal_starts, last - length, side="right")) - 1
            last_word = int(np.searchsorted(normal_starts, last - 1, side="right")) - 1
            start, end = int(starts[first_word]), int(ends[last_word])
            if _counts(entry, patient_id, plain[start:end]):
                spans.append(PhiSpan(start, end, entry.cls))
        return spans

    def knows(self, word: str) -> bool:
        """Whether a lower-case word is somebody's identifier, or a part of one."""
        return word in self._words

    def has_patient(self, patient_id: str) -> bool:
        """Whether the roster has a row of this patient; without one nothing is known of what counts in own notes."""
        return patient_id in self._patients

    @functools.cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for key in self._entries for word in key.split())

    def leaks(self, text: str, patient_id: str) -> bool:
        """Whether a finished text still holds an identifier; also finds numbers broken up by other signs."""
        # A placeholder's own letters are no leak, and what stands on its two sides does not belong together.
        rest = plain_view(PLACEHOLDER_PATTERN.sub("\n|0x|\n", text))
        if self.find(rest, patient_id):
            return True
        return any(re.sub(r"\D", "", run) in self._squeezed for run in _digit_runs(rest))

    # ---- loading -----------------------------------------------------------------------------------------------------

    def _load(self, path: Path) -> frozenset[str]:
        table = open_people_table(path, "roster", "--roster")
        header, patient_column = table.columns, table.patient_column
        if patient_column is None:
            raise NotemillError(
                f"the roster {path} has no patient column (subject_id, patient_id, person_id); {table.told()}."
            )
        classes = {name: cls for name in header if name != patient_column and (cls := _class_of_column(name))}
        self._used = list(classes)
        self._not_used = [name for name in header if name not in classes and name != patient_column]
        patients = set()
        for row in table.rows():
            patient = row[patient_column]
            patients.add(patient)
            self._add_patient(patient, row, classes)
        return frozenset(patients)

    def _add_patient(self, patient: str, values: dict[str, str], classes: dict[str, PlaceholderClass]) -> None:
        names = {column: values[column] for column, cls in classes.items() if cls == "NAME" and values[column].strip()}
        self._add_names(patient, names)
        for column, cls in classes.items():
            value = values[column].strip()
            if not value or cls == "NAME":
                continue
            if cls == "DATE":
                self._add_date(patient, value)
            elif cls in _NUMBER_CLASSES:
                self._add_number(patient, value, cls)
            elif re.search(r"city|town|zip|postal|county|hospital|employer|facility", column):
                self._add(value, cls, "own", patient)
            else:
                self._add(value, cls, "every", patient)
                # An address is also known by its street alone.
                street = value.split(",")[0]
                if cls == "LOCATION" and street != value and re.search(r"\d", street):
                    self._add(street, cls, "every", patient)
        if len(patient) >= MIN_NUMBER_CHARS - 1:
            self._add(patient, "ID", "own", patient)

    def _add_names(self, patient: str, names: dict[str, str]) -> None:
        first = next((value for column, value in names.items() if re.search(r"first|given|fore", column)), "")
        last = next((value for column, value in names.items() if re.search(r"last|family|sur", column)), "")
        if first and last:
            self._add(f"{first} {last}", "NAME", "every", patient)
            self._add(f"{last} {first}", "NAME", "every", patient)
        for value in names.values():
            # A value of several words is a full name; each of its words is a single one.
            words = re.findall(r"[0-9a-z'-]+", _fold(value))
            if len(words) > 1:
                self._add(value, "NAME", "every", patient)
            for word in {part for whole in words for part in (whole, *whole.split("-"))}:
                self._add_single_name(patient, word)

    def _add_single_name(self, patient: str, word: str) -> None:
        letters = re.sub(r"[^a-z]", "", word)
        if len(letters) < 2 or letters in _NAME_SUFFIXES:
            return
        if len(letters) < MIN_NAME_CHARS:
            self._add(word, "NAME", "own", patient, capital_only=True)
        elif self._single_names == "own":
            self._add(word, "NAME", "own", patient)
        else:
            self._add(word, "NAME", "capital" if letters in ordinary_words() else "every", patient)

    def _add_date(self, patient: str, value: str) -> None:
        whole = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T].*)?", value)
        american = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: .*)?", value)
        if whole:
            year, month, day = (int(part) for part in whole.groups())
        elif american:
            month, day, year = (int(part) for part in american.groups())
        else:
            self._add(
                value, "DATE", "every" if re.search(r"\d.*\d.*\d{2}$", value) and len(value) > 7 else "own", patient
            )
            return
        if not 1 <= month <= 12:
            self._add(value, "DATE", "own", patient)
            return
        name = MONTHS[month - 1]
        forms = {f"{year}-{month:02}-{day:02}", f"{year}-{month}-{day}", f"{year}{month:02}{day:02}"}
        forms |= {
            f"{m}/{d}/{y}"
            for m in (f"{month}", f"{month:02}")
            for d in (f"{day}", f"{day:02}")
            for y in (f"{year}", f"{year % 100:02}")
        }
        forms |= {f"{m} {d} {year}" for m in (name, name[:3]) for d in (f"{day}", f"{day:02}")}
        forms |= {f"{d} {m} {year}" for m in (name, name[:3]) for d in (f"{day}", f"{day:02}")}
        for form in forms:
            self._add(form, "DATE", "every", patient)

    def _add_number(self, patient: str, value: str, cls: PlaceholderClass) -> None:
        squeezed = re.sub(r"[^0-9a-z]", "", _fold(value))
        scope: Scope = "every" if len(squeezed) >= MIN_NUMBER_CHARS else "own"
        self._add(value, cls, scope, patient)
        self._add(squeezed, cls, scope, patient)
        if squeezed.isdigit() and len(short := squeezed.lstrip("0")) >= MIN_NUMBER_CHARS:
            # A spreadsheet drops leading zeros, and so do people.
            self._add(short, cls, scope, patient)
        if squeezed.isdigit() and len(squeezed) >= MIN_SQUEEZED_DIGITS:
            self._squeezed[squeezed] = cls
            if cls == "PHONE" and len(squeezed) == 11 and squeezed[0] == "1":
                self._squeezed[squeezed[1:]] = cls

    def _add(self, value: str, cls: PlaceholderClass, scope: Scope, patient: str, capital_only: bool = False) -> None:
        key = " ".join(_WORD.findall(_fold(value)))
        if len(key) < 2:
            return
        entry = self._entries.setdefault(key, _Entry(cls, scope, capital_only=capital_only))
        entry.owners.add(patient)
        # The same string may be one patient's town and another's surname: the wider scope holds.
        if _WIDTH[scope] > _WIDTH[entry.scope]:
            entry.cls, entry.scope = cls, scope
        entry.capital_only = entry.capital_only and capital_only


_WIDTH: dict[Scope, int] = {"own": 0, "capital": 1, "every": 2}
_DIGIT_RUN = rb"\d(?:[ ().\-/\n]{0,3}\d){6,14}"


def _digit_runs(plain: str) -> Iterator[str]:
    """Numbers of seven digits or more, with what stands between their digits; no part of a longer word."""
    for match in compiled(_DIGIT_RUN).finditer(byte_view(plain)):
        start, end = match.span()
        if not plain[max(0, start - 1) : start].isalnum() and not plain[end : end + 1].isalnum():
            yield plain[start:end]


def _counts(entry: _Entry, patient_id: str, found: str) -> bool:
    own = patient_id in entry.owners
    if entry.scope == "own":
        return own and (not entry.capital_only or found[0].isupper())
    return own or entry.scope == "every" or found[0].isupper()


def _word_bounds(words: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Starts and ends of the words in the text, and their starts in the normal form."""
    is_letter = np.concatenate(([False], np.frombuffer(words, np.uint8) != ord(" "), [False]))
    (edges,) = np.nonzero(is_letter[1:] != is_letter[:-1])
    starts, ends = edges[::2], edges[1::2]
    # The normal form opens with a space and has one between words.
    lengths_with_space = ends - starts + 1
    return starts, ends, np.cumsum(lengths_with_space) - lengths_with_space + 1


def _fold(value: str) -> str:
    return plain_view(value).lower()


def _class_of_column(name: str) -> PlaceholderClass | None:
    if _NO_IDENTIFIER.search(name):
        return None
    return next((cls for words, cls in _COLUMN_CLASSES if re.search(words, name)), None)
