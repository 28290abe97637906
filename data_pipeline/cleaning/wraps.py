"""Lines that an editor wrapped at a fixed width, put together again where that is safe.

A wrapped line betrays itself: the first word of the next line would not have fitted on it. The width is the note's own
longest line; a note whose lines are longer than any editor wraps has none. Two lines are joined only when, beside that,
neither looks like anything but running text: no table, list item, heading or line that ends in . ? ! : or ;, the same
indentation, and a second line that goes on in lower case or with what cannot begin a sentence. What is uncertain stays.
"""

import itertools
import re

MIN_WIDTH, MAX_WIDTH = 50, 132
"""Characters at which editors and print-outs wrap."""

_RAGGED = 12
_MIN_FULL_LINES = 3
"""Only where this many lines end within _RAGGED characters of the longest is it a width, and not just one long line."""
_MAX_WORD = 24
"""A line further from the width than this ended of its own accord."""

_NEVER_JOINED = re.compile(
    r"""(?:
        (?:\d{1,3}|[A-Za-z])[.)](?:\s|$)        # 1. or b)
      | [-*•·+>–—#=_|~]+                          # a bullet or a rule
      | \[\s?[xX]?\]                              # a box to tick
      | [A-Za-z][\w /&,()'-]{0,60}:(?:\s|$)       # a heading, or a field of a form
    )""",
    re.VERBOSE,
)
_GOING_ON = """
the a an of to in on at by for with without from and or but nor that which who was is are were has have had be been his
her their its this these no not as than due per status Dr. Drs. Mr. Mrs. Ms. vs.
"""
_LAST_WORD_GOES_ON = frozenset(_GOING_ON.split())
_TABLE_MARK = re.compile(r"[\t|]|____|\.\.\.\.|----|====")
_LOWER_LATER = re.compile(r"\([a-z]|\d[\d.,/%-]*\s+[a-z]")
_LABEL = re.compile(r"[ \t]*(?:\(?\d{1,3}[.)][ \t]+|[-*•·][ \t]+)?")


def rejoin(text: str) -> str:
    """`text` with wrapped lines joined by one space; nothing but line feeds and the spaces around them changes."""
    if "\n" not in text:
        return text
    lines = text.split("\n")
    lengths = list(map(len, lines))
    width = max(lengths)
    if not MIN_WIDTH <= width <= MAX_WIDTH or sum(length > width - _RAGGED for length in lengths) < _MIN_FULL_LINES:
        return text
    joined = [lines[0]]
    label = _label(lines[0])
    for before, line in itertools.pairwise(lines):
        if len(before) > width - _MAX_WORD and line and _continues(before, line, label, width):
            hyphen = before[-1] == "-" and before[-2:-1].isalpha() and line.lstrip()[:1].islower()
            joined[-1] += ("" if hyphen else " ") + line.lstrip()
        else:
            joined.append(line)
            label = -1
        if label < 0:
            label = _label(line)
    return "\n".join(joined) if len(joined) < len(lines) else text


def _continues(before: str, line: str, label: int, width: int) -> bool:
    """`label` is where the text of the line begins that the paragraph began with."""
    if not line.strip() or before[-1].isspace():
        return False
    indent = len(line) - len(line.lstrip(" \t"))
    first_word = line.split(None, 1)[0]
    if len(before) + 1 + len(first_word) <= width:
        return False
    last_word = before.rsplit(None, 1)[-1]
    goes_on = last_word in _LAST_WORD_GOES_ON
    if before[-1] in ".?!:;" and not goes_on:
        return False
    if not (line[indent].islower() or goes_on or before[-1] == "," or _LOWER_LATER.match(line, indent)):
        return False
    if indent not in (len(before) - len(before.lstrip(" \t")), label):
        return False
    return not (_NEVER_JOINED.match(line, indent) or _is_table(before) or _is_table(line) or before.isupper())


def _is_table(line: str) -> bool:
    """Cells set apart by tabs, bars or three spaces, or more than once by two that end no sentence; or a rule."""
    if "  " in line:
        cells = line.strip().split("  ")
        if "" in cells or sum(cell[-1] not in ".?!:" for cell in cells[:-1]) > 1:
            return True
    return _TABLE_MARK.search(line) is not None


def _label(line: str) -> int:
    """Where the text of a line begins: behind its indentation and a list's number or bullet."""
    return _LABEL.match(line).end()  # type: ignore[union-attr]
