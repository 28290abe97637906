"""Invented notes: equal seeds, true offsets, identifiers where the roster says, copies and retractions counted."""

import csv
import gzip
import hashlib
import io
import json
import random
import re
import stat
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_pipeline.invented import TaskSizes, write_invented
from data_pipeline.invented.identifiers import IDENTIFIERS, invent_place, redact
from data_pipeline.invented.lexicon import is_held_out, load_lexicon
from data_pipeline.invented.notes import Note, invent_patient, note_types, write_note, write_notes
from data_pipeline.invented.patients import invent_facts, invent_result
from data_pipeline.invented.span_text import SpanText, mistype, wrap_lines
from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.errors import NotemillError

SMALL = TaskSizes(
    ner=(4, 2, 2), re=(4, 2, 2), sts=(12, 6, 6), nli=(12, 6, 6), mqa=(8, 4, 4), cls=(8, 4, 4), outcome=(8, 4, 4)
)
PATIENTS = 40


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_invented(tmp_path_factory.mktemp("invented"), PATIENTS, seed=5, task_sizes=SMALL)


@pytest.fixture(scope="module")
def notes() -> list[Note]:
    lexicon = load_lexicon()
    rng = random.Random(11)
    places = (invent_place(rng, lexicon),)
    return [note for i in range(40) for note in write_notes(rng, lexicon, invent_patient(rng, lexicon, i, places))]


def _noteevents(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline="")))


def _jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_seeds_give_equal_bytes_and_others_do_not(written: dict[str, Path], tmp_path: Path) -> None:
    again = write_invented(tmp_path / "again", PATIENTS, seed=5, task_sizes=SMALL)
    other = write_invented(tmp_path / "other", PATIENTS, seed=6, task_sizes=SMALL)
    digests = _digests(written["roster"].parent)
    assert digests == _digests(again["roster"].parent)
    differing = _digests(other["roster"].parent)
    texts = [name for name in digests if not name.endswith("planted.json")]
    assert not [name for name in texts if differing.get(name) == digests[name]]


def test_every_file_is_private(written: dict[str, Path]) -> None:
    root = written["roster"].parent
    for path in [root, *root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_gold_spans_hold_identifiers(written: dict[str, Path]) -> None:
    rows = _jsonl(written["deid_gold"])
    labels: Counter[str] = Counter()
    for row in rows:
        end_before = 0
        for span in row["spans"]:
            surface = row["text"][span["start"] : span["end"]]
            assert surface == surface.strip() and surface, row["id"]
            assert span["start"] >= end_before
            end_before = span["end"]
            labels[span["label"]] += 1
            if span["label"] == "AGE":
                assert int(surface) > 89
    assert set(labels) == {label for label, _ in IDENTIFIERS.values()}


def test_roster_identifiers_stand_in_the_notes_and_only_under_gold_spans(written: dict[str, Path]) -> None:
    roster = {int(row["SUBJECT_ID"]): row for row in csv.DictReader(written["roster"].open(encoding="utf-8"))}
    assert len(roster) == PATIENTS
    seen: Counter[str] = Counter()
    for row in _jsonl(written["deid_gold"]):
        who = roster[row["subject_id"]]
        # Line breaks fall inside names too.
        text = row["text"].replace("\n", " ").lower()
        covered = {i for span in row["spans"] for i in range(span["start"], span["end"])}
        for column in ("LAST_NAME", "MRN", "SSN", "PHONE", "ADDRESS"):
            for match in re.finditer(rf"(?<!\w){re.escape(who[column].lower())}(?!\w)", text):
                assert set(range(*match.span())) <= covered, (row["id"], column)
                seen[column] += 1
    assert all(seen[column] for column in ("LAST_NAME", "MRN", "SSN", "PHONE", "ADDRESS")), seen


def test_names_come_in_the_styles_that_defeat_detectors(notes: list[Note]) -> None:
    names = [
        note.text.surface(mention)
        for note in notes
        for mention in note.text.mentions
        if mention.slot in ("patient", "kin")
    ]
    assert any(name.isupper() for name in names)
    assert any(name.islower() for name in names)
    assert any("\n" in name for name in names)
    assert any(", " in name for name in names)
    words = load_lexicon().words
    assert any(eponym in note.text.text for note in notes for eponym in words["eponyms"])


def test_planted_rows_are_what_the_counts_say(written: dict[str, Path]) -> None:
    planted = json.loads(written["planted"].read_text())
    rows = _noteevents(written["noteevents"])
    counts = planted["noteevents"]
    assert counts["rows"] == len(rows)
    assert counts["rows"] == sum(counts[k] for k in ("notes", "exact_copies", "near_copies", "empty", "retracted"))
    assert sum(row["ISERROR"] == "1" for row in rows) == counts["retracted"]
    assert sum(not row["TEXT"].strip() for row in rows) == counts["empty"]
    kept = [row["TEXT"] for row in rows if row["TEXT"].strip() and row["ISERROR"] != "1"]
    assert len(kept) - len(set(kept)) == counts["exact_copies"] > 0
    assert [row["ROW_ID"] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]
    assert planted["omop"]["rows"] == pq.ParquetFile(written["omop"]).metadata.num_rows
    assert planted["jsonl"]["rows"] == len(_jsonl(written["jsonl"]))


def test_the_three_corpora_share_no_patient(written: dict[str, Path]) -> None:
    noteevents = {int(row["SUBJECT_ID"]) for row in _noteevents(written["noteevents"])}
    omop = set(pq.read_table(written["omop"], columns=["person_id"])["person_id"].to_pylist())
    jsonl = {int(row["patient"]) for row in _jsonl(written["jsonl"])}
    assert not noteevents & omop and not noteevents & jsonl and not omop & jsonl
    assert len(noteevents | omop | jsonl) == PATIENTS


def test_patients_are_seen_more_than_once_and_grow_older(notes: list[Note]) -> None:
    by_patient: dict[int, list[Note]] = {}
    for note in notes:
        by_patient.setdefault(note.patient.identity.subject_id, []).append(note)
    assert all(4 <= len(of_one) <= 6 for of_one in by_patient.values())
    assert all([n.day for n in of_one] == sorted(n.day for n in of_one) for of_one in by_patient.values())
    assert any(len({n.visit.number for n in of_one}) > 1 for of_one in by_patient.values())


def test_redacted_notes_name_nobody(notes: list[Note]) -> None:
    for note in notes:
        clean = redact(note.text)
        who = note.patient.identity
        assert who.last.lower() not in clean.lower().replace("\n", " ")
        assert who.mrn not in clean and who.phone not in clean
        stripped = PLACEHOLDER_PATTERN.sub("", clean)
        assert "[**" not in stripped, "a placeholder that the corpus stage does not know"


@pytest.mark.parametrize("note_type", note_types())
def test_every_type_of_note_can_be_written(note_type: str) -> None:
    lexicon = load_lexicon()
    for seed in range(25):
        rng = random.Random(seed)
        patient = invent_patient(rng, lexicon, seed, (invent_place(rng, lexicon),))
        note = write_note(rng, lexicon, patient, patient.visits[0], patient.visits[0].admit, note_type)
        assert "{" not in note.text.text and len(note.text.text) > 100


def test_facts_follow_from_conditions() -> None:
    lexicon = load_lexicon()
    for seed in range(60):
        facts = invent_facts(random.Random(seed), lexicon)
        for given in facts.prescriptions:
            assert given.drug in lexicon.conditions[given.reason].drugs
            assert given.dose in lexicon.drugs[given.drug].strengths
        assert not set(facts.symptoms) & set(facts.absent_symptoms)
        assert not {c.name for c in facts.conditions} & {*facts.absent_conditions, *(m.condition for m in facts.family)}


def test_training_facts_hold_no_held_out_term() -> None:
    lexicon = load_lexicon()
    for seed in range(60):
        facts = invent_facts(random.Random(seed), lexicon, "train")
        terms = (
            [c.name for c in facts.conditions] + [p.drug for p in facts.prescriptions] + [r.test for r in facts.results]
        )
        assert not [term for term in terms if is_held_out(term)]


def test_results_lie_where_their_status_says() -> None:
    lexicon, rng = load_lexicon(), random.Random(0)
    for test in lexicon.tests.values():
        directions = {d for c in lexicon.conditions.values() for t, d in c.tests if t == test.name}
        for status in ("normal", *sorted(directions)):
            for _ in range(20):
                value = float(invent_result(rng, test, status).value.split()[0].split("/")[0].rstrip("%"))  # type: ignore[arg-type]
                is_there = {
                    "low": value < test.low,
                    "high": value > test.high,
                    "normal": test.low <= value <= test.high,
                }
                assert is_there[status], (test.name, status, value)


def test_the_tables_agree_with_each_other() -> None:
    lexicon = load_lexicon()
    for condition in lexicon.conditions.values():
        assert condition.symptoms
        assert not [d for d in condition.drugs if d not in lexicon.drugs], condition.name
        assert not [t for t, _ in condition.tests if t not in lexicon.tests], condition.name
    frequencies = {f for drug in lexicon.drugs.values() for f in drug.frequencies}
    assert frequencies <= set(lexicon.frequency_forms)
    assert len(lexicon.drugs) >= 300 and len(lexicon.conditions) >= 120


def test_mentions_keep_their_place_through_append_and_wrapping() -> None:
    first, second = SpanText(), SpanText()
    first.write("seen by ")
    first.mention("Ada Lovelace", "staff", "staff")
    second.write(" and ")
    second.mention("Grace Hopper", "nurse", "nurse")
    first.append(second)
    first.replace_same_length(wrap_lines(first.text, 12))
    assert [first.surface(m).replace("\n", " ") for m in first.mentions] == ["Ada Lovelace", "Grace Hopper"]
    assert "\n" in first.text


def test_a_slip_of_the_fingers_changes_one_word() -> None:
    text = "the patient complains of palpitations"
    for seed in range(30):
        slipped = mistype(random.Random(seed), text)
        assert sum(a != b for a, b in zip(text.split(), slipped.split(), strict=True)) <= 1
    assert mistype(random.Random(0), "on 5 mg") == "on 5 mg"


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotemillError, match="2 invented patients"):
        write_invented(tmp_path, 2, seed=1)
