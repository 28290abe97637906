"""i2b2/UTHealth 2014 de-identification: XML with a note in TEXT and its PHI in TAGS, by category and type.

    <NAME id="P1" start="44" end="52" text="…" TYPE="DOCTOR" comment="" />

`?labels=category` reads the seven categories (the tags' names) instead of the types. The files of one patient,
NNN-01.xml to NNN-05.xml, stay in one split.

    training-PHI-Gold-Set1  training-PHI-Gold-Set2  testing-PHI-Gold-fixed
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, Task
from eval.formats.base import Reading, count_others
from eval.formats.places import squeeze
from eval.formats.releases import Released, predicted_file, require_predictions
from eval.formats.tagged_text import place, read_tagged, to_tag, to_tagged
from launch.errors import NotemillError

_ROOT = "deIdi2b2"
_TYPES = {
    "NAME": ("PATIENT", "DOCTOR", "USERNAME"),
    "PROFESSION": ("PROFESSION",),
    "LOCATION": (
        *("ROOM", "DEPARTMENT", "HOSPITAL", "ORGANIZATION", "STREET", "CITY", "STATE", "COUNTRY", "ZIP"),
        *("LOCATION-OTHER", "OTHER"),
    ),
    "AGE": ("AGE",),
    "DATE": ("DATE",),
    "CONTACT": ("PHONE", "FAX", "EMAIL", "URL", "IPADDR", "IPADDRESS"),
    "ID": (
        *("SSN", "MEDICALRECORD", "HEALTHPLAN", "ACCOUNT", "LICENSE", "VEHICLE", "DEVICE", "BIOID", "IDNUM"),
        *("BIOMETRIC ID", "ID NUMBER"),
    ),
}
_CATEGORY_OF = {kind: category for category, kinds in _TYPES.items() for kind in (category, *kinds)}
_ONLY_CATEGORIES = {category for category, kinds in _TYPES.items() if category not in kinds}
"""Labels that gold has only where it was read by category."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Deid2014(Released):
    name = "i2b2_2014"
    tasks: tuple[Task, ...] = ("ner",)
    patterns = ("*.xml",)
    options = {"labels": ("type", "category")}  # noqa: RUF012

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        return (self._document(path, reading, None),)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        out = make_private_folder(folder / "predictions")
        gold = (example for example in examples if isinstance(example, Document))
        by_category = any(entity.label in _ONLY_CATEGORIES for document in gold for entity in document.entities)
        for document in predictions:
            entities = enumerate(document.entities)
            tags = [_tag(number, entity, document.text, by_category) for number, entity in entities]
            write_text(out / f"{document.id}.xml", to_tagged(_ROOT, document.text, tags))
        return out

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        documents = [example for example in examples if isinstance(example, Document)]
        files = [predicted_file(path, document, ".xml") for document in documents]
        require_predictions(path, documents, files)
        count_others(path, ".xml", documents, reading)
        return [self._document(file, reading, d.text) for d, file in zip(documents, files, strict=True)]

    def _document(self, path: Path, reading: Reading, gold_text: str | None) -> Document:
        tagged = read_tagged(path, reading, gold_text)
        by_category = self.option(reading, "labels") == "category"
        entities: list[Entity] = []
        for tag in tagged.tags:
            kind = tag.attributes.get("TYPE", "")
            if not kind:
                raise NotemillError(f"{path} line {tag.line}: a {tag.name} has no TYPE; PHI has a category and a type.")
            span = place(tag, tagged, reading)
            if span is not None:
                entities.append(Entity(f"T{len(entities) + 1}", tag.name if by_category else kind, (span,)))
        patient, dash, _ = path.stem.rpartition("-")
        return Document(path.stem, tagged.text, tuple(entities), source=patient if dash else "")


def _tag(number: int, entity: Entity, text: str, by_category: bool) -> str:
    surface = squeeze(text[entity.start : entity.end])
    attributes = [("id", f"P{number}"), ("start", str(entity.start)), ("end", str(entity.end)), ("text", surface)]
    # Of the types only OTHER is the name of a category as well, of another one.
    category = entity.label
    if not (by_category and category == "OTHER"):
        category = _CATEGORY_OF.get(category, category)
    # A type that no category holds may be no name of a tag.
    category = category if _NAME.fullmatch(category) else "OTHER"
    return to_tag(category, [*attributes, ("TYPE", entity.label), ("comment", "")])
