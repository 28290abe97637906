"""Who must not stand in the output: the rows of the roster of patients and of the list of staff.

Both are CSV files with a header; what a column holds follows from its name. The roster needs a patient column, the list
of staff none. What a column holds is decided apart from the detectors (`deid.roster`), so that a mistake there is none
here; only the reading of the file (`readers.people_file`) is shared.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from data_pipeline.files import sha256_file
from data_pipeline.readers.people_file import PeopleTable, open_people_table
from launch.errors import NotemillError

Role = Literal["patient", "staff"]
Field = Literal["given", "middle", "surname", "full", "date", "number", "phone", "place", "address", "login", "e-mail"]

_FIELDS: tuple[tuple[str, Field | None], ...] = (
    (r"sex|gender|race|ethnic|language|religion|marital|deceased|department|specialty|position|job|title", None),
    (r"e-?mail", "e-mail"),
    (r"user_?name|login|account_name", "login"),
    (r"hospital|employer|facility|city|town|zip|postal|county", "place"),
    (r"(?:first|given|fore|pre)_?name|^first$|^given$|nick", "given"),
    (r"middle", "middle"),
    (r"(?:last|family|sur|maiden|birth|married)_?name|^last$|^surname$", "surname"),
    (r"name|alias|kin|spouse|guardian|mother|father|contact_person", "full"),
    (r"phone|fax|pager|cell|mobile|tel(?:$|_)", "phone"),
    (r"dob|birth|date|dod|death", "date"),
    (r"address|street|url|web", "address"),
    (r"id$|^id|_no$|number|mrn|record|ssn|social|acc(?:oun)?t|csn|encounter|visit|hadm|licen[sc]e", "number"),
    (r"dea|npi|device", "number"),
    (r"serial|implant|policy|insurance|member|plate|vin|badge|passport|medicare|medicaid", "number"),
)  # fmt: skip


class PeopleEntry(TypedDict):
    """What the attestation says of a list of people; holds none of its values."""

    sha256: str
    people: int
    identifiers: int
    columns_used: list[str]
    columns_not_used: list[str]


@dataclass(frozen=True, slots=True)
class Person:
    """One row. `owner` is the patient's id, empty for staff."""

    role: Role
    owner: str
    values: tuple[tuple[Field, str], ...]


@dataclass(frozen=True)
class PeopleFile:
    """A list of people on disk, its columns understood."""

    table: PeopleTable
    role: Role
    patient_column: str | None
    fields: dict[str, Field]
    columns_not_used: list[str]

    def __iter__(self) -> Iterator[Person]:
        """Raises NotemillError where `PeopleTable.rows` does."""
        for row in self.table.rows():
            owner = row[self.patient_column] if self.patient_column else ""
            values = ((field, row[column]) for column, field in self.fields.items())
            yield Person(self.role, owner, tuple((field, value) for field, value in values if value))

    def entry(self, people: int, identifiers: int) -> PeopleEntry:
        """What the attestation says of this list; the counts are of rows, and of forms that are looked for."""
        return PeopleEntry(
            sha256=sha256_file(self.table.path),
            people=people,
            identifiers=identifiers,
            columns_used=list(self.fields),
            columns_not_used=self.columns_not_used,
        )


def open_people(path: Path, role: Role) -> PeopleFile:
    """Understand the header. Raises NotemillError when there is no such file or no column to look for."""
    what, option = ("roster", "--roster") if role == "patient" else ("list of staff", "--staff")
    table = open_people_table(path, what, option)
    patient_column = table.patient_column if role == "patient" else None
    if role == "patient" and patient_column is None:
        raise NotemillError(
            f"the roster {path} has no patient column (subject_id, patient_id, person_id); {table.told()}."
        )
    columns = [name for name in table.columns if name != patient_column]
    fields = {name: field for name in columns if (field := _field_of(name)) is not None}
    if not fields:
        raise NotemillError(f"the {what} {path} has no column of names or numbers that is understood; {table.told()}.")
    return PeopleFile(table, role, patient_column, fields, [name for name in columns if name not in fields])


def _field_of(column: str) -> Field | None:
    return next((field for words, field in _FIELDS if re.search(words, column)), None)
