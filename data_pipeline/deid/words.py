"""The word lists of `lists/`, each read once, and what they and the census know of a word.

`clinical_words.txt` holds the words that public clinical texts (MTSamples, E3C, MedQuAD) write in lower case, so a
capital on one of them says nothing. `lower_case_words.txt` holds names that a dictionary (Webster's of 1934, in the
public domain) has as words: names with a capital, and none without. The census names are those of the package `names`:
all surnames and given names that the US Census of 1990 published, in the public domain, with their rank. Surnames of
the Census of 2010, names of other countries and towns are beside them; `lists/SOURCES.md` says whence.
"""

import functools
from pathlib import Path

from data_pipeline.files import sha256_file, sha256_json

MAX_COMMON_RANK = 3_000
"""A surname up to this rank is more often a person than the eponym that it also is: Wilson, Turner, Jackson."""

MIN_LOWER_CHARS = 4
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


class Known:
    """Bits of what is known of a word, whatever its case. Plain numbers: enum's flags are many times slower."""

    GIVEN = 1
    """A given name."""
    SURNAME = 2
    """A surname."""
    ORDINARY = 4
    """A word of clinical prose."""
    STAYS = 8
    """A drug, a nation, a maker, an organism, a month: has a capital and is nobody."""
    EPONYM = 16
    """Somebody's name that medicine uses, and too rare as a surname to be read as one without a reason."""
    COMMON_EPONYM = 32
    """The same where the surname is common: a name unless a medical noun follows."""
    LOWER_NAME = 64
    """Among the first thousands of its list and in no dictionary: a name even in lower case."""
    FREQUENT = 128
    """Among the first thousands of its list."""
    TOWN = 256
    """A town of the United States that is called nothing else."""
    NO_WORD = 512
    """A name or town, however rare, that no dictionary has as a word."""


NAME = Known.GIVEN | Known.SURNAME | Known.TOWN
"""Names of people and of towns: what one rule takes for the other goes all the same."""
NOT_A_NAME = Known.ORDINARY | Known.STAYS | Known.EPONYM
_CENSUS_FILES = ("dist.all.last", "dist.female.first", "dist.male.first")
_FREQUENT_SURNAMES = 8_000
_FREQUENT_GIVEN_NAMES = 2_000


@functools.cache
def known_words() -> dict[str, int]:
    """Lower-case word → what is known of it; some ten megabytes."""
    known: dict[str, int] = {}

    def add(word: str, flag: int) -> None:
        known[word] = known.get(word, 0) | flag

    surnames, given = census_surnames(), census_given_names()
    for word, rank in surnames.items():
        add(word, Known.SURNAME | (Known.FREQUENT if rank <= _FREQUENT_SURNAMES else 0))
    for word, rank in given.items():
        add(word, Known.GIVEN | (Known.FREQUENT if rank <= _FREQUENT_GIVEN_NAMES else 0))
    for name in given_names():
        add(name.lower(), Known.GIVEN | Known.FREQUENT)
    for word in _read("surnames_2010.txt"):
        add(word, Known.SURNAME)
    for word in _read("names_of_the_world.txt"):
        add(word, Known.GIVEN)
    for word in _read("towns.txt"):
        add(word, Known.TOWN)
    for word in (*_read("clinical_words.txt"), *ordinary_words(), *not_names()):
        add(word, Known.ORDINARY)
    for word in (*drugs(), *_lower("proper_words.txt")):
        add(word, Known.STAYS)
    for word in eponyms():
        add(word, Known.COMMON_EPONYM if surnames.get(word, MAX_COMMON_RANK + 1) <= MAX_COMMON_RANK else Known.EPONYM)
    in_dictionary = frozenset(_read("lower_case_words.txt"))
    for word, flags in known.items():
        if flags & Known.FREQUENT and not flags & (NOT_A_NAME | Known.COMMON_EPONYM) and word not in in_dictionary:
            known[word] = flags | (Known.LOWER_NAME if len(word) >= MIN_LOWER_CHARS else 0)
        is_name = flags & NAME and not flags & (NOT_A_NAME | Known.COMMON_EPONYM)
        if is_name and len(word) > MIN_LOWER_CHARS and word not in in_dictionary:
            known[word] |= Known.NO_WORD
    return known


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for short lists that stand in the code."""
    return frozenset(text.split())


def lists_sha256() -> str:
    """Hash of every list, the package's and ours; it is part of a corpus' identity."""
    files = [*sorted((Path(__file__).parent / "lists").glob("*.txt")), *(_census_file(name) for name in _CENSUS_FILES)]
    return sha256_json([[path.name, sha256_file(path)] for path in files])


@functools.cache
def census_surnames() -> dict[str, int]:
    """Lower-case surname → rank, the most frequent first."""
    return _census("dist.all.last")


@functools.cache
def census_given_names() -> dict[str, int]:
    """Lower-case given name → its better rank among women and men."""
    women, men = _census("dist.female.first"), _census("dist.male.first")
    return {word: min(women.get(word, len(women)), men.get(word, len(women))) for word in (*women, *men)}


@functools.cache
def not_names() -> frozenset[str]:
    """Lower-case words that follow a title or a cue without being a name."""
    return frozenset(_read("not_names.txt"))


@functools.cache
def given_names() -> tuple[str, ...]:
    """Common given names of many countries, as written."""
    return tuple(_read("first_names.txt"))


@functools.cache
def ordinary_words() -> frozenset[str]:
    """Lower-case words that are also someone's name, such as walker or white."""
    return frozenset(_read("ordinary_words.txt")) | not_names()


@functools.cache
def eponyms() -> frozenset[str]:
    """Lower-case names that medicine uses, such as foley."""
    return _lower("eponyms.txt")


@functools.cache
def place_words() -> frozenset[str]:
    """Lower-case words of landscape and faith of which the names of towns, homes, schools and churches are made."""
    return frozenset(_read("place_words.txt"))


@functools.cache
def town_phrases() -> tuple[str, ...]:
    """Towns of several words whose words do not tell that they are towns: "Baton Rouge"; as written."""
    lines = (Path(__file__).parent / "lists" / "town_phrases.txt").read_text(encoding="ascii").splitlines()
    return tuple(line for line in lines if line)


@functools.cache
def drugs() -> frozenset[str]:
    """Lower-case names of drugs and dressings that are written with a capital."""
    return _lower("drugs.txt")


def _census_file(name: str) -> Path:
    # The package has a function that draws a random name; its lists are what is wanted here.
    import names

    return Path(names.__file__).parent / name


def _census(file: str) -> dict[str, int]:
    lines = _census_file(file).read_text(encoding="ascii").splitlines()
    ranked = (line.split() for line in lines)
    return {name.lower(): int(rank) for name, _, _, rank in ranked}


def _lower(file: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _read(file))


def _read(file: str) -> list[str]:
    return (Path(__file__).parent / "lists" / file).read_text(encoding="utf-8").split()
