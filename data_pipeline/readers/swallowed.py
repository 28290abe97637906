r"""Records that a quote which was never closed has swallowed.

    7,31,"Seen in clinic.\n          the quote that should close this note is missing
    8,32,Stable.\n                   this line and the next count as text of note 7
    9,33,"Home today."\n             until the next quote, behind which 'Home today."' is text as well

Such a record may have the right number of fields. It is found by two signs together: read strictly, it is no CSV (a
quote closes a field in the middle of a word), and one of its lines begins a record of its own: with as many fields as
the header, of which those that have one form in all records (numbers, dates, ids) have that form here too. Either alone
happens in notes: quotes that an export forgot to double, and tables that somebody pasted.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_MAX_FORMS = 3
"""A column with more forms than this among the records so far says nothing about where a record begins."""
_LEARNED_RECORDS = 2_000
_MIN_RECORDS = 3
_MAX_FORM_CHARS = 24
_CODE_CHARS, _MAX_CODE_CHARS = 16, 64
_CODE = re.compile(r"(?=[^a-zA-Z]*[a-zA-Z])(?=\D*\d)[0-9a-zA-Z-]+")
_RUNS = re.compile(r"\d+|[^\W\d_]+")


class Lines:
    """Lines of a file, of which those that were taken last can be put back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._put_back: list[str] = []
        self.taken: list[str] = []
        """Since it was last emptied."""
        self.ended = False
        """True once a line was asked for after the last."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._put_back.pop() if self._put_back else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        return line

    def put_back(self, first: int) -> None:
        """All that was taken from number `first` on is read again."""
        self._put_back += reversed(self.taken[first:])
        self.taken = []
        self.ended = False


class Forms:
    """What the records of one file look like, learned while they are read."""

    def __init__(self, width: int, dialect: dict[str, Any]) -> None:
        self.width, self._dialect = width, dialect
        self._forms: list[set[str]] = [set() for _ in range(width)]
        self._long_columns: set[int] = set()
        self._learned = 0

    def learn(self, record: Sequence[str]) -> None:
        """Take in a whole record of the right number of fields."""
        if self._learned >= _LEARNED_RECORDS:
            return
        self._learned += 1
        for column, (value, forms) in enumerate(zip(record, self._forms, strict=True)):
            if "\n" in value:
                self._long_columns.add(column)
            if len(forms) <= _MAX_FORMS:
                forms.add(_form(value))

    def swallowed_from(self, taken: Sequence[str], record: Sequence[str] | None) -> int | None:
        """Number of the line, of those that a record was made of, from which it is other records; None where it is not.

        `record` is None for one that the parser gave up.
        """
        if len(taken) < 2 or self._learned < _MIN_RECORDS:
            return None
        delimiter, fewest = self._dialect["delimiter"], min((self.width - 1, *self._long_columns))
        first = next(
            (n for n, line in enumerate(taken) if n and line.count(delimiter) >= fewest and self.begins_record(line)),
            None,
        )
        if first is None or (record is not None and len(record) == self.width and self._is_strict(taken)):
            return None
        return first

    def begins_record(self, line: str) -> bool:
        """Whether a line has the number of fields and the forms of a record, or of one up to its text."""
        # Most lines of a text are seen not to begin with an id before they are parsed.
        head = line[:_MAX_CODE_CHARS].partition(self._dialect["delimiter"])[0].strip('"')
        if self._is_telling(0) and _form(head) not in self._forms[0]:
            return False
        try:
            fields = next(csv.reader([line], **self._dialect), [])
        except csv.Error:
            return False
        if len(fields) != self.width and len(fields) - 1 not in self._long_columns:
            return False
        telling = [column for column in range(len(fields)) if self._is_telling(column)]
        return bool(telling) and all(_form(fields[column]) in self._forms[column] for column in telling)

    def _is_telling(self, column: int) -> bool:
        """One form or a few, each with a digit and without words: an id or a date."""
        forms = self._forms[column]
        is_code = column not in self._long_columns and len(forms) <= _MAX_FORMS
        return is_code and all("9" in form and "a " not in form and " a" not in form for form in forms)

    def _is_strict(self, taken: Sequence[str]) -> bool:
        try:
            list(csv.reader(taken, strict=True, **self._dialect))
        except csv.Error:
            return False
        return True


def _form(value: str) -> str:
    """ "2150-01-01" as 9-9-9, "10-DS-1" as 9-a-9, and a UUID by its length; of a text only the beginning."""
    value = value.strip()
    if _CODE_CHARS <= len(value) <= _MAX_CODE_CHARS and _CODE.fullmatch(value):
        return f"a9/{len(value)}"
    return _RUNS.sub(lambda run: "9" if run[0][0].isdigit() else "a", value[:200])[:_MAX_FORM_CHARS]
