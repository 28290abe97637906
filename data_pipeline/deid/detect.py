"""The union of all detectors, and what a note becomes."""

from collections import Counter
from dataclasses import dataclass

from data_pipeline.deid.patterns import find_by_pattern
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.spans import PhiSpan, replace_spans, union
from data_pipeline.deid.view import plain_view
from data_pipeline.placeholders import PlaceholderClass


@dataclass(frozen=True)
class Deidentified:
    """A note's text after de-identification."""

    text: str
    replaced: Counter[PlaceholderClass]
    leaks: bool
    """The verifier found a roster identifier in `text`; such a note is quarantined."""


def find_phi(text: str, patient_id: str = "", roster: Roster | None = None) -> list[PhiSpan]:
    """Identifiers in `text`, sorted and without overlap."""
    plain = plain_view(text)
    spans = find_by_pattern(plain)
    if roster is not None:
        spans += roster.find(plain, patient_id)
    return union(spans)


def deidentify(text: str, patient_id: str = "", roster: Roster | None = None) -> Deidentified:
    """Replace what the detectors find, then read the result again with the roster."""
    replaced_text, replaced = replace_spans(text, find_phi(text, patient_id, roster))
    return Deidentified(replaced_text, replaced, roster is not None and roster.leaks(replaced_text, patient_id))
