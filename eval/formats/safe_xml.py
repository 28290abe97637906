"""XML into plain nodes, with nothing that a document could make the reader fetch or blow up.

No external entity or DTD is opened and no entity may be declared, so neither files nor addresses are read and nothing
expands (the attacks that defusedxml lists). Every node knows its line, for messages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from eval.formats.base import read_text
from launch.errors import NotemillError

_ATTRIBUTE = re.compile(r'(\s[\w:.-]+\s*=\s*")(.*?)("(?=\s+[\w:.-]+\s*=\s*"|\s*/?>))', re.DOTALL)
"""A value ends at the quotation mark before the next attribute or the tag's end, so it may hold others."""
_BARE_AMPERSAND = re.compile(r"&(?!(?:#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot|apos);)")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass
class Node:
    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    """All characters directly inside, children apart."""
    children: list["Node"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Node"]:
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> "Node | None":
        return next(self.all(name), None)

    def text_of(self, name: str) -> str:
        """The text of the first child of that name, or nothing."""
        child = self.first(name)
        return child.text if child is not None else ""


def read_xml(path: Path) -> Node:
    """The root of a file. Raises NotemillError with the line where it is no XML or declares entities."""
    return parse_xml(path, read_text(path))


def parse_xml(path: Path, content: str) -> Node:
    """As `read_xml`, of text that is already at hand; `path` is for messages."""
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    open_nodes: list[Node] = []
    roots: list[Node] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name, attributes, parser.CurrentLineNumber)
        (open_nodes[-1].children if open_nodes else roots).append(node)
        open_nodes.append(node)

    def characters(data: str) -> None:
        open_nodes[-1].text += data

    def refuse(*_: object) -> None:
        raise NotemillError(
            f"{path} line {parser.CurrentLineNumber} declares or uses an entity of its own; such XML is not read."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.CharacterDataHandler = characters
    parser.EntityDeclHandler = refuse
    parser.SkippedEntityHandler = refuse
    try:
        # The declared encoding is that of the bytes on disk, which are already read.
        parser.Parse(content.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise NotemillError(f"{path} line {error.lineno} is not XML: {expat.errors.messages[error.code]}.") from None
    return roots[0]


def mend_attributes(content: str) -> str:
    """Attribute values that hold bare `&`, `<` and quotation marks, as some releases do, written as XML wants them."""

    def mend(match: re.Match[str]) -> str:
        value = _BARE_AMPERSAND.sub("&amp;", match[2]).replace("<", "&lt;").replace('"', "&quot;")
        return f"{match[1]}{value}{match[3]}"

    return _ATTRIBUTE.sub(mend, content)


def attribute(value: str) -> str:
    """A quoted attribute value; characters that XML has no way to write become spaces."""
    return quoteattr(_NOT_IN_XML.sub(" ", value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def cdata(value: str) -> str:
    """Character data of an element as it is; characters that XML has no way to write become spaces."""
    return f"<![CDATA[{_NOT_IN_XML.sub(' ', value).replace(']]>', ']]]]><![CDATA[>')}]]>"


def character_data(value: str) -> str:
    """As `cdata`, with carriage returns that every parser gives back as such."""
    return cdata(value).replace("\r", "]]>&#13;<![CDATA[")
