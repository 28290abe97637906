"""Notes that the user wants left out: too short, in another language, boilerplate. Each filter is off unless it is
set."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from data_pipeline.notes import RejectionReason

if TYPE_CHECKING:
    from data_pipeline.config import FilterConfig

_LISTS = {
    "en": "the and of to with was is for on he she his her has at by from are were had which this that",
    "de": "der die das und mit von wurde ist im bei nach nicht eine einer keine zur zum des den dem auf",
    "es": "el la los las del con por que una para fue se en su al como sin presenta y es lo más",
    "fr": "le la les des est une avec pour dans par du sur et pas qui au aux été il elle sans ce",
    "it": "il lo la gli di del della con per che una è nel non alla da sono al dei le e stato",
    "nl": "de het een van en met is op voor niet bij werd zijn aan te dat naar ook geen wordt door er",
    "pt": "o a os as do da dos das com por que uma para foi não em no na ao e é se mais",
}
FUNCTION_WORDS = {name: frozenset(words.split()) for name, words in _LISTS.items()}
"""Words that hold sentences together. A language is guessed by the share of them, which drug names do not blur."""

MIN_WORDS_TO_GUESS = 20
_MIN_SHARE = 0.12
_MIN_LEAD = 1.5
_GUESSED_CHARS = 3_000
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Filtered:
    """The text without boilerplate, or the reason to leave the note out."""

    text: str
    removed_lines: int = 0
    reason: RejectionReason | None = None


def filter_note(text: str, config: "FilterConfig") -> Filtered:
    """Apply what is set in `config`; `text` is a cleaned note."""
    removed = 0
    if config.boilerplate:
        text, removed = _without_boilerplate(text, tuple(config.boilerplate))
        if not text:
            return Filtered("", removed, "boilerplate")
    if config.max_repeated_lines < 1 and repeated_share(text) > config.max_repeated_lines:
        return Filtered("", removed, "boilerplate")
    if config.min_words and len(text.split()) < config.min_words:
        return Filtered("", removed, "too_short")
    if config.language and guess_language(text) not in (config.language, None):
        return Filtered("", removed, "other_language")
    return Filtered(text, removed)


def guess_language(text: str) -> str | None:
    """A key of FUNCTION_WORDS, "other" for a script that none of them is written in, or None where it cannot be
    told."""
    words = _WORD.findall(text[:_GUESSED_CHARS].lower())
    if sum(map(_is_other_script, words)) > len(words) / 2:
        return "other"
    if len(words) < MIN_WORDS_TO_GUESS:
        return None
    number_of = Counter(words)
    counts = [(sum(number_of[word] for word in known), name) for name, known in FUNCTION_WORDS.items()]
    (best, name), (second, _) = sorted(counts, reverse=True)[:2]
    return name if best >= _MIN_SHARE * len(words) and best >= _MIN_LEAD * second else None


def repeated_share(text: str) -> float:
    """Share of the characters that stand in lines which stood in the text before; short lines are not counted as
    such."""
    seen: set[str] = set()
    repeated = total = 0
    for line in text.split("\n"):
        total += len(line)
        if len(line) >= 20:
            repeated += len(line) if line in seen else 0
            seen.add(line)
    return repeated / total if total else 0.0


def problems_of(config: "FilterConfig") -> list[str]:
    """What is wrong with the settings."""
    problems = []
    if config.language and config.language not in FUNCTION_WORDS:
        known = ", ".join(FUNCTION_WORDS)
        problems.append(f"filters.language is '{config.language}' and must be one of {known}, or empty")
    if config.min_words < 0:
        problems.append(f"filters.min_words is {config.min_words} and must not be negative")
    for number, expression in enumerate(config.boilerplate):
        if _compile_one(expression) is None:
            problems.append(f"filters.boilerplate[{number}] is no regular expression that RE2 knows")
    return problems


def _without_boilerplate(text: str, expressions: tuple[str, ...]) -> tuple[str, int]:
    pattern = _compile(expressions)
    lines = text.split("\n")
    kept = [line for line in lines if not line.strip() or not pattern.fullmatch(line.strip())]
    return ("\n".join(kept).strip("\n"), len(lines) - len(kept)) if len(kept) < len(lines) else (text, 0)


@lru_cache(maxsize=4)
def _compile(expressions: tuple[str, ...]) -> Any:
    import re2

    return re2.compile("(?i)(?:" + ")|(?:".join(expressions) + ")")


def _compile_one(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error:
        return None


def _is_other_script(word: str) -> bool:
    """Latin letters with their accents end at U+024F."""
    return word[0] > "\u024f"
