"""Members, non-members and reference: the notes that a membership audit compares, disjoint by patient and by copy.

Members are drawn from the split that the model was trained on, as the corpus or the notes' field `split` tells it, and
the others from held-out patients; a held-out note that is a near-copy of a training note is left out (near_copies.py
says which are found). With `fresh`, all patients are divided anew, for models that are yet to be trained. The reference
is divided again: most of it trains a reference model, the rest (population) is what RMIA compares with and no model has
seen.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json, require_new, sha256_file, whole_folder, write_json
from data_pipeline.manifest import MANIFEST_NAME
from data_pipeline.patients import SPLITS
from eval.audit.near_copies import Clusters, near_copy_clusters
from eval.audit.notes import AuditNote, count_patients, each_note, line_of, read_notes
from launch.errors import NotemillError

PARTS = ("members", "non_members", "reference", "population")
SPLIT_FILE = "split.json"
DIVIDED_ANEW = "all patients anew"
"""What split.json says it is `from` after --fresh."""
LARGEST_COMPONENT = 0.1
"""Share of the patients that copies may chain together."""
_SHARES = {"members": 0.5, "non_members": 0.25, "reference": 0.2, "population": 0.05}
"""Of the patients, where all are divided anew."""
_HELD_OUT_SHARES = {"non_members": 0.5, "reference": 0.4, "population": 0.1}


@dataclass(frozen=True)
class Split:
    members: list[AuditNote]
    non_members: list[AuditNote]
    population: list[AuditNote]
    sha256: str
    """Of split.json: what names the split in an audit's result."""
    divided_by: str
    """split.json's `from`: whose splits were taken, or that all patients were divided anew."""
    corpus: str | None = None
    """SHA-256 of the manifest of the corpus that was divided; None where the notes were none."""


def make_split(
    notes_path: Path, out: Path, *, fresh: bool = False, max_notes: int = 0, seed: int = 0
) -> dict[str, dict[str, int]]:
    """Write the parts as JSONL and split.json into `out`; the counts of each part.

    `max_notes` bounds members and non-members, whole patients at a time; 0 sets no bound. Notes are read twice, and
    their texts never all held. Raises NotemillError where a part would be empty, `out` holds anything else, or a note
    names no split and `fresh` is not asked for.
    """
    owner = "the corpus's" if notes_path.is_dir() else "the notes'"
    settings = {
        "version": 1,
        "notes": str(notes_path.absolute()),
        "from": DIVIDED_ANEW if fresh else f"{owner} splits",
        "max_notes": max_notes,
        "seed": seed,
    }
    there = _split_that_is_there(out, settings)
    notes: list[_Place] = []
    clusters = near_copy_clusters(_texts(notes_path, notes, needs_split=not fresh))
    rng = random.Random(seed)
    dropped: Counter[str] = Counter()
    parts = _divide(notes, clusters, _SHARES, rng, dropped) if fresh else _by_own_split(notes, clusters, rng, dropped)
    for name in ("members", "non_members"):
        if max_notes:
            parts[name] = _whole_patients(parts[name], max_notes, rng)
    empty = [name for name in PARTS[:3] if not parts[name]]
    if empty:
        raise NotemillError(
            f"{notes_path} has {count_patients(notes)} patients, too few for {', '.join(empty)}"
            + (f" ({sum(dropped.values())} notes are copies or were left out)" if dropped else "")
            + "; give more notes"
            + ("." if fresh else " or divide all patients anew with --fresh.")
        )
    counts = {name: {"notes": len(parts[name]), "patients": count_patients(parts[name])} for name in PARTS}
    with whole_folder(out, replaces=there is not None) as folder:
        _write_parts(notes_path, parts, folder)
        sha256 = {name: sha256_file(folder / f"{name}.jsonl") for name in PARTS}
        if there is not None and there.get("sha256") != sha256:
            raise NotemillError(
                f"{out} holds a split of {notes_path} as it was before; models and audits may rest on it, so name "
                "another folder with --out."
            )
        corpus = sha256_file(notes_path / MANIFEST_NAME) if notes_path.is_dir() else None
        found = {"corpus": corpus, "counts": counts, "left_out": dict(dropped), "sha256": sha256}
        write_json(folder / SPLIT_FILE, settings | found)
    return counts


def _split_that_is_there(out: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Its split.json where `out` is a split by these settings, None where it is new or empty. Raises NotemillError."""
    if not (out / SPLIT_FILE).is_file():
        require_new(out)
        return None
    there: dict[str, Any] = read_json(out / SPLIT_FILE, "membership split", "name another folder with --out")
    if not settings.items() <= there.items():
        raise NotemillError(f"{out} holds another split, on which audits may rest; name another folder with --out.")
    return there


@dataclass(frozen=True, slots=True)
class _Place:
    """A note without its text."""

    index: int
    """Of the note among all that are read."""
    patient_key: str
    split: str


def _texts(path: Path, places: list[_Place], *, needs_split: bool) -> Iterator[str]:
    """Each note's text; the rest of it is put into `places`. Raises NotemillError where a split is not named."""
    for index, note in enumerate(each_note(path)):
        if needs_split and not note.split:
            raise NotemillError(
                f"note {index + 1} of {path} names no split, so which notes were trained on is not known: a model "
                "trained on all of them has seen both halves of whatever is divided here. Give each note its split "
                f"({', '.join(SPLITS)}), or say --fresh and train on the members alone."
            )
        if needs_split and note.split not in SPLITS:
            raise NotemillError(f"note {index + 1} of {path} has an unknown split; the splits are {', '.join(SPLITS)}.")
        places.append(_Place(index, note.patient_key, note.split))
        yield note.text


def _write_parts(notes_path: Path, parts: dict[str, list[_Place]], folder: Path) -> None:
    """Read the notes again and write each into its part."""
    part_of = {place.index: name for name, places in parts.items() for place in places}
    with contextlib.ExitStack() as files:
        streams = {name: files.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8")) for name in PARTS}
        for index, note in enumerate(each_note(notes_path)):
            if index in part_of:
                streams[part_of[index]].write(line_of(note))


def read_split(folder: Path) -> Split:
    """The parts that an attack reads. Raises NotemillError when a file is not the one that was written."""
    manifest = read_json(folder / SPLIT_FILE, "membership split", "make it again with notemill audit split")
    try:
        hashes = {name: manifest["sha256"][name] for name in PARTS}
        numbers = {name: manifest["counts"][name]["notes"] for name in PARTS}
        divided_by = str(manifest["from"])
    except (KeyError, TypeError):
        raise NotemillError(f"{folder / SPLIT_FILE} is no split of notemill audit split.") from None
    for name, digest in hashes.items():
        file = folder / f"{name}.jsonl"
        if not file.is_file() or sha256_file(file) != digest:
            raise NotemillError(f"{file} is missing or not the file that was split; run notemill audit split again.")
    members, others, population = (
        read_notes(folder / f"{name}.jsonl") if numbers[name] else []
        for name in ("members", "non_members", "population")
    )
    return Split(members, others, population, sha256_file(folder / SPLIT_FILE), divided_by, manifest.get("corpus"))


def _by_own_split(
    notes: Sequence[_Place], clusters: Sequence[int], rng: random.Random, dropped: Counter[str]
) -> dict[str, list[_Place]]:
    trained = {cluster for note, cluster in zip(notes, clusters, strict=True) if note.split == "train"}
    known = {note.patient_key for note in notes if note.split == "train"}
    members = [note for note in notes if note.split == "train"]
    held_out = [(note, cluster) for note, cluster in zip(notes, clusters, strict=True) if note.patient_key not in known]
    kept = [(note, cluster) for note, cluster in held_out if cluster not in trained]
    dropped["held-out notes that are near-copies of training notes"] += len(held_out) - len(kept)
    parts = _divide([n for n, _ in kept], [c for _, c in kept], _HELD_OUT_SHARES, rng, dropped)
    return {**parts, "members": members}


def _divide(
    notes: Sequence[_Place],
    clusters: Sequence[int],
    shares: dict[str, float],
    rng: random.Random,
    dropped: Counter[str],
) -> dict[str, list[_Place]]:
    """Whole patients by `shares`; patients whose notes copy each other stay together.

    Copied notes chain patients together: where a chain would upset the shares, copies between patients are left out
    instead, all but the first.
    """
    patients = {name: index for index, name in enumerate(dict.fromkeys(note.patient_key for note in notes))}
    joined = Clusters(len(patients))
    owner: dict[int, int] = {}
    for note, cluster in zip(notes, clusters, strict=True):
        joined.join(owner.setdefault(cluster, patients[note.patient_key]), patients[note.patient_key])
    sizes = Counter(joined.root(index) for index in patients.values())
    if sizes and max(sizes.values()) > max(1, LARGEST_COMPONENT * len(patients)):
        kept = [
            note for note, cluster in zip(notes, clusters, strict=True) if owner[cluster] == patients[note.patient_key]
        ]
        dropped["copies of another patient's note"] += len(notes) - len(kept)
        notes, joined = kept, Clusters(len(patients))
    roots = sorted({joined.root(patients[note.patient_key]) for note in notes})
    rng.shuffle(roots)
    part_of: dict[int, str] = {}
    first, share = 0, 0.0
    for name, value in shares.items():
        share += value
        last = round(share * len(roots))
        part_of.update(dict.fromkeys(roots[first:last], name))
        first = last
    parts: dict[str, list[_Place]] = {name: [] for name in PARTS}
    for note in notes:
        parts[part_of[joined.root(patients[note.patient_key])]].append(note)
    return parts


def _whole_patients(notes: Sequence[_Place], max_notes: int, rng: random.Random) -> list[_Place]:
    by_patient: dict[str, list[_Place]] = {}
    for note in notes:
        by_patient.setdefault(note.patient_key, []).append(note)
    order = list(by_patient)
    rng.shuffle(order)
    chosen: list[_Place] = []
    for patient in order:
        if len(chosen) >= max_notes:
            break
        chosen += by_patient[patient]
    return chosen
