"""Looks for the identifiers of all patients and staff in a finished text.

What counts in every note goes into one Aho-Corasick automaton, so that the time does not depend on how many people
there are. What counts in a patient's own notes alone lies by patient: a few strings that are looked for one by one.

Three views of a text are searched: its normal form; words that a line break or spaced letters tore apart, put together
again; and runs of digits without the signs between them.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from data_pipeline.byte_patterns import compiled
from data_pipeline.gate.dates import find_dates
from data_pipeline.gate.normal import BARRIER, lower_by_letter, normal_form
from data_pipeline.gate.people import PeopleEntry, PeopleFile
from data_pipeline.gate.variants import Check, Variant, variants_of

CHECKS: tuple[Check, ...] = get_args(Check)
# The automaton's value for a key: its check in three bits, whether it needs capitals, its length.
_CHECK_MASK, _CAPITAL, _LENGTH_SHIFT = 7, 8, 4
_MAX_NUMBER_DIGITS = 16
_MIN_TORN_LETTERS = 5
_CONTEXT = 40
"""Characters on each side of a torn word that may hold the rest of a name."""

MIN_BROKEN_DIGITS = 9
"""Runs of shorter numbers, such as vital signs, make many seven-digit numbers: in others' notes those count whole."""
_WHOLE_GROUPS = ([6], [7], [8], [3, 4])

# For RE2, which is many times faster here; characters beyond Latin-1 count as letters.
_TORN = rb"[0-9A-Za-z\xc0-\xff?]-?\n[ \t]*[0-9A-Za-z\xc0-\xff?]"
_SPACED = rb"\b[A-Za-z](?:[ .][A-Za-z]){3,}\b"
_TORN_OR_SPACED = _TORN + b"|" + _SPACED
_DIGIT_RUN = rb"\d(?:[ ().\-/\n]{0,3}\d){5,}"
_GROUP = re.compile(rb"\d+")
_WORD = re.compile(r"[^\W_]+")
_WORD_END = re.compile(r"[^\W_]*\Z")


@dataclass(frozen=True, slots=True)
class _View:
    """A normal form and its lower case, position by position the same."""

    cased: str
    lowered: str


class People:
    """Identifiers of the roster and the list of staff, ready to be looked for."""

    def __init__(
        self, files: Iterable[PeopleFile], single_names: Literal["every", "own"], key_of: Callable[[str], str]
    ) -> None:
        """`key_of` maps a patient's id to the patient key of the output. Raises NotemillError for a broken record."""
        import ahocorasick

        self._automaton: Any = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        self._words: set[str] = set()
        self._numbers: dict[int, int] = {}
        self._own: dict[bytes, str] = {}
        self.entries: dict[str, PeopleEntry] = {}
        for file in files:
            people = identifiers = 0
            for person in file:
                people += 1
                own: set[str] = set()
                for variant in set(variants_of(person, single_names)):
                    identifiers += 1
                    self._add(variant, own)
                if own:
                    self._add_own(bytes.fromhex(key_of(person.owner)), own)
            self.entries[file.role] = file.entry(people, identifiers)
        self._has_keys = len(self._automaton) > 0
        if self._has_keys:
            self._automaton.make_automaton()

    def find(self, plain: str, patient_key: str) -> set[Check]:
        """What a `plain_letters` text without placeholders still holds, in a note of this patient."""
        view = _view(plain)
        own = self._own.get(bytes.fromhex(patient_key), "") if patient_key else ""
        data = plain.encode("latin-1", "replace")
        found = set(self._in_every_note(view)) | set(self._numbers_in(data, own))
        if own:
            found |= set(_own_words(own, view)) | set(_own_dates(own, plain))
        for match in compiled(_TORN_OR_SPACED).finditer(data):
            start, end = match.span()
            if b"\n" in match[0]:
                found |= self._torn(plain, start, end, own)
            else:
                found |= self._put_together(plain, (start, end), re.sub("[ .]", "", plain[start:end]), own, True)
        return found

    # ---- loading -----------------------------------------------------------------------------------------------------

    def _add(self, variant: Variant, own: set[str]) -> None:
        check = CHECKS.index(variant.check)
        if variant.scope.startswith("own"):
            if variant.digits:
                own.add(f"{check}{'@' if variant.check == 'patient date' else '#'}{variant.digits}")
            if variant.words:
                own.add(f"{check}{'^' if variant.scope == 'own capital' else '='}{variant.words}")
            return
        if variant.digits:
            self._numbers.setdefault(_as_key(variant.digits.encode()), check)
        if variant.words:
            key = f" {variant.words} "
            value = check | (_CAPITAL if variant.scope == "capital" else 0) | len(key) << _LENGTH_SHIFT
            # The same words may be one person's initials and another's name: what counts without capitals holds.
            there = self._automaton.get(key, None)
            if there is None or there & _CAPITAL > value & _CAPITAL:
                self._automaton.add_word(key, value)
            self._words.update(word for word in variant.words.split() if len(word) >= _MIN_TORN_LETTERS)

    def _add_own(self, owner: bytes, own: set[str]) -> None:
        """One string a patient, an item a line: check, mark (= words, ^ with a capital, # digits, @ date), value.

        A string and no objects: these are most of what every worker keeps of a long list.
        """
        there = self._own.get(owner)
        self._own[owner] = "\n".join(sorted(own | set(there.split("\n") if there else ())))

    # ---- looking -----------------------------------------------------------------------------------------------------

    def _in_every_note(self, view: _View) -> Iterator[Check]:
        if not self._has_keys:
            return
        for last, value in self._automaton.iter(view.lowered):
            if value & _CAPITAL:
                start = last - (value >> _LENGTH_SHIFT) + 1
                if not all(word[0].isupper() for word in view.cased[start:last].split()):
                    continue
            yield CHECKS[value & _CHECK_MASK]

    def _torn(self, plain: str, start: int, end: int, own: str) -> set[Check]:
        """Hits that need a word from both sides of the line break between `start` and `end`."""
        first = _WORD_END.search(plain, max(0, start - _CONTEXT), start + 1)
        second = _WORD.match(plain, end - 1)
        if first is None or second is None:
            return set()
        word = first[0] + second[0]
        glued = lower_by_letter(word)
        if glued not in self._words and glued not in own:
            return set()
        return self._put_together(plain, (first.start(), second.end()), word, own, is_sure=plain[start + 1] == "-")

    def _put_together(self, plain: str, span: tuple[int, int], word: str, own: str, is_sure: bool) -> set[Check]:
        """Hits that `word` makes with its neighbours; alone it counts only where it surely is one word.

        Without a hyphen "will" and "is" on two lines are not the name Willis.
        """
        before, after = plain[max(0, span[0] - _CONTEXT) : span[0]], plain[span[1] : span[1] + _CONTEXT]
        together, apart = _view(f"{before} {word} {after}"), _view(f"{before} {BARRIER} {after}")
        found = set(self._in_every_note(together)) - set(self._in_every_note(apart))
        if not is_sure:
            found -= set(self._in_every_note(_view(word)))
        return found | (set(_own_words(own, together)) - set(_own_words(own, apart)) if own else set())

    def _numbers_in(self, data: bytes, own: str) -> Iterator[Check]:
        own_numbers = _own_numbers(own) if "#" in own else {}
        if not self._numbers and not own_numbers:
            return
        for match in compiled(_DIGIT_RUN).finditer(data):
            groups = _GROUP.findall(match[0])
            for first in range(len(groups)):
                digits = b""
                for last, group in enumerate(groups[first:], start=first + 1):
                    digits += group
                    if len(digits) > _MAX_NUMBER_DIGITS:
                        break
                    check = own_numbers.get(digits)
                    if check is None and _is_whole(groups[first:last], len(digits)):
                        check = self._numbers.get(_as_key(digits))
                    if check is None and digits.startswith(b"0") and len(short := digits.lstrip(b"0")) > 5:
                        # Noughts before a number that the list has without them.
                        check = own_numbers.get(short)
                        if check is None and (first + 1 == last or len(short) >= MIN_BROKEN_DIGITS):
                            check = self._numbers.get(_as_key(short))
                    if check is not None:
                        yield CHECKS[check]


def _is_whole(groups: list[bytes], num_digits: int) -> bool:
    return num_digits >= MIN_BROKEN_DIGITS or [len(group) for group in groups] in _WHOLE_GROUPS


def _view(plain: str) -> _View:
    cased = normal_form(plain)
    return _View(cased, lower_by_letter(cased))


def _as_key(digits: bytes) -> int:
    """An integer that keeps leading zeros."""
    return int(b"1" + digits)


def _own_numbers(own: str) -> dict[bytes, int]:
    return {item[2:].encode(): int(item[0]) for item in own.split("\n") if item[1] == "#"}


def _own_words(own: str, view: _View) -> Iterator[Check]:
    for item in own.split("\n"):
        mark, key = item[1], f" {item[2:]} "
        if (mark == "=" and key in view.lowered) or (
            mark == "^" and any(view.cased[start + 1].isupper() for start in _starts(key, view.lowered))
        ):
            yield CHECKS[int(item[0])]


def _own_dates(own: str, plain: str) -> Iterator[Check]:
    births = [item for item in own.split("\n") if item[1] == "@"]
    if births:
        dates = list(find_dates(plain))
        for item in births:
            birth = datetime.date.fromisoformat(item[2:])
            if any(date.is_of(birth) for date in dates):
                yield CHECKS[int(item[0])]


def _starts(key: str, text: str) -> Iterator[int]:
    start = text.find(key)
    while start >= 0:
        yield start
        start = text.find(key, start + 1)
