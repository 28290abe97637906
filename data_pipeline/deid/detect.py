"""The union of all detectors, and what a note becomes.

patterns, lexicons ─┐
roster ─────────────┼─ union ─> placeholders          (deid.mode=replace)
tagger, Presidio ───┘           surrogates            (deid.mode=surrogate)
                                nothing, note held    (deid.mode=verify)
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.config import DeidConfig
from data_pipeline.deid.beside import grown, trimmed
from data_pipeline.deid.note_titles import is_cut_short
from data_pipeline.deid.other_scripts import find_other_scripts
from data_pipeline.deid.patterns.find import find_by_pattern
from data_pipeline.deid.presidio import Presidio, presidio_version
from data_pipeline.deid.repeats import repeated_names
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.spans import PhiSpan, replace_spans, union
from data_pipeline.deid.surrogates import Surrogates
from data_pipeline.deid.tagger import Tagger, tagger_sha256
from data_pipeline.deid.view import plain_view, unscanned
from data_pipeline.deid.words import lists_sha256
from data_pipeline.placeholders import PlaceholderClass

_MAX_KEPT = 10_000

Finder = Callable[[str], list[PhiSpan]]
"""One more detector, from a note's text to the identifiers in it."""


@dataclass(frozen=True)
class Deidentified:
    """A note's text after de-identification."""

    text: str
    replaced: Counter[PlaceholderClass]
    leaks: bool
    """An identifier is left; such a note is quarantined."""
    masked: str = ""
    """The text with placeholders, whatever the mode: what a verifier reads, since surrogates look like identifiers.
    With deid.mode=verify it is the text itself."""


def find_phi(
    text: str, patient_id: str = "", roster: Roster | None = None, finders: Sequence[Finder] = ()
) -> list[PhiSpan]:
    """Identifiers in `text`, sorted and without overlap."""
    return find_phi_in_all([text], [patient_id], roster, finders)[0]


def find_phi_in_all(
    texts: Sequence[str],
    patient_ids: Sequence[str],
    roster: Roster | None = None,
    finders: Sequence[Finder] = (),
    are_titles: bool = False,
) -> list[list[PhiSpan]]:
    """The same for each of some texts, a patient's id each; together they take less time than one by one.

    With `are_titles` the texts are types of notes: what patterns and lexicons find there may be a title cut short.
    """
    plains = [unscanned(plain_view(text)) for text in texts]
    found = find_by_pattern(plains)
    if are_titles:
        found = [
            [span for span in spans if not is_cut_short(plain, span)]
            for plain, spans in zip(plains, found, strict=True)
        ]
    result = []
    for text, plain, patient_id, spans in zip(texts, plains, patient_ids, found, strict=True):
        listed = roster.find(plain, patient_id) if roster is not None else []
        for find in finders:
            listed += find(text)
        spans += find_other_scripts(text)
        spans += grown(plain, spans + listed)
        spans += repeated_names(plain, spans + listed)
        # What a list or a model says is a name stays whole.
        result.append(union([*trimmed(plain, union(spans)), *listed]))
    return result


def deidentify(text: str, patient_id: str = "", roster: Roster | None = None) -> Deidentified:
    """Replace what patterns, lexicons and the roster find, then read the result again with the roster."""
    return Deidentifier(DeidConfig(), roster).run(text, patient_id)


class Deidentifier:
    """What `deid.*` asks for, ready to run on notes; models are loaded once a process."""

    def __init__(self, config: DeidConfig, roster: Roster | None = None, key: bytes = b"") -> None:
        """Raises NotemillError when the tagger or Presidio cannot be loaded."""
        self._mode, self._roster, self._key = config.mode, roster, key
        self._finders = load_finders(config)
        self._kept_titles = functools.lru_cache(maxsize=_MAX_KEPT)(self._run_title)

    def run_title(self, title: str, patient_id: str) -> Deidentified:
        """The same as `run` for a note's type. Types come again and again, so answers are kept."""
        depends_on_patient = self._roster is not None or self._mode == "surrogate"
        return self._kept_titles(title, patient_id if depends_on_patient else "")

    def _run_title(self, title: str, patient_id: str) -> Deidentified:
        (spans,) = find_phi_in_all([title], [patient_id], self._roster, self._finders, are_titles=True)
        return self._finish(title, patient_id, spans)

    def run(self, text: str, patient_id: str) -> Deidentified:
        """One note; `patient_id` is the source's, by which the roster knows the patient."""
        return self.run_all([text], [patient_id])[0]

    def run_all(self, texts: Sequence[str], patient_ids: Sequence[str]) -> list[Deidentified]:
        """The same for each of some texts; together they take less time than one by one."""
        found = find_phi_in_all(texts, patient_ids, self._roster, self._finders)
        return [self._finish(*item) for item in zip(texts, patient_ids, found, strict=True)]

    def _finish(self, text: str, patient_id: str, spans: list[PhiSpan]) -> Deidentified:
        if self._mode == "verify":
            # What an earlier de-identification left in its brackets is no identifier.
            left = [span for span in spans if not text.startswith("[**", span.start)]
            leaks = bool(left) or (self._roster is not None and self._roster.leaks(text, patient_id))
            return Deidentified(text, Counter(), leaks, text)
        masked, replaced = replace_spans(text, spans)
        leaks = self._roster is not None and self._roster.leaks(masked, patient_id)
        finished = masked
        if self._mode == "surrogate":
            avoid = self._roster.knows if self._roster is not None else _knows_nobody
            finished = Surrogates(self._key, patient_id, avoid).replace(text, spans)
        return Deidentified(finished, replaced, leaks, masked)


def load_finders(config: DeidConfig) -> tuple[Finder, ...]:
    """The tagger and Presidio, where the settings name them."""
    finders: list[Finder] = []
    if config.tagger:
        finders.append(_tagger(config.tagger, config.tagger_threshold).find)
    if config.presidio:
        finders.append(_presidio(config.presidio).find)
    return tuple(finders)


def detector_names(config: DeidConfig, has_roster: bool) -> list[str]:
    """What the attestation lists."""
    optional = (("roster", has_roster), ("tagger", config.tagger), ("presidio", config.presidio))
    return ["patterns", "lexicons", *(name for name, is_used in optional if is_used)]


def detectors_identity(config: DeidConfig) -> dict[str, str | None]:
    """What decides the findings beside the settings: the word lists, the model's files, Presidio's version."""
    return {
        "lists": lists_sha256(),
        "tagger": tagger_sha256(Path(config.tagger)) if config.tagger else None,
        "presidio": presidio_version(config.presidio) if config.presidio else None,
    }


def _knows_nobody(word: str) -> bool:
    return False


@functools.lru_cache(maxsize=1)
def _tagger(folder: str, threshold: float) -> Tagger:
    return Tagger(Path(folder), threshold)


@functools.lru_cache(maxsize=1)
def _presidio(pipeline: str) -> Presidio:
    return Presidio(pipeline)
