"""Plain text out of HTML, with its lines, lists and tables: what a browser shows.

Blocks begin on lines of their own, paragraphs and headings after a blank one; a row of a table is a line, its cells set
apart by tabs; `pre` keeps its lines. Scripts, styles, comments and the title go. `K < 3.5` is text. Time is linear in
the length, whatever is left open.
"""

import html
import re

# fmt: off
_PARAGRAPHS = frozenset((
    "blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul",
))
_BLOCKS = frozenset((
    "address", "article", "aside", "body", "caption", "center", "dd", "details", "div", "dt", "fieldset", "figcaption",
    "figure", "footer", "form", "header", "html", "legend", "li", "main", "nav", "option", "section", "select",
    "summary", "tbody", "tfoot", "thead", "tr",
))
# fmt: on
_CELLS = frozenset(("td", "th"))
# A quoted value of an attribute may hold `>`. No part matches `<`, so that a quote left open costs one tag, not the
# note.
_TAG = re.compile(
    r"""<(/?)([A-Za-z][A-Za-z0-9:_-]*)(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>"""
    r"|<(/?)([A-Za-z][A-Za-z0-9:_-]*)[^<>]*>"
    r"|<[!?][^<>]*>"
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_HIDDEN = tuple((f"<{name}", f"</{name}") for name in ("script", "style", "title"))


def html_to_text(source: str) -> str:
    """The text of an HTML document or fragment."""
    source = _without(source, "<!--", "-->", skipped=3)
    for opening, closing in _HIDDEN:
        source = _without(source, opening, closing, skipped=0)
    page = _Page()
    position = 0
    for tag in _TAG.finditer(source):
        page.add_text(source[position : tag.start()])
        position = tag.end()
        page.add_tag((tag[2] or tag[4] or "").lower(), is_end=bool(tag[1] or tag[3]))
    page.add_text(source[position:])
    return html.unescape(page.text())


class _Page:
    """Text as it is laid out. A break waits for the text after it: what it becomes depends on its neighbours."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._lines = 0  # Line feeds that wait, two at most: a blank line.
        self._tabs = 0
        self._has_space = False
        self._marker = ""
        self._is_fresh = False  # Right after the start of a cell or list item, where a paragraph begins no line.
        self._is_first_cell = True
        self._cell_start = 0
        self._pre_depth = 0

    def add_text(self, text: str) -> None:
        if self._pre_depth:
            text = text.replace("\r\n", "\n")
            if text.strip():
                self._put(text.removeprefix("\n") if self._lines else text)
            return
        words = _SPACE.sub(" ", text)
        if words in ("", " "):
            self._has_space |= bool(words)
            return
        self._has_space |= words[0] == " "
        self._put(words.strip(" "))
        self._has_space = words[-1] == " "

    def add_tag(self, name: str, is_end: bool) -> None:
        if name in _CELLS:
            self._add_cell(is_end)
        elif name == "br":
            self._break(self._lines + 1)
        elif name in _PARAGRAPHS:
            if name == "pre":
                self._pre_depth = max(0, self._pre_depth + (-1 if is_end else 1))
            self._break(2)
        elif name in _BLOCKS:
            if name == "tr":
                self._is_first_cell, self._is_fresh, self._tabs = True, False, 0
            self._break(1)
            if name == "li" and not is_end:
                self._marker, self._is_fresh = "- ", True

    def text(self) -> str:
        return "".join(self._out).rstrip(" \n")

    def _add_cell(self, is_end: bool) -> None:
        if is_end:
            # A cell's last paragraph ends with the cell.
            self._lines = 0 if len(self._out) > self._cell_start else self._lines
            self._is_fresh = False
            return
        self._tabs += not self._is_first_cell
        self._is_first_cell, self._is_fresh = False, True
        self._cell_start = len(self._out)

    def _break(self, lines: int) -> None:
        if not self._is_fresh:
            self._lines = min(2, max(self._lines, lines))

    def _put(self, text: str) -> None:
        if self._lines and self._out:
            self._out.append("\n" * self._lines)
        if self._tabs:
            self._out.append("\t" * self._tabs)
        elif self._has_space and self._out and not self._lines and not self._marker:
            self._out.append(" ")
        self._out.append(self._marker + text)
        self._lines = self._tabs = 0
        self._has_space, self._marker, self._is_fresh = False, "", False


def _without(source: str, opening: str, closing: str, skipped: int) -> str:
    """The source without what lies between each opening and its closing, in any case; what is never closed stays.

    `skipped` characters of the closing go too; the rest of a closing tag is left to be read as one.
    """
    lower = source.lower()
    if len(lower) != len(source):
        # A few letters grow when they are lowered; then only the usual spelling is looked for.
        lower = source
    kept, position = [], 0
    while (start := lower.find(opening, position)) >= 0 and (end := lower.find(closing, start)) >= 0:
        kept.append(source[position:start])
        position = end + skipped
    return "".join((*kept, source[position:]))
