"""FHIR R4 bulk export: NDJSON of DocumentReference resources whose attachments carry their text as base64.

Several contents of one document are one text in several forms: plain text is taken before HTML, and that before RTF. An
attachment that is only an address is read where it is that of a Binary resource among the files (see `binaries`). A
document that was entered in error is retracted, one with a successor superseded. An attachment that is elsewhere, or of
another type, is rejected under a reason of its own, so that the counts tell what an export lacks.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from data_pipeline.cleaning.encodings import decode
from data_pipeline.config import Columns
from data_pipeline.notes import Rejection, RejectionReason, Row, make_note
from data_pipeline.readers.binaries import find_binary
from data_pipeline.readers.html_text import html_to_text
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.json_lines import BAD_JSON, first_objects, json_lines
from data_pipeline.readers.rtf_text import rtf_to_text
from launch.errors import NotemillError

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_RTF_TYPES = ("text/rtf", "application/rtf", "application/x-rtf")
_NO_PLAIN_TEXT = ("text/xml", "text/richtext")
_FORMS = ("plain", "unknown", "html", "rtf")
"""Best first."""
_RTF_MAGIC = "{\\rtf"
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
_LOOKS_LIKE_HTML = re.compile(r"\s*<(?:!doctype html|html|head|body|div|p|span|table|h[1-6])\b", re.IGNORECASE)
_OTHER_MAGIC = ("%PDF", "<?xml", "<ClinicalDocument")
_PATIENT = re.compile(r"(?:^|/)Patient/([^/|#?]+)")


class _RejectedError(Exception):
    def __init__(self, reason: RejectionReason) -> None:
        self.reason = reason


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when none of the first lines is a DocumentReference."""
    objects = first_objects(item)
    found = sorted({str(parsed.get("resourceType")) for parsed in objects})
    if found == ["Binary"] and any(_is_document(line.value) for line in json_lines(item)):
        return
    if objects and "DocumentReference" not in found:
        raise NotemillError(
            f"{item.path} holds no DocumentReference in its first {len(objects)} lines, but {', '.join(found)}."
        )


def _is_document(value: Any) -> bool:
    return isinstance(value, dict) and value.get("resourceType") == "DocumentReference"


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every resource of the file."""
    for line in json_lines(item):
        if line.value is BAD_JSON:
            yield Rejection("bad_json")
        elif not isinstance(line.value, dict):
            yield Rejection("broken_row")
        else:
            yield _row(item, line.value, line.repaired)


def _row(item: Input, resource: dict[str, Any], line_repaired: bool) -> Row:
    note_id, patient_id = str(resource.get("id") or ""), _patient(resource.get("subject"))
    try:
        text, repaired = _text(item, resource)
    except _RejectedError as error:
        return Rejection(error.reason, note_id, patient_id)
    return make_note(
        note_id,
        patient_id,
        _type(resource.get("type")),
        item.source,
        text,
        repaired_encoding=line_repaired or repaired,
        date=str(resource.get("date") or ""),
    )


def _text(item: Input, resource: dict[str, Any]) -> tuple[str, bool]:
    if not _is_document(resource):
        raise _RejectedError("other_resource")
    if "entered-in-error" in (resource.get("status"), resource.get("docStatus")):
        raise _RejectedError("retracted")
    if resource.get("status") == "superseded":
        raise _RejectedError("superseded")
    attachments = [
        content["attachment"]
        for content in resource.get("content") or ()
        if isinstance(content, dict) and isinstance(content.get("attachment"), dict)
    ]
    inline = [attachment for attachment in attachments if isinstance(attachment.get("data"), str)]
    readable = [attachment for attachment in inline if _form(attachment) is not None]
    if not readable:
        found = [copy for copy in (_of_binary(item, attachment) for attachment in attachments) if copy is not None]
        readable = [attachment for attachment in found if attachment["data"] is not None and _form(attachment)]
        if not readable and (inline or found):
            raise _RejectedError("attachment_type")
    if not readable:
        raise _RejectedError("attachment_elsewhere" if attachments else "empty_text")
    return _decoded(min(readable, key=lambda attachment: _FORMS.index(_form(attachment) or "")))


def _of_binary(item: Input, attachment: dict[str, Any]) -> dict[str, Any] | None:
    """The attachment with the content of the Binary resource that it points to; None where there is none."""
    found = find_binary(item, attachment.get("url"), _may_be_text)
    if found is None:
        return None
    return {"contentType": found.content_type or attachment.get("contentType"), "data": found.data}


def _may_be_text(content_type: str) -> bool:
    return _form({"contentType": content_type}) is not None


def _form(attachment: dict[str, Any]) -> str | None:
    """One of `_FORMS`, unknown where the type is not said, or None for another."""
    content_type = str(attachment.get("contentType") or "").partition(";")[0].strip().lower()
    if not content_type:
        return "unknown"
    if content_type in _HTML_TYPES:
        return "html"
    if content_type in _RTF_TYPES:
        return "rtf"
    return "plain" if content_type.startswith("text/") and content_type not in _NO_PLAIN_TEXT else None


def _decoded(attachment: dict[str, Any]) -> tuple[str, bool]:
    try:
        data = base64.b64decode("".join(attachment["data"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise _RejectedError("bad_base64") from None
    charset = _CHARSET.search(str(attachment.get("contentType") or ""))
    text, repaired = _in_charset(data, charset[1] if charset else "utf-8")
    form = _form(attachment)
    if form == "unknown" and text.lstrip().startswith(_OTHER_MAGIC):
        raise _RejectedError("attachment_type")
    text = text.replace("\0", "").removeprefix("\ufeff")
    if form in ("rtf", "unknown") and text.lstrip().startswith(_RTF_MAGIC):
        plain = rtf_to_text(text)
        if plain is None:
            raise _RejectedError("attachment_type")
        return plain, repaired
    is_html = form == "html" or (form == "unknown" and _LOOKS_LIKE_HTML.match(text) is not None)
    return (html_to_text(text) if is_html else text), repaired


def _in_charset(data: bytes, charset: str) -> tuple[str, bool]:
    if charset.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        try:
            return data.decode(charset), not data.isascii()
        except (UnicodeDecodeError, LookupError):
            pass
    return decode(data)


def _patient(subject: Any) -> str:
    """The id in `Patient/123`, in a whole address, or a `urn:uuid:`; else the identifier's value."""
    if not isinstance(subject, dict):
        return ""
    reference = str(subject.get("reference") or "")
    match = _PATIENT.search(reference)
    if match:
        return match[1]
    if reference.startswith("urn:"):
        return reference.rpartition(":")[2]
    identifier = subject.get("identifier")
    return str(identifier.get("value") or "") if isinstance(identifier, dict) else ""


def _type(concept: Any) -> str:
    """What the type of document is called: its text, or the first name or code of its codings."""
    if not isinstance(concept, dict):
        return ""
    if concept.get("text"):
        return str(concept["text"])
    codings = [coding for coding in concept.get("coding") or () if isinstance(coding, dict)]
    return next((str(coding[key]) for key in ("display", "code") for coding in codings if coding.get(key)), "")
