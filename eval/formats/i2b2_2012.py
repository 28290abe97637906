"""i2b2 2012: events, times and the temporal links between them, XML with a note in TEXT and the rest in TAGS.

    <EVENT id="E3" start="40" end="50" text="…" modality="FACTUAL" polarity="NEG" type="PROBLEM" />
    <TIMEX3 id="T0" start="18" end="28" text="…" type="DATE" val="1996-03-02" mod="NA" />
    <TLINK id="TL0" fromID="E3" fromText="…" toID="T0" toText="…" type="OVERLAP" />

NER reads EVENT and TIMEX3 by their type, or by their tag with `?labels=tag`; their other attributes are kept and go
into predictions where a mention has them. RE reads the TLINKs, and SECTIME among the mentions, which links refer to.
CLS reads one attribute of each event in its line: `?attribute=polarity` or `modality`.

    2012-07-15.original-annotation.release/*.xml  2012-08-23.test-data.groundtruth or ground_truth/merged_xml/*.xml
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, LabelledText, Relation, Span, Task
from eval.formats.base import Reading, count_others
from eval.formats.mentions import mark_mention
from eval.formats.places import squeeze
from eval.formats.releases import SPLIT_MARKS, Released, predicted_file, require_predictions
from eval.formats.safe_xml import Node
from eval.formats.tagged_text import TaggedText, place, read_tagged, to_tag, to_tagged
from launch.errors import NotemillError

_ROOT = "ClinicalNarrativeTemporalAnnotation"
_TIMES = ("DATE", "TIME", "DURATION", "FREQUENCY")
_KEPT = {"EVENT": ("modality", "polarity"), "TIMEX3": ("val", "mod"), "SECTIME": ("dvalue",)}
_KEPT_ALWAYS = ("type",)


class Temporal2012(Released):
    name = "i2b2_2012"
    tasks: tuple[Task, ...] = ("ner", "re", "cls")
    patterns = ("*.xml",)
    marks = {  # noqa: RUF012
        "test": f"{SPLIT_MARKS['test']}|ground_?truth",
        "dev": SPLIT_MARKS["dev"],
        "train": f"{SPLIT_MARKS['train']}|original-annotation",
    }
    options = {"labels": ("type", "tag"), "attribute": ("polarity", "modality")}  # noqa: RUF012

    def choose(self, files: list[Path]) -> list[Path]:
        """The test release holds each note merged, unmerged and in other forms; the merged one is gold."""
        merged = {(file.parent.parent, file.name) for file in files if file.parent.name == "merged_xml"}
        return [
            file for file in files if file.parent.name == "merged_xml" or (file.parent.parent, file.name) not in merged
        ]

    def read(self, path: Path, reading: Reading) -> tuple[Example, ...]:
        tagged = read_tagged(path, reading)
        if reading.task == "cls":
            return self._labelled(tagged, reading)
        return (self._document(path.stem, tagged, reading),)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Any) -> Path:
        out = make_private_folder(folder / "predictions")
        if examples and isinstance(examples[0], LabelledText):
            return _write_labels(out, examples, predictions)
        for document in predictions:
            write_text(out / f"{document.id}.xml", to_tagged(_ROOT, document.text, _tags_of(document)))
        return out

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        if reading.task == "cls":
            return _read_labels(path, examples, reading)
        documents = [example for example in examples if isinstance(example, Document)]
        files = [predicted_file(path, document, ".xml") for document in documents]
        require_predictions(path, documents, files)
        count_others(path, ".xml", documents, reading)
        return [
            self._document(document.id, read_tagged(file, reading, document.text), reading)
            for document, file in zip(documents, files, strict=True)
        ]

    def _document(self, key: str, tagged: TaggedText, reading: Reading) -> Document:
        wanted = ("EVENT", "TIMEX3", "SECTIME") if reading.task == "re" else ("EVENT", "TIMEX3")
        by_tag = self.option(reading, "labels") == "tag"
        entities = []
        for tag in tagged.tags:
            if tag.name not in wanted:
                continue
            span = place(tag, tagged, reading)
            if span is not None:
                entities.append(_entity(tag, span, tagged.path, by_tag))
        links = [tag for tag in tagged.tags if tag.name == "TLINK"]
        others = [tag for tag in tagged.tags if tag.name not in (*wanted, "TLINK")]
        reading.notes.update(f"{tag.name} left" for tag in others)
        relations: tuple[Relation, ...] = ()
        if reading.task == "re":
            relations = _links(links, {entity.id for entity in entities}, tagged.path, reading)
        return Document(key, tagged.text, tuple(entities), relations)

    def _labelled(self, tagged: TaggedText, reading: Reading) -> tuple[LabelledText, ...]:
        name = self.option(reading, "attribute")
        key, text = tagged.path.stem, tagged.text
        found = []
        for tag in tagged.tags:
            if tag.name != "EVENT":
                continue
            span = place(tag, tagged, reading)
            label = tag.attributes.get(name, "").strip()
            if span is None or not label:
                reading.notes[f"events without {name} left"] += span is not None
                continue
            first, last = text.rfind("\n", 0, span[0]) + 1, text.find("\n", span[1])
            marked = mark_mention(text, span, (first, last if last >= 0 else len(text)))
            found.append(LabelledText(f"{key} {_id_of(tag, tagged.path)} {name}", marked, label.upper(), key))
        return tuple(found)


def _id_of(tag: Node, path: Path) -> str:
    if not tag.attributes.get("id"):
        raise NotemillError(f"{path} line {tag.line}: the {tag.name} has no id.")
    return tag.attributes["id"]


def _entity(tag: Node, span: Span, path: Path, by_tag: bool) -> Entity:
    kind = tag.attributes.get("type", "").strip().upper()
    if not kind and not by_tag:
        raise NotemillError(f"{path} line {tag.line}: the {tag.name} has no type; read it with ?labels=tag.")
    label = tag.name if by_tag or tag.name == "SECTIME" else kind
    kept = [(name, tag.attributes[name]) for name in (*_KEPT_ALWAYS, *_KEPT[tag.name]) if name in tag.attributes]
    return Entity(_id_of(tag, path), label, (span,), (("tag", tag.name), *kept))


def _links(links: Sequence[Node], known: set[str], path: Path, reading: Reading) -> tuple[Relation, ...]:
    relations = []
    for tag in links:
        label = tag.attributes.get("type", "").strip().upper()
        head, tail = tag.attributes.get("fromID", ""), tag.attributes.get("toID", "")
        if not label:
            reading.notes["links without a type left"] += 1
        elif head not in known or tail not in known:
            reading.notes["links without both mentions left"] += 1
        else:
            relations.append(Relation(_id_of(tag, path), label, head, tail))
    if not links and path.with_name(f"{path.name}.tlink").is_file():
        reading.notes["files without links beside a .tlink file that has them"] += 1
    return tuple(relations)


def _tags_of(document: Document) -> list[str]:
    surface_of = {entity.id: squeeze(document.text[entity.start : entity.end]) for entity in document.entities}
    tags = []
    for entity in document.entities:
        attributes = dict(entity.attributes)
        name = attributes.pop("tag", "") or _tag_name(entity.label)
        bounds = [("start", str(entity.start)), ("end", str(entity.end)), ("text", surface_of[entity.id])]
        if "type" not in attributes:
            attributes["type"] = "" if entity.label == name else entity.label
        tags.append(to_tag(name, [("id", entity.id), *bounds, *attributes.items()]))
    for link in document.relations:
        ends = [("fromID", link.head), ("fromText", surface_of[link.head])]
        ends += [("toID", link.tail), ("toText", surface_of[link.tail])]
        tags.append(to_tag("TLINK", [("id", link.id), *ends, ("type", link.label)]))
    return tags


def _tag_name(label: str) -> str:
    return "TIMEX3" if label in _TIMES or label == "TIMEX3" else "SECTIME" if label == "SECTIME" else "EVENT"


def _write_labels(out: Path, examples: Sequence[Example], predictions: Sequence[str]) -> Path:
    """Events by document with the one attribute: their places are those of gold, by id."""
    tags: dict[str, list[str]] = {}
    for example, label in zip(examples, predictions, strict=True):
        document, event, name = example.id.rsplit(" ", 2)
        tags.setdefault(document, []).append(to_tag("EVENT", [("id", event), (name, label)]))
    for document, events in tags.items():
        write_text(out / f"{document}.xml", to_tagged(_ROOT, "", events))
    return out


def _read_labels(path: Path, examples: Sequence[Example], reading: Reading) -> list[str]:
    texts = [example for example in examples if isinstance(example, LabelledText)]
    labels: dict[str, str] = {}
    for document in dict.fromkeys(text.document_id for text in texts):
        file = path / f"{document}.xml"
        tags = read_tagged(file, Reading("cls"), "").tags if file.is_file() else ()
        for tag in tags:
            for name in ("polarity", "modality"):
                if tag.name == "EVENT" and name in tag.attributes:
                    labels[f"{document} {tag.attributes.get('id')} {name}"] = tag.attributes[name].strip().upper()
    missing = [text.id for text in texts if text.id not in labels]
    if missing:
        raise NotemillError(
            f"{path} lacks the attribute of {len(missing)} of {len(texts)} events, the first is {missing[0]}."
        )
    asked = {text.id.rpartition(" ")[2] for text in texts}
    predicted = sum(key.rpartition(" ")[2] in asked for key in labels)
    reading.notes["mentions that gold does not have left"] += predicted - len({text.id for text in texts})
    return [labels[text.id] for text in texts]
