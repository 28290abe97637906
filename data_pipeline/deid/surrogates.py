"""Invented values in the place of identifiers, the same for the same value of one patient in the whole corpus.

Everything follows from HMACs of the patient and the value with the corpus' key, so it depends on no order and no state,
and nobody without the key can go back. Words of a name are replaced one by one: "Kim, Andrew", "ANDREW KIM" and
"Mr. Kim" stay one person, and "A. Kim" too, because a name's first letter alone decides that of its surrogate. Dates
move by a number of days that is the patient's own. Numbers keep their shape; telephones are in the 555 exchange, mail
at example.org, and social security numbers begin with 000.

A surrogate is never a name that `avoid` knows, so that a verifier that looks for real people finds none.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterator

from data_pipeline.deid.date_shift import shift_date, year_of
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import (
    NOT_A_NAME,
    Known,
    census_given_names,
    census_surnames,
    given_names,
    known_words,
    word_set,
)
from data_pipeline.patients import keyed_number
from data_pipeline.placeholders import placeholder

MAX_SHIFT_DAYS = 364
_OLDEST_AGE = 89
_DEFAULT_YEAR = 2001
"""The year in which a day without one moves, where the note names no year; not a leap year."""
_SURNAMES, _GIVEN = 4_000, 1_200
_MIN_NAMES_OF_LETTER = 12
_TRIES = 40
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_KEPT_IN_NAMES = word_set("jr sr ii iii iv md do rn np phd dr mr mrs ms miss prof and of the de la del van von")
_KEPT_IN_PLACES = word_set(
    "street st avenue ave road rd boulevard blvd lane ln drive dr court ct way place pl circle cir terrace ter "
    "parkway pkwy highway hwy square trail pike turnpike route alley crescent apt apartment suite ste unit box po "
    "p o north south east west n s e w ne nw se sw the of and at in near county city town township"
)
_KEPT_IN_HOSPITALS = word_set(
    "hospital hospitals medical center centre clinic clinics health system healthcare infirmary nursing home "
    "facility hospice cancer institute heart surgery surgical school medicine family practice associates group "
    "pharmacy university care rehabilitation rehab general regional memorial community county of and the for at "
    "st saint children's women's department elementary church manor"
)
_STATES = re.compile(
    r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]"
    r"|W[AIVY])\b"
    r"(?=(?:,? \d{5}|$))"
)

Avoid = Callable[[str], bool]
"""Whether a lower-case word belongs to somebody real."""


class Surrogates:
    """Surrogates for the notes of one patient."""

    def __init__(self, key: bytes, patient_id: str, avoid: Avoid = lambda word: False) -> None:
        self._key, self._patient, self._avoid = key, patient_id, avoid
        number = self._number("shift", "")
        self.shift_days = (1 if number & 1 else -1) * (1 + (number >> 1) % MAX_SHIFT_DAYS)

    def replace(self, text: str, spans: list[PhiSpan]) -> str:
        """`text` with a surrogate for each span of a `union`."""
        years = [year for span in spans if span.cls == "DATE" and (year := year_of(text[span.start : span.end]))]
        latest = max((year for year in years if year < 2200), default=0)
        parts: list[str] = []
        position = 0
        for span in spans:
            parts += (text[position : span.start], self._surrogate(text[span.start : span.end], span, latest))
            position = span.end
        return "".join([*parts, text[position:]])

    def _surrogate(self, value: str, span: PhiSpan, latest_year: int) -> str:
        if value.startswith("[**"):
            return placeholder(span.cls)
        match span.cls:
            case "NAME":
                return self._words(value, _KEPT_IN_NAMES)
            case "DATE":
                return self._date(value, latest_year)
            case "AGE":
                return "90" if any(char.isdigit() for char in value) else "ninety"
            case "LOCATION":
                state = _STATES.search(value)
                kept = _KEPT_IN_PLACES | ({state[0].lower()} if state else frozenset())
                return self._signs(self._words(value, kept), value, letters=False)
            case "HOSPITAL":
                return self._words(value, _KEPT_IN_HOSPITALS)
            case "PHONE":
                return self._phone(value)
            case "EMAIL":
                return f"{self._hex('mail', value)}@example.org"
            case "URL":
                return f"www.example.org/{self._hex('url', value)}"
            case "IP":
                return f"192.0.2.{self._number('ip', value) % 254 + 1}"
            case "SSN":
                signs = self._signs(value, value, letters=False)
                return _with_digits(signs, "000" + _digits(signs)[3:]) if len(_digits(value)) == 9 else signs
            case _:
                return self._signs(value, value, letters=True)

    def _date(self, value: str, latest_year: int) -> str:
        year = year_of(value)
        # The year in which somebody over 89 was born tells the age that had to go.
        if year is not None and latest_year - year > _OLDEST_AGE:
            return placeholder("DATE")
        return shift_date(value, self.shift_days, latest_year or _DEFAULT_YEAR) or placeholder("DATE")

    def _words(self, value: str, kept: frozenset[str]) -> str:
        return _WORD.sub(lambda match: match[0] if match[0].lower() in kept else self._name(match[0]), value)

    def _name(self, word: str) -> str:
        possessive = "'s" if word.endswith("'s") else ""
        word = word.removesuffix("'s")
        initial = self._initial(_folded(word)[:1] or "a")
        if len(word) == 1:
            return (initial.upper() if word.isupper() else initial) + possessive
        is_given = bool(known_words().get(_folded(word), 0) & Known.GIVEN)
        names = _names_by_letter(is_given)[initial]
        number = self._number("name", _folded(word))
        chosen = next(
            (name for name in _candidates(names, initial, number) if name != _folded(word) and not self._avoid(name)),
        )
        if word.isupper():
            return chosen.upper() + possessive
        return (chosen.capitalize() if word[0].isupper() else chosen) + possessive

    def _initial(self, letter: str) -> str:
        letters = [other for other in sorted(_names_by_letter(True)) if other != letter]
        return letters[self._number("initial", letter) % len(letters)]

    def _phone(self, value: str) -> str:
        signs = self._signs(value, value, letters=False)
        digits = _digits(signs)
        if len(digits) >= 7:
            tail = 10 if len(digits) >= 10 else 7
            at = len(digits) - tail + (3 if tail == 10 else 0)
            digits = digits[:at] + "555" + digits[at + 3 :]
        return _with_digits(signs, digits)

    def _signs(self, written: str, value: str, letters: bool) -> str:
        """Figures (and letters) of `written` exchanged for others, each by its place, the same for the same `value`."""
        squeezed = re.sub(r"[^0-9a-z]", "", value.lower())
        for attempt in range(_TRIES):
            number = self._number(f"signs{attempt}", squeezed)
            out = []
            for char in written:
                if char.isdigit():
                    number, figure = divmod(number, 10)
                    out.append(str(figure))
                elif letters and char.isascii() and char.isalpha():
                    number, index = divmod(number, 26)
                    out.append(chr((65 if char.isupper() else 97) + index))
                else:
                    out.append(char)
                if number < 1 << 32:
                    number += self._number(f"signs{attempt}/{len(out)}", squeezed)
            result = "".join(out)
            if result != written or not any(char.isalnum() for char in written):
                return result
        return written

    def _hex(self, purpose: str, value: str) -> str:
        return f"{self._number(purpose, value.lower()) % 16**8:08x}"

    def _number(self, purpose: str, value: str) -> int:
        return keyed_number(self._key, f"surrogate/{purpose}", f"{self._patient}\0{value}")


def _candidates(names: tuple[str, ...], initial: str, number: int) -> Iterator[str]:
    """Names from the list, then invented ones without end, for a roster that holds all that people have."""
    for attempt in range(min(_TRIES, len(names))):
        yield names[(number + attempt) % len(names)]
    for attempt in itertools.count():
        yield _invented(initial, number + attempt, syllables=3 + attempt % 5)


def _invented(initial: str, number: int, syllables: int) -> str:
    word = initial
    for _ in range(syllables):
        number, consonant = divmod(number, 15)
        number, vowel = divmod(number, 5)
        word += (
            "bdfgklmnprstvwz"[consonant] + "aeiou"[vowel]
            if word[-1] in "aeiou"
            else "aeiou"[vowel] + "lmnrs"[consonant % 5]
        )
    return word


@functools.cache
def _names_by_letter(given: bool) -> dict[str, tuple[str, ...]]:
    """Letter → names that are no ordinary word, sorted; the same letters for given names and surnames."""
    lists = [
        {name for name, rank in census_surnames().items() if rank <= _SURNAMES},
        {name for name, rank in census_given_names().items() if rank <= _GIVEN}
        | {name.lower() for name in given_names()},
    ]
    known = known_words()
    usable = [
        sorted(name for name in names if name.isalpha() and len(name) > 3 and not known[name] & NOT_A_NAME)
        for names in lists
    ]
    by_letter = [
        {letter: tuple(n for n in names if n[0] == letter) for letter in "abcdefghijklmnopqrstuvwxyz"}
        for names in usable
    ]
    letters = [
        letter for letter in by_letter[0] if min(len(names[letter]) for names in by_letter) >= _MIN_NAMES_OF_LETTER
    ]
    return {letter: by_letter[int(given)][letter] for letter in letters}


def _folded(word: str) -> str:
    from data_pipeline.deid.view import plain_view

    return plain_view(word).lower()


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value)


def _with_digits(written: str, digits: str) -> str:
    rest = iter(digits)
    return re.sub(r"\d", lambda _: next(rest), written)
