"""The ways in which a note may write a person's identifiers, each with the notes in which it counts.

full names      Ann Mary Lee-Hill · Hill, Ann M. · A. Hill · Hill A. · A.M. Hill · AnnHill · Ann LeeHill · Dr. Hill
single names    every note or only the patient's own, as the detectors were told (`deid.roster_names`)
numbers         by their digits, whatever signs stand between; those with letters as printed and without signs
dates           of the patient, in the patient's own notes, by their numbers (`gate.dates`)
addresses       by house number and street; towns in the own notes
"""

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from data_pipeline.gate.dates import read_dates
from data_pipeline.gate.normal import key_form
from data_pipeline.gate.people import Person

Check = Literal["patient name", "patient number", "patient date", "patient address", "staff name", "staff number"]
Scope = Literal["every", "capital", "own", "own capital"]
"""Counts in every note; in any note where each word has a capital; only in the own notes; only there with a capital."""

MIN_NAME_LETTERS = 3
MIN_NUMBER_CHARS = 6
"""A shorter number counts in its owner's notes alone: elsewhere it is a dose or a count."""
MIN_GLUED_LETTERS = 8

_SUFFIXES = frozenset(
    ["jr", "sr", "ii", "iii", "iv", "md", "do", "rn", "np", "pa", "phd", "dr", "mr", "mrs", "ms", "miss", "prof"]
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "Ä": "ae", "Ö": "oe", "Ü": "ue"})
_STREETS = (
    ("street", "st"), ("avenue", "ave"), ("road", "rd"), ("court", "ct"), ("drive", "dr"), ("lane", "ln"),
    ("boulevard", "blvd"), ("place", "pl"), ("circle", "cir"), ("terrace", "ter"), ("highway", "hwy"),
    ("north", "n"), ("south", "s"), ("east", "e"), ("west", "w"), ("apartment", "apt"),
)  # fmt: skip


class Variant(NamedTuple):
    """Lower-case words with one space between; `digits` is a number that other signs may break up, or an ISO date."""

    words: str
    check: Check
    scope: Scope
    digits: str = ""


@functools.cache
def ambiguous_words() -> frozenset[str]:
    """Names that are also ordinary words, months, eponyms or units: alone they count only with care."""
    return frozenset((Path(__file__).parent / "ambiguous.txt").read_text(encoding="utf-8").split())


def variants_of(person: Person, single_names: Literal["every", "own"]) -> Iterator[Variant]:
    """Every form to look for; the same form may come more than once."""
    is_patient = person.role == "patient"
    name_check: Check = "patient name" if is_patient else "staff name"
    number_check: Check = "patient number" if is_patient else "staff number"
    address_check: Check = "patient address" if is_patient else "staff number"
    yield from _names(person, name_check, single_names)
    for field, value in person.values:
        if field in ("number", "phone", "login"):
            yield from _number(value, number_check, field == "phone", is_patient)
        elif field == "e-mail":
            yield from _if_long(value, number_check, "every")
        elif field == "date" and is_patient:
            yield from _date(value)
        elif field == "address":
            yield from _address(value, address_check)
        elif field == "place" and is_patient:
            yield from _if_long(value, "patient address", "own")
    if is_patient and len(person.owner) >= MIN_NUMBER_CHARS - 1:
        yield from _if_long(person.owner, "patient number", "own")


# ---- names -----------------------------------------------------------------------------------------------------------


def _names(person: Person, check: Check, single_names: Literal["every", "own"]) -> Iterator[Variant]:
    parts: dict[str, list[str]] = {"given": [], "middle": [], "surname": [], "full": []}
    for field, value in person.values:
        if field in parts:
            parts[field] += [value] if value.translate(_UMLAUTS) == value else [value, value.translate(_UMLAUTS)]
    full = [
        (given, middle, last)
        for given in parts["given"]
        for last in parts["surname"]
        for middle in parts["middle"] or [""]
    ]
    full += [split for value in parts["full"] if (split := _split_full(value)) is not None]
    for given, middle, surname in full:
        yield from _full_name(_words(given), _words(middle), surname, check)
    singles = [*parts["given"], *parts["surname"], *(name for value in parts["full"] for name in value.split())]
    for word in dict.fromkeys(part for name in singles for part in _single_forms(name)):
        yield from _single_name(word, check, single_names)


def _split_full(value: str) -> tuple[str, str, str] | None:
    """Given, middle and last name of "Hill, Ann M." or "Ann M. Hill"; None for a single word."""
    head, comma, tail = value.partition(",")
    if comma and tail.strip() and _words(tail.split()[0]) and _words(tail.split()[0])[0] not in _SUFFIXES:
        given, *middle = tail.split()
        return given, " ".join(middle), head
    words = [word for word in head.split() if key_form(word) not in _SUFFIXES]
    return (words[0], " ".join(words[1:-1]), words[-1]) if len(words) > 1 else None


def _full_name(given: list[str], middle: list[str], family: str, check: Check) -> Iterator[Variant]:
    words = _words(family)
    surname = [word for word in words if word not in _SUFFIXES] or words
    if not given or not surname:
        return
    first, last = " ".join(given), " ".join(surname)
    # Of a double name each half is used alone with the given name, and both are written as one word. What only adds a
    # word at the end ("Hill, Ann M.") needs no form of its own.
    halves = [form for form in _single_forms(family) if len(form) >= MIN_NAME_LETTERS and form not in _SUFFIXES]
    lasts = dict.fromkeys([last, "".join(surname), *halves])
    firsts = dict.fromkeys([first, *(part for part in given if len(part) >= MIN_NAME_LETTERS)])
    initials = "".join(word[0] for word in middle)
    for one, other in itertools.product(firsts, lasts):
        scope: Scope = "capital" if {one, other} <= ambiguous_words() else "every"
        yield Variant(f"{one} {other}", check, scope)
        yield Variant(f"{other} {one}", check, scope)
        for between in dict.fromkeys([" ".join(middle), " ".join(initials)] if middle else []):
            yield Variant(f"{one} {between} {other}", check, scope)
    if len(first) + len(last) >= MIN_GLUED_LETTERS:
        yield Variant("".join((*given, *surname)), check, "every")
    for other in lasts:
        if len(other) < MIN_NAME_LETTERS:
            continue
        # "A Walker was given", "grew E. Coli": these count in the own notes alone.
        scope = "own capital" if first[0] in "ai" or other in ambiguous_words() else "capital"
        yield Variant(f"{first[0]} {other}", check, scope)
        yield Variant(f"{other} {first[0]}", check, scope)
        if middle:
            yield Variant(f"{first[0]} {initials[0]} {other}", check, scope)
        if check == "staff name":
            yield Variant(f"dr {other}", check, "every")


def _single_forms(name: str) -> list[str]:
    """ "O'Brien-Lee" → o brien lee, obrienlee, o brien, obrien, lee, brien."""
    parts = [name, *re.split(r"[-\u2010-\u2014\s]+", name)]
    forms = [form for part in parts if (words := _words(part)) for form in (" ".join(words), "".join(words))]
    return [*forms, *(word for word in _words(name) if len(word) >= MIN_NAME_LETTERS)]


def _single_name(word: str, check: Check, single_names: Literal["every", "own"]) -> Iterator[Variant]:
    letters = word.replace(" ", "")
    if len(letters) < 2 or letters in _SUFFIXES or not letters.isalpha():
        return
    if check == "staff name":
        # Staff have no notes of their own.
        if single_names == "every" and len(letters) >= MIN_NAME_LETTERS and letters not in ambiguous_words():
            yield Variant(word, check, "capital")
    elif len(letters) < MIN_NAME_LETTERS:
        yield Variant(word, check, "own capital")
    elif letters in ambiguous_words():
        yield Variant(word, check, "own")
    else:
        yield Variant(word, check, single_names)


def _words(name: str) -> list[str]:
    return key_form(name).split()


# ---- numbers, dates, addresses ---------------------------------------------------------------------------------------


def _number(value: str, check: Check, is_phone: bool, has_owner: bool) -> Iterator[Variant]:
    squeezed = key_form(value).replace(" ", "")
    is_long = len(squeezed) >= MIN_NUMBER_CHARS and any(char.isdigit() for char in squeezed)
    if len(squeezed) < 2 or not (is_long or has_owner):
        return
    if not is_long:
        yield Variant(key_form(value), check, "own")
    elif not squeezed.isdigit():
        for form in dict.fromkeys([key_form(value), squeezed, " ".join(re.findall(r"\d+|\D+", squeezed))]):
            yield Variant(form, check, "every")
    else:
        whole = [squeezed, squeezed[1:] if is_phone and len(squeezed) == 11 else squeezed, squeezed.lstrip("0")]
        for digits in dict.fromkeys(digits for digits in whole if len(digits) >= MIN_NUMBER_CHARS):
            yield Variant("", check, "every", digits)
            if has_owner:
                yield Variant("", check, "own", digits)
        if is_phone and has_owner and len(squeezed) >= 10:
            # The number without its area code.
            yield Variant("", check, "own", squeezed[-7:])


def _date(value: str) -> Iterator[Variant]:
    # 03.02.1950 is February to some and March to others: both are looked for.
    dates = read_dates(value)
    for date in dates:
        yield Variant("", "patient date", "own", date.isoformat())
    if not dates:
        # A birthday without its year, or in words.
        yield from _if_long(value, "patient date", "own")


def _address(value: str, check: Check) -> Iterator[Variant]:
    words = key_form(value.split(",")[0]).split()
    if len(words) < 2 or not any(word[0].isdigit() for word in words):
        words = key_form(value).split()
    if len(words) < 2 or not any(word[0].isdigit() for word in words):
        return
    number, name = words[0], words[1]
    if len(number) >= 3 and number.isdigit() and len(name) >= 4 and name not in ambiguous_words():
        # Whatever follows: "4164 Elmwood Court", "4164 Elmwood Ct.".
        yield Variant(f"{number} {name}", check, "every")
        return
    yield Variant(" ".join(words), check, "every")
    for table in (dict(_STREETS), {short: long for long, short in _STREETS}):
        yield Variant(" ".join(table.get(word, word) for word in words), check, "every")


def _if_long(value: str, check: Check, scope: Scope) -> Iterator[Variant]:
    words = key_form(value)
    if len(words) >= MIN_NAME_LETTERS:
        yield Variant(words, check, scope)
