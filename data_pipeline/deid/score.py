"""How well the detectors do on notes whose identifiers are marked.

Unit of counting: the token, a run of letters and digits. A gold token is found when any detector's span touches it, of
whatever class, because it no longer stands in the output; `typed_recall` also asks for the right class. Precision is
the share of replaced tokens that are gold. A note leaks when one gold token of it is not found. Of the tokens that were
replaced though they are not gold, those that are eponyms or drugs are listed by word: these lists are public.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import orjson

from data_pipeline.config import DeidConfig
from data_pipeline.deid.detect import detector_names, find_phi, find_phi_in_all, load_finders
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import drugs, eponyms
from data_pipeline.readers.streams import iter_lines
from launch.errors import NotemillError

_TOKEN = re.compile(r"[^\W_]+")
GOLD_CLASSES: dict[str, frozenset[str]] = {
    "NAME": frozenset({"NAME"}),
    "DATE": frozenset({"DATE"}),
    "AGE": frozenset({"AGE"}),
    "LOCATION": frozenset({"LOCATION", "HOSPITAL"}),
    "CONTACT": frozenset({"PHONE", "EMAIL", "URL", "IP"}),
    "ID": frozenset({"ID", "SSN", "MRN", "ACCOUNT", "LICENSE", "DEVICE", "IP"}),
}
"""Gold labels in the manner of i2b2, and the placeholder classes that are right for each. Others are themselves."""


class ClassScore(TypedDict):
    """Token counts of one class and their ratios; a ratio is null where nothing was to be counted."""

    gold_tokens: int
    found_tokens: int
    recall: float | None
    typed_recall: float | None
    replaced_tokens: int
    precision: float | None


class DeidScore(TypedDict):
    """What `notemill corpus score-deid` prints."""

    notes: int
    spans: int
    recall: float | None
    precision: float | None
    leaking_notes: int
    classes: dict[str, ClassScore]
    leaks: list[dict[str, Any]]
    false_positives: dict[str, dict[str, int]]
    """"eponyms" and "drugs" → word → times it was replaced though it is not marked."""
    chars_per_second: float
    detectors: list[str]
    roster_used: bool


@dataclass(frozen=True)
class GoldNote:
    """A line of the gold file."""

    note_id: str
    patient_id: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_gold(path: Path) -> list[GoldNote]:
    """Lines `{"text", "spans": [{"start", "end", "label"}]}`. Raises NotemillError for anything else."""
    if not path.is_file():
        raise NotemillError(f"no gold file at {path}; check --gold.")
    notes = []
    for number, line in enumerate(iter_lines(path), start=1):
        if not line.strip():
            continue
        try:
            parsed = orjson.loads(line)
            spans = tuple((int(span["start"]), int(span["end"]), str(span["label"])) for span in parsed["spans"])
            text = parsed["text"]
            if not all(0 <= start < end <= len(text) for start, end, _ in spans):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise NotemillError(
                f"line {number} of {path} is not an object with 'text' and 'spans' of start, end and label within it."
            ) from None
        patient = str(parsed.get("subject_id", parsed.get("patient_id", "")))
        notes.append(GoldNote(str(parsed.get("id", number)), patient, text, spans))
    if not notes:
        raise NotemillError(f"{path} holds no gold note.")
    return notes


def score_deid(notes: list[GoldNote], roster: Roster | None = None, config: DeidConfig | None = None) -> DeidScore:
    """Scores and speed (CPU time) of the detectors. Leaks are told by note, class and offset, never by text."""
    config = config or DeidConfig()
    finders = load_finders(config)
    find_phi("warm-up", roster=roster, finders=finders)
    begin = time.process_time()
    found = find_phi_in_all([note.text for note in notes], [note.patient_id for note in notes], roster, finders)
    seconds = time.process_time() - begin
    counts: Counter[tuple[str, str]] = Counter()
    false_positives: dict[str, Counter[str]] = {"eponyms": Counter(), "drugs": Counter()}
    leaks: list[dict[str, Any]] = []
    leaking = 0
    for note, spans in zip(notes, found, strict=True):
        missed = _count_note(note, spans, counts, false_positives)
        leaking += bool(missed)
        leaks += [{"note": note.note_id, "label": label, "start": start, "end": end} for start, end, label in missed]
    labels = sorted({label for label, _ in counts} - {"*"})
    return DeidScore(
        notes=len(notes),
        spans=sum(len(note.spans) for note in notes),
        recall=_ratio(sum(counts[label, "found"] for label in labels), sum(counts[label, "gold"] for label in labels)),
        precision=_ratio(counts["*", "right"], counts["*", "replaced"]),
        leaking_notes=leaking,
        classes={label: _class_score(label, counts) for label in labels},
        leaks=leaks,
        false_positives={kind: dict((+words).most_common()) for kind, words in false_positives.items()},
        chars_per_second=round(sum(len(note.text) for note in notes) / max(seconds, 1e-9)),
        detectors=detector_names(config, roster is not None),
        roster_used=roster is not None,
    )


def _count_note(
    note: GoldNote,
    spans: list[PhiSpan],
    counts: Counter[tuple[str, str]],
    false_positives: dict[str, Counter[str]],
) -> list[tuple[int, int, str]]:
    """Add this note's tokens to the counts and return its gold spans with a token that was not found."""
    tokens = [match.span() for match in _TOKEN.finditer(note.text)]
    gold = _by_token(tokens, [(start, end, label) for start, end, label in note.spans])
    replaced = _by_token(tokens, [(span.start, span.end, span.cls) for span in spans])
    missed = set()
    for token, (label, span) in gold.items():
        counts[label, "gold"] += 1
        if token in replaced:
            counts[label, "found"] += 1
            counts[label, "typed"] += replaced[token][0] in GOLD_CLASSES.get(label, {label})
        else:
            missed.add((*span, label))
    for token, (cls, _) in replaced.items():
        label = next((label for label, classes in GOLD_CLASSES.items() if cls in classes), cls)
        for name in (label, "*"):
            counts[name, "replaced"] += 1
            counts[name, "right"] += token in gold
        word = note.text[slice(*tokens[token])].lower()
        for kind, listed in (("eponyms", eponyms()), ("drugs", drugs())):
            false_positives[kind][word] += token not in gold and word in listed
    return sorted(missed)


def _by_token(
    tokens: list[tuple[int, int]], spans: list[tuple[int, int, str]]
) -> dict[int, tuple[str, tuple[int, int]]]:
    """Token number → label and bounds of a span that touches it."""
    touched = {}
    spans = sorted(spans)
    first = 0
    for number, (start, end) in enumerate(tokens):
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        if first < len(spans) and spans[first][0] < end:
            touched[number] = (spans[first][2], spans[first][:2])
    return touched


def _class_score(label: str, counts: Counter[tuple[str, str]]) -> ClassScore:
    gold, found, replaced = counts[label, "gold"], counts[label, "found"], counts[label, "replaced"]
    return ClassScore(
        gold_tokens=gold,
        found_tokens=found,
        recall=_ratio(found, gold),
        typed_recall=_ratio(counts[label, "typed"], gold),
        replaced_tokens=replaced,
        precision=_ratio(counts[label, "right"], replaced),
    )


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
