"""Write an invented hospital to a folder: three corpora, a roster, de-identification gold and task sets.

    noteevents.csv.gz   MIMIC-III NOTEEVENTS; half of the patients; with copies, near-copies, empty and retracted rows
    omop_note.parquet   OMOP CDM v5.4 NOTE; a third of the patients
    notes.jsonl         {"id", "patient", "type", "text"}; the others
    roster.csv          the identifiers of every patient of the three
    deid_gold.jsonl     {"id", "subject_id", "text", "spans"}: notes of the three with every identifier's place
    tasks/              ner, re (BRAT), sts (TSV), nli, cls, outcome (JSON lines), mqa (SQuAD): train, dev and test
    planted.json        what was put in on purpose, so that a corpus build's counts can be checked

Equal arguments give equal bytes: random.Random is the only source of chance, and no clock or locale is read.
"""

import csv
import gzip
import io
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.files import atomic_write, make_private_folder, write_json, write_text
from data_pipeline.invented.identifiers import invent_place, label_spans
from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.notes import Note, Patient, invent_patient, write_notes
from data_pipeline.invented.tasks.cls import make_passages
from data_pipeline.invented.tasks.documents import BratDocument, make_entity_documents, make_relation_documents
from data_pipeline.invented.tasks.mqa import make_questions, squad
from data_pipeline.invented.tasks.nli import make_entailment_pairs
from data_pipeline.invented.tasks.outcome import make_outcomes
from data_pipeline.invented.tasks.sts import make_graded_pairs
from data_pipeline.invented.templates import Split
from launch.errors import NotemillError

FIRST_SUBJECT_ID = 20001
EXACT_COPY_SHARE, NEAR_COPY_SHARE, EMPTY_SHARE, RETRACTED_SHARE = 0.03, 0.03, 0.01, 0.015
TASK_FOLDERS = ("ner", "re", "sts", "nli", "mqa", "cls", "outcome")
GOLD_NOTES = 150
"""Most notes in deid_gold.jsonl."""

_NOTEEVENTS_COLUMNS = (
    "ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION", "CGID",
    "ISERROR", "TEXT",
)  # fmt: skip
_ROSTER_COLUMNS = ("SUBJECT_ID", "FIRST_NAME", "LAST_NAME", "DOB", "MRN", "SSN", "PHONE", "ADDRESS")


@dataclass(frozen=True)
class TaskSizes:
    """Rows of train, dev and test of each task; the defaults fine-tune a tiny model in about half a minute a task."""

    ner: tuple[int, int, int] = (120, 20, 40)
    re: tuple[int, int, int] = (80, 15, 30)
    sts: tuple[int, int, int] = (1200, 100, 200)
    nli: tuple[int, int, int] = (1800, 150, 300)
    mqa: tuple[int, int, int] = (800, 80, 150)
    cls: tuple[int, int, int] = (300, 60, 120)
    outcome: tuple[int, int, int] = (600, 60, 120)


def write_invented(out_dir: Path, patients: int, seed: int, task_sizes: TaskSizes | None = None) -> dict[str, Path]:
    """Write everything below `out_dir` and return the paths by name.

    Names: noteevents, omop, jsonl, roster, deid_gold, planted, tasks, and those of TASK_FOLDERS for their folders.
    Raises NotemillError for fewer than three patients: each of the three corpora needs one.
    """
    if patients < 3:
        raise NotemillError(f"{patients} invented patients are too few for three corpora; ask for 3 or more.")
    make_private_folder(out_dir)
    lexicon = load_lexicon()
    rng = random.Random(f"{seed}/people")
    places = tuple(invent_place(rng, lexicon) for _ in range(4))
    people = [
        invent_patient(random.Random(f"{seed}/patient/{i}"), lexicon, FIRST_SUBJECT_ID + i, places)
        for i in range(patients)
    ]
    notes = [write_notes(random.Random(f"{seed}/notes/{i}"), lexicon, person) for i, person in enumerate(people)]
    in_noteevents, in_omop = max(1, patients // 2), max(1, patients // 3)
    first, second = in_noteevents, min(in_noteevents + in_omop, patients - 1)
    corpora = [[n for of_one in part for n in of_one] for part in (notes[:first], notes[first:second], notes[second:])]
    paths = {
        "noteevents": out_dir / "noteevents.csv.gz",
        "omop": out_dir / "omop_note.parquet",
        "jsonl": out_dir / "notes.jsonl",
        "roster": out_dir / "roster.csv",
        "deid_gold": out_dir / "deid_gold.jsonl",
        "planted": out_dir / "planted.json",
    }
    planted = _write_noteevents(paths["noteevents"], corpora[0], random.Random(f"{seed}/noteevents"))
    _write_omop(paths["omop"], corpora[1])
    _write_jsonl(paths["jsonl"], _jsonl_rows(corpora[2]))
    _write_roster(paths["roster"], people)
    everything = [note for corpus in corpora for note in corpus]
    _write_jsonl(paths["deid_gold"], _gold_rows(everything, random.Random(f"{seed}/gold")))
    counts = {"omop": {"rows": len(corpora[1])}, "jsonl": {"rows": len(corpora[2])}}
    write_json(paths["planted"], {"seed": seed, "patients": patients, "noteevents": planted, **counts})
    return paths | write_tasks(out_dir / "tasks", seed, task_sizes or TaskSizes())


def write_tasks(folder: Path, seed: int, sizes: TaskSizes) -> dict[str, Path]:
    """Write the seven task sets below `folder`; returns their folders by task, and `folder` as "tasks"."""
    make_private_folder(folder)
    paths = {task: make_private_folder(folder / task) for task in TASK_FOLDERS}
    _write_brat(paths["ner"], make_entity_documents(seed, sizes.ner))
    _write_brat(paths["re"], make_relation_documents(seed, sizes.re))
    for split, pairs in make_graded_pairs(seed, sizes.sts).items():
        lines = [f"{pair.first}\t{pair.second}\t{pair.score:.2f}\n" for pair in pairs]
        write_text(paths["sts"] / f"{split}.tsv", "".join(["sentence1\tsentence2\tscore\n", *lines]))
    for split, entailments in make_entailment_pairs(seed, sizes.nli).items():
        rows = ({"sentence1": e.premise, "sentence2": e.hypothesis, "gold_label": e.label} for e in entailments)
        _write_jsonl(paths["nli"] / f"{split}.jsonl", rows)
    for split, questions in make_questions(seed, sizes.mqa).items():
        write_json(paths["mqa"] / f"{split}.json", squad(questions, split))
    for split, passages in make_passages(seed, sizes.cls).items():
        labelled = ({"id": f"{split}-{i:05d}", "text": p.text, "label": p.label} for i, p in enumerate(passages))
        _write_jsonl(paths["cls"] / f"{split}.jsonl", labelled)
    for split, notes in make_outcomes(seed, sizes.outcome).items():
        told = ({"id": f"{split}-{i:05d}", "text": n.text, "label": n.label} for i, n in enumerate(notes))
        _write_jsonl(paths["outcome"] / f"{split}.jsonl", told)
    return {"tasks": folder, **paths}


def _write_noteevents(path: Path, notes: list[Note], rng: random.Random) -> dict[str, int]:
    rows = [_noteevents_row(note) for note in notes]
    planted = {"notes": len(rows), "exact_copies": 0, "near_copies": 0, "empty": 0, "retracted": 0}
    for row in list(rows):
        draw = rng.random()
        at = rng.randint(0, len(rows))
        if draw < EXACT_COPY_SHARE:
            rows.insert(at, dict(row))
            planted["exact_copies"] += 1
        elif (draw := draw - EXACT_COPY_SHARE) < NEAR_COPY_SHARE:
            rows.insert(at, row | {"TEXT": row["TEXT"].rstrip() + _addendum(rng)})
            planted["near_copies"] += 1
        elif (draw := draw - NEAR_COPY_SHARE) < EMPTY_SHARE:
            rows.insert(at, row | {"TEXT": rng.choice(("", " ", "\n\n"))})
            planted["empty"] += 1
        elif draw - EMPTY_SHARE < RETRACTED_SHARE:
            rows.insert(at, row | {"ISERROR": "1", "TEXT": f"ENTERED IN ERROR\n{row['TEXT']}"})
            planted["retracted"] += 1
    text = io.StringIO()
    writer = csv.DictWriter(text, _NOTEEVENTS_COLUMNS, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"ROW_ID": str(i)} for i, row in enumerate(rows, start=1))
    with atomic_write(path) as temporary:
        # mtime and name stay out of the header, so that equal notes are equal bytes; level 6 is zlib's own.
        temporary.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0))
    return {"rows": len(rows), **planted}


def _addendum(rng: random.Random) -> str:
    return rng.choice(
        (
            "\nADDENDUM: reviewed, no change.",
            "\nAddendum: agree with the above.",
            "\nReviewed and corrected for spelling.",
            "\nADDENDUM: labs pending at the time of this note.",
        )
    )


def _noteevents_row(note: Note) -> dict[str, str]:
    subject = note.patient.identity.subject_id
    return {
        "ROW_ID": "",
        "SUBJECT_ID": str(subject),
        "HADM_ID": str(100_000 + subject * 10 + note.visit.number),
        "CHARTDATE": note.day.isoformat(),
        "CHARTTIME": "",
        "STORETIME": "",
        "CATEGORY": note.category,
        "DESCRIPTION": "Report",
        "CGID": "",
        "ISERROR": "",
        "TEXT": note.text.text,
    }


def _write_omop(path: Path, notes: list[Note]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("note_id", pa.int64()),
            ("person_id", pa.int64()),
            ("note_date", pa.date32()),
            ("note_datetime", pa.timestamp("us")),
            ("note_type_concept_id", pa.int64()),
            ("note_class_concept_id", pa.int64()),
            ("note_title", pa.string()),
            ("note_text", pa.string()),
            ("encoding_concept_id", pa.int64()),
            ("language_concept_id", pa.int64()),
            ("provider_id", pa.int64()),
            ("visit_occurrence_id", pa.int64()),
            ("visit_detail_id", pa.int64()),
            ("note_source_value", pa.string()),
            ("note_event_id", pa.int64()),
            ("note_event_field_concept_id", pa.int64()),
        ]
    )
    rows = [
        {
            "note_id": number,
            "person_id": note.patient.identity.subject_id,
            "note_date": note.day,
            "note_type_concept_id": 32817,  # EHR
            "note_class_concept_id": 0,
            "note_title": note.note_type,
            "note_text": note.text.text,
            "encoding_concept_id": 32678,  # UTF-8
            "language_concept_id": 4180186,  # English
            "visit_occurrence_id": note.patient.identity.subject_id * 10 + note.visit.number,
            "note_source_value": note.category,
        }
        for number, note in enumerate(notes, start=1)
    ]
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def _jsonl_rows(notes: list[Note]) -> Iterator[dict[str, Any]]:
    for number, note in enumerate(notes, start=1):
        yield {
            "id": f"j{number:06d}",
            "patient": str(note.patient.identity.subject_id),
            "type": note.note_type,
            "text": note.text.text,
        }


def _gold_rows(notes: list[Note], rng: random.Random) -> Iterator[dict[str, Any]]:
    for number, note in enumerate(rng.sample(notes, min(GOLD_NOTES, len(notes))), start=1):
        yield {
            "id": f"g{number:05d}",
            "subject_id": note.patient.identity.subject_id,
            "text": note.text.text,
            "spans": label_spans(note.text),
        }


def _write_roster(path: Path, people: list[Patient]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_ROSTER_COLUMNS)
    for person in people:
        who = person.identity
        birth = f"{who.birth.month:02d}/{who.birth.day:02d}/{who.birth.year}"
        writer.writerow((who.subject_id, who.first, who.last, birth, who.mrn, who.ssn, who.phone, who.address))
    write_text(path, text.getvalue())


def _write_brat(folder: Path, splits: dict[Split, list[BratDocument]]) -> None:
    for split, documents in splits.items():
        make_private_folder(folder / split)
        for number, document in enumerate(documents, start=1):
            write_text(folder / split / f"{number:05d}.txt", document.text)
            write_text(folder / split / f"{number:05d}.ann", document.annotations())


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
