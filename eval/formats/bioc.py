"""BioC XML: documents in passages, with annotations at places of the document and relations between them.

    <document><id/><passage><offset/><text/><annotation id="1"><infon key="type"/><location offset="" length=""/><text/>
    </annotation></passage><relation id="R1"><infon key="type"/><node refid="1" role=""/><node refid="2" role=""/>
    </relation></document>

Passages stand at their offsets in one text, apart by spaces. Relations of two nodes are read; those between concepts,
which name no annotation, and those of other than two nodes are counted and left. https://bioc.sourceforge.net
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Document, Entity, Example, Relation, Span, Task
from eval.formats.base import Reading, of_gold
from eval.formats.places import nearest, squeeze, whole_number
from eval.formats.releases import Released
from eval.formats.safe_xml import Node, attribute, character_data, read_xml
from launch.errors import NotemillError

_MAX_GAP = 1_000_000
"""Characters between two passages, which are filled with spaces."""


class BioC(Released):
    name = "bioc"
    tasks: tuple[Task, ...] = ("ner", "re")
    patterns = ("*.xml", "*.XML")
    one_each = False

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        root = read_xml(path)
        documents = tuple(_document(path, node, reading) for node in root.all("document"))
        if not documents:
            raise NotemillError(f"{path} line {root.line}: the {root.name} holds no document; BioC's collection does.")
        return documents

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        path = folder / "predictions.xml"
        documents = "".join(map(_to_bioc, predictions))
        write_text(
            path,
            '<?xml version="1.0" encoding="UTF-8"?>\n<collection>\n<source></source><date></date><key></key>\n'
            f"{documents}</collection>\n",
        )
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return of_gold(self.read(path, reading), examples, reading)


def _document(path: Path, node: Node, reading: Reading) -> Document:
    # Passages either have text of their own or are divided into sentences that do.
    blocks = [block for passage in node.all("passage") for block in (passage, *passage.all("sentence"))]
    text = ""
    for block in blocks:
        if block.first("text") is not None:
            offset = _number(path, block, block.text_of("offset"))
            if offset > len(text) + _MAX_GAP:
                raise NotemillError(
                    f"{path} line {block.line}: a {block.name} is at offset {offset}, and the text before it ends at "
                    f"{len(text)}."
                )
            text = text.ljust(offset) + block.text_of("text")
    entities = tuple(
        entity
        for block in (node, *blocks)
        for annotation in block.all("annotation")
        if (entity := _entity(path, annotation, text, reading)) is not None
    )
    known = {entity.id for entity in entities}
    if len(known) < len(entities):
        raise NotemillError(f"{path} line {node.line}: two annotations of the document have the same id.")
    relations = [relation for block in (node, *blocks) for relation in block.all("relation")]
    return Document(
        node.text_of("id").strip(),
        text,
        entities,
        tuple(_relations(relations, known, reading)) if reading.task == "re" else (),
    )


def _entity(path: Path, node: Node, text: str, reading: Reading) -> Entity | None:
    spans: list[Span] = []
    for location in node.all("location"):
        start = _number(path, location, location.attributes.get("offset", ""))
        spans.append((start, start + _number(path, location, location.attributes.get("length", ""))))
    if not spans:
        reading.notes["annotations without a place left"] += 1
        return None
    if any(not 0 <= start < end <= len(text) for start, end in spans):
        raise NotemillError(f"{path} line {node.line}: an annotation lies outside of its document's text.")
    surface = squeeze(node.text_of("text"))
    if len(spans) == 1 and surface and squeeze(text[slice(*spans[0])]) != surface:
        moved = nearest(text, surface, spans[0][0])
        what = "kept whose text differs from their place" if moved is None else "moved to the nearest occurrence"
        reading.notes[f"mentions {what}"] += 1
        spans = [moved] if moved is not None else spans
    key = node.attributes.get("id", "")
    label = _infon(node, "type")
    if not key or not label:
        raise NotemillError(f"{path} line {node.line}: an annotation has no id or no infon 'type'.")
    reading.notes["discontinuous entities"] += len(spans) > 1
    return Entity(key, label, tuple(sorted(spans)))


def _relations(nodes: Sequence[Node], known: set[str], reading: Reading) -> Iterator[Relation]:
    for number, node in enumerate(nodes, start=1):
        ends = [end.attributes.get("refid", "") for end in node.all("node")]
        if not ends:
            reading.notes["relations between concepts left"] += 1
        elif len(ends) != 2:
            reading.notes["relations of other than two mentions left"] += 1
        elif not set(ends) <= known:
            reading.notes["relations without both mentions left"] += 1
        else:
            label = _infon(node, "type") or _infon(node, "relation") or "related"
            yield Relation(node.attributes.get("id", "") or f"R{number}", label, *ends)


def _infon(node: Node, key: str) -> str:
    return next((infon.text.strip() for infon in node.all("infon") if infon.attributes.get("key") == key), "")


def _number(path: Path, node: Node, value: str) -> int:
    number = whole_number(value)
    if number is None:
        raise NotemillError(f"{path} line {node.line}: an offset or length is no whole number of characters.")
    return number


def _to_bioc(document: Document) -> str:
    lines = [f"<document><id>{character_data(document.id)}</id>", "<passage><offset>0</offset>"]
    lines.append(f"<text>{character_data(document.text)}</text>")
    for entity in document.entities:
        surface = " ".join(squeeze(document.text[start:end]) for start, end in entity.spans)
        places = "".join(f'<location offset="{start}" length="{end - start}"/>' for start, end in entity.spans)
        lines.append(
            f'<annotation id={attribute(entity.id)}><infon key="type">{character_data(entity.label)}</infon>{places}'
            f"<text>{character_data(surface)}</text></annotation>"
        )
    lines.append("</passage>")
    for relation in document.relations:
        ends = (("head", relation.head), ("tail", relation.tail))
        nodes = "".join(f'<node refid={attribute(key)} role="{role}"/>' for role, key in ends)
        label = character_data(relation.label)
        lines.append(f'<relation id={attribute(relation.id)}><infon key="type">{label}</infon>{nodes}</relation>')
    return "\n".join([*lines, "</document>"]) + "\n"
