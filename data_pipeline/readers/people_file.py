"""A list of people on disk, the roster of patients or the list of staff, as it was meant.

    Patient ID;First Name;DOB;MRN            patient_id  first_name  dob         mrn
    20000.0;Ann;03.02.1950;0012345     →     20000       Ann         03.02.1950  0012345

What a spreadsheet or a data frame did to a number is undone where that can be done (20000.0), and told where it cannot
(1.23E+09, whose digits are lost). No message quotes a value: the first line of a file without header is a person.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.notes import plain_id
from data_pipeline.readers.columns import told_columns
from data_pipeline.readers.tables import csv_header, csv_rows
from launch.errors import NotemillError

_NO_LETTERS = re.compile(r"[^\w]+|_+")
_PATIENT_COLUMNS = ("subject_id", "patient_id", "person_id", "pat_id", "subject", "patient", "person", "pt_id")
_KNOWN = re.compile(r"name|dob|birth|mrn|ssn|phone|e_?mail|address|(?:^|_)id$")
_LOST_DIGITS = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d{1,2}")


@dataclass(frozen=True)
class PeopleTable:
    """A header that was understood; `what` is the roster or the list of staff, for messages."""

    path: Path
    what: str
    columns: tuple[str, ...]

    def rows(self) -> Iterator[dict[str, str]]:
        """Values by column, without spaces around them.

        Raises NotemillError for a record that does not fit the header, a number that a spreadsheet rounded, and a list
        that holds nobody.
        """
        number = 1
        for number, row in enumerate(csv_rows(self.path), start=2):
            if row.values is None:
                raise NotemillError(
                    f"record {number} of the {self.what} {self.path} has another number of fields than its header."
                )
            values = dict(zip(self.columns, map(plain_id, row.values.values()), strict=True))
            for column, value in values.items():
                if value[:1].isdigit() and _LOST_DIGITS.fullmatch(value):
                    raise NotemillError(
                        f"record {number} of the {self.what} {self.path} has a rounded number such as 1.23E+09 in its "
                        f"column '{column}'; export that column as text."
                    )
            yield values
        if number == 1:
            raise NotemillError(f"the {self.what} {self.path} has a header and no row; fill it or leave it out.")

    def told(self) -> str:
        """The columns for a message, or only their number where the first line may be a person."""
        if not any(map(_KNOWN.search, self.columns)):
            return f"its first line has {len(self.columns)} columns, none of which is called as one of identifiers is"
        return told_columns(self.columns)

    @property
    def patient_column(self) -> str | None:
        """The column with the patient's id, by its usual names with or without the underscore."""
        plain = {name.replace("_", ""): name for name in reversed(self.columns)}
        return next((plain[name] for usual in _PATIENT_COLUMNS if (name := usual.replace("_", "")) in plain), None)


def open_people_table(path: Path, what: str, option: str) -> PeopleTable:
    """Read the header. Raises NotemillError for no such file, and a name that stands twice."""
    if not path.is_file():
        raise NotemillError(f"no {what} at {path}; check {option}.")
    found = csv_header(path)
    columns = tuple(_NO_LETTERS.sub("_", name).strip("_") or f"column_{n}" for n, name in enumerate(found, start=1))
    twin = next((number for number, name in enumerate(columns, start=1) if columns.index(name) + 1 < number), None)
    if twin is not None:
        raise NotemillError(
            f"columns {columns.index(columns[twin - 1]) + 1} and {twin} of the {what} {path} have one name; rename one."
        )
    return PeopleTable(path, what, columns)
