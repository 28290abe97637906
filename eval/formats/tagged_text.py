"""A note and its tags as i2b2 distributes them in XML since 2012.

    <TEXT><![CDATA[…]]></TEXT><TAGS><NAME id="P0" start="17" end="26" text="…" TYPE="DOCTOR" comment="" /></TAGS>

Offsets count characters of TEXT. Releases differ in whether its first character is 0 or 1 and in whether carriage
returns count; the reading under which most tags stand on their own text is taken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.examples import Span
from eval.formats.base import Reading, read_text
from eval.formats.places import nearest, squeeze, whole_number
from eval.formats.safe_xml import Node, attribute, cdata, mend_attributes, parse_xml
from launch.errors import NotemillError

_CARRIAGE_RETURN = "\ue00d"
"""Stands for \\r while the text goes through the XML parser, which would turn \\r\\n into \\n."""


@dataclass(frozen=True)
class TaggedText:
    path: Path
    text: str
    tags: tuple[Node, ...]
    shift: int
    """What is added to an offset of the file to give one of `text`."""


def read_tagged(path: Path, reading: Reading, gold_text: str | None = None) -> TaggedText:
    """A file's text and tags. `gold_text` is taken for the text of predictions, which need not repeat it.

    Raises NotemillError with the line of what is not in this form.
    """
    root = _parse(path, reading)
    tags = root.first("TAGS")
    inside = root.first("TEXT")
    if tags is None or (inside is None and gold_text is None):
        raise NotemillError(f"{path} line {root.line} has no TEXT or no TAGS; i2b2's XML holds both.")
    texts = [gold_text] if gold_text is not None else _texts(inside.text if inside is not None else "")
    text, shift = _best(texts, tags.children)
    return TaggedText(path, text, tuple(tags.children), shift)


def place(tag: Node, tagged: TaggedText, reading: Reading) -> Span | None:
    """Where a tag stands in the text; None, and counted, where it has no place.

    Raises NotemillError with the tag's line where its offsets are no numbers.
    """
    if not tag.attributes.get("start", "").strip() or not tag.attributes.get("end", "").strip():
        reading.notes[f"{tag.name} without a place left"] += 1
        return None
    start, end = _offsets(tag, tagged.path)
    start, end = start + tagged.shift, end + tagged.shift
    surface = squeeze(tag.attributes.get("text", ""))
    inside = 0 <= start < end <= len(tagged.text)
    if inside and (not surface or squeeze(tagged.text[start:end]) == surface):
        return start, end
    moved = nearest(tagged.text, surface, start)
    if moved is not None:
        reading.notes["mentions moved to the nearest occurrence of their text"] += 1
        return moved
    if inside:
        reading.notes["mentions kept whose text differs from their place"] += 1
        return start, end
    reading.notes["mentions outside of the text left"] += 1
    return None


def to_tagged(root: str, text: str, tags: Iterable[str]) -> str:
    """A file in this form; `tags` are whole elements."""
    lines = "".join(f"{tag}\n" for tag in tags)
    return (
        f'<?xml version="1.0" encoding="UTF-8" ?>\n<{root}>\n<TEXT>{cdata(text)}</TEXT>\n'
        f"<TAGS>\n{lines}</TAGS>\n</{root}>\n"
    )


def to_tag(name: str, attributes: Iterable[tuple[str, str]]) -> str:
    return f"<{name} {' '.join(f'{key}={attribute(value)}' for key, value in attributes)} />"


def _parse(path: Path, reading: Reading) -> Node:
    content = read_text(path)
    before, opening, rest = content.partition("<TEXT>")
    inside, closing, after = rest.partition("</TEXT>")
    content = before + opening + inside.replace("\r", _CARRIAGE_RETURN) + closing + after
    try:
        return parse_xml(path, content)
    except NotemillError:
        end = content.rfind("</TEXT>")
        mended = content[:end] + mend_attributes(content[end:]) if end >= 0 else content
        if mended == content:
            raise
    root = parse_xml(path, mended)
    reading.notes["files whose tags had to be mended to be XML"] += 1
    return root


def _texts(inside: str) -> list[str]:
    """The text as XML gives it, and with the carriage returns that the file has."""
    plain = inside.replace(f"{_CARRIAGE_RETURN}\n", "\n").replace(_CARRIAGE_RETURN, "\n")
    whole = inside.replace(_CARRIAGE_RETURN, "\r")
    return [plain] if whole == plain else [plain, whole]


def _best(texts: Sequence[str], tags: Sequence[Node]) -> tuple[str, int]:
    checks = list(_checks(tags))
    best, found = (texts[0], 0), -1
    for text in texts:
        for shift in (0, -1):
            right = sum(squeeze(text[max(0, a + shift) : max(0, b + shift)]) == surface for a, b, surface in checks)
            if right > found:
                best, found = (text, shift), right
    return best


def _checks(tags: Sequence[Node]) -> Iterator[tuple[int, int, str]]:
    for tag in tags:
        bounds = tag.attributes.get("start", ""), tag.attributes.get("end", "")
        start, end = map(whole_number, bounds)
        if start is not None and end is not None and tag.attributes.get("text"):
            yield start, end, squeeze(tag.attributes["text"])


def _offsets(tag: Node, path: Path) -> Span:
    try:
        return int(tag.attributes["start"]), int(tag.attributes["end"])
    except ValueError:
        raise NotemillError(
            f"{path} line {tag.line}: start or end of the {tag.name} is no whole number of characters."
        ) from None
