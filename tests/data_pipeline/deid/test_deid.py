"""Identifiers go, and what only looks like one stays."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.cleaning.characters import clean
from data_pipeline.config import DeidConfig
from data_pipeline.deid.detect import Deidentifier, deidentify, find_phi
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.score import read_gold, score_deid
from data_pipeline.deid.spans import PhiSpan, replace_spans, union
from data_pipeline.deid.view import plain_view
from data_pipeline.placeholders import PLACEHOLDER_CLASSES, PLACEHOLDER_PATTERN, placeholder
from launch.errors import NotemillError
from tests.data_pipeline.corpora import write_roster

GONE = [
    ("Seen on 12Mar19.", "Seen on [**DATE**]."),
    ("Admission Date: 4/13", "Admission Date: [**DATE**]"),
    ("on January 6, 2015 and Mon 3/4", "on [**DATE**] and [**DATE**]"),
    ("since 2019-03-12T10:22:00, 3rd of March 2019, 12-Mar-2019", "since [**DATE**], [**DATE**], [**DATE**]"),
    ("03/12/2019, 3/12/19, 12.03.2019, 03/2019, Mar '15", ", ".join(["[**DATE**]"] * 5)),
    ("stayed 1/2-1/5", "stayed [**DATE**]"),
    ("She is a 93-year-old woman, mother 101 y/o.", "She is a [**AGE**]-year-old woman, mother [**AGE**] y/o."),
    ("aged 92; ninety-three-year-old; Age: 95", "aged [**AGE**]; [**AGE**]-year-old; Age: [**AGE**]"),
    ("(617) 555-1234, 617.555.1234, +1 617 555 1234", "[**PHONE**], [**PHONE**], [**PHONE**]"),
    ("pager 12345; fax: 555-9876; ext. 4455", "pager [**PHONE**]; fax: [**PHONE**]; ext. [**PHONE**]"),
    ("j.smith@hosp.example.org", "[**EMAIL**]"),
    ("see https://x.example/y?z=1. Then", "see [**URL**]. Then"),
    ("from 10.0.0.1", "from [**IP**]"),
    ("123-45-6789, SSN: 123456789", "[**SSN**], SSN: [**SSN**]"),
    ("MRN: 1234567, Medical Record Number 00123", "MRN: [**MRN**], Medical Record Number [**MRN**]"),
    ("Account # A12345, NPI 1234567893", "Account # [**ACCOUNT**], NPI [**LICENSE**]"),
    ("serial number NW1993207 in place", "serial number [**DEVICE**] in place"),
    ("Policy number: XYZ123456. Job: 243657549", "Policy number: [**ID**]. Job: [**ID**]"),
    ("lives at 12 Main St, Springfield, IL 62704.", "lives at [**LOCATION**]."),
    ("He lives in Boston, Massachusetts.", "He lives in [**LOCATION**]."),
    ("from Pittsburgh, PA, zip: 02139", "from [**LOCATION**], zip: [**LOCATION**]"),
    ("at Massachusetts General Hospital today", "at [**HOSPITAL**] today"),
    ("Name: andrew kim", "Name: [**NAME**]"),
    ("PATIENT NAME: KIM, ANDREW DOB: 1/2/1950", "PATIENT NAME: [**NAME**] DOB: [**DATE**]"),
    ("Dr. Smith, dr. jones, MRS. GARCIA-LOPEZ", "Dr. [**NAME**], dr. [**NAME**], MRS. [**NAME**]"),
    ("Mr. O'Brien's wife", "Mr. [**NAME**]'s wife"),
    ("Ms. José Núñez and Dr. Łukasz Żak", "Ms. [**NAME**] and Dr. [**NAME**]"),
    ("Dictated by: Jane Q. Doe, MD", "Dictated by: [**NAME**], MD"),
    ("Electronically signed by Robert B. Lee on 2/3/2011", "Electronically signed by [**NAME**] on [**DATE**]"),
    ("His daughter Mary Smith called", "His daughter [**NAME**] called"),
    ("KIM, ANDREW was seen by J. Smith, RN", "[**NAME**] was seen by [**NAME**], RN"),
    ("[**2151-7-16**] [**Known lastname 1234**]", "[**DATE**] [**NAME**]"),
]


@pytest.mark.parametrize(("text", "expected"), GONE)
def test_identifiers_become_placeholders(text: str, expected: str) -> None:
    assert deidentify(text).text == expected


STAYS = """\
BP 120/80, HR 72, RR 18, T 98.6, sat 99% on 2L.
Pain is 5/10 today, 7/10 yesterday. 3/6 systolic murmur. Strength 5/5 throughout, 4/5 to 5/5 in the legs.
Pulses 2/4 bilaterally. Grade 2/6 murmur. GCS 14/15. Vision 20/40 OD. Take 1/2 tablet daily, 1/3 of the dose.
Parkinson disease, Foley catheter, Apgar scores 8 and 9, Crohn's disease, Hodgkin lymphoma, Jackson-Pratt drain.
Lasix 40 mg p.o. b.i.d., Coumadin 5 mg, Tylenol #3, dose 400-1000 mg, 100-1500 cells, 1/2 NS at 75 mL/hr.
WBC 5.31, Hgb 11.2, platelets 250000, sodium 138, pH 7.35/45/80, CD4 count 350, EF 55-60%.
The patient is a 67-year-old male; she is 89 years old. In 1998 he had an MI. The bed was turned 90 degrees.
L4-L5 disc, C5-6 fusion, T12 fracture. 4-0 Vicryl. He may 5 minutes later. May take with food.
SURGEON: , None. ANESTHESIA: General. PATIENT: stable. Hospital Course: good. Hospital Day 3.
Seen in the Emergency Room and Pain Clinic, room 302, unit 3, case 2. MR brain. MS contin.
Mother had breast cancer, father died at 62 of stroke. Her husband is alive. Dr. will see him. Wife reports no snoring.
Biopsy verified by angiography; the name is derived from Greek. Reference range 411-1248 pmol/l.
[**NAME**] and [**DATE**] stay as they are.
"""


@pytest.mark.parametrize("line", STAYS.splitlines())
def test_clinical_text_stays(line: str) -> None:
    assert deidentify(line).text == line


@pytest.mark.parametrize("text", [text for text, _ in GONE])
def test_what_was_replaced_is_not_replaced_again(text: str) -> None:
    once = deidentify(text).text
    assert deidentify(once).text == once


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200), st.sampled_from(GONE))
def test_odd_unicode_never_breaks_the_detectors(odd: str, known: tuple[str, str]) -> None:
    for text in (odd, clean(odd), f"{odd}\n{known[0]}\n{odd}"):
        assert len(plain_view(text)) == len(text)
        spans = find_phi(text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
        assert all(left.end <= right.start for left, right in itertools.pairwise(spans))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.sampled_from(PLACEHOLDER_CLASSES)), max_size=8))
def test_union_covers_exactly_what_its_spans_cover(parts: list[tuple[int, int, str]]) -> None:
    spans = [PhiSpan(start, start + length, cls) for start, length, cls in parts]  # type: ignore[arg-type]
    merged = union(spans)
    covered = {index for span in spans for index in range(span.start, span.end)}
    assert covered == {index for span in merged for index in range(span.start, span.end)}
    text = "".join(chr(ord("a") + index % 26) for index in range(40))
    replaced, counts = replace_spans(text, merged)
    assert PLACEHOLDER_PATTERN.sub("", replaced) == "".join(char for i, char in enumerate(text) if i not in covered)
    assert counts.total() == len(merged)


def test_placeholder_list_is_closed() -> None:
    assert [placeholder(cls) for cls in ("NAME", "DATE")] == ["[**NAME**]", "[**DATE**]"]
    assert len(set(PLACEHOLDER_CLASSES)) == len(PLACEHOLDER_CLASSES)
    with pytest.raises(ValueError, match="PET"):
        placeholder("PET")  # type: ignore[arg-type]


def write_gold(path: Path, marked: list[str]) -> Path:
    """Lines whose identifiers are marked as {LABEL:text}."""
    lines: list[str] = []
    for line in marked:
        text = ""
        spans: list[dict[str, int | str]] = []
        for part in re.split(r"(\{[A-Z]+:[^}]*\})", line):
            label, _, value = part.strip("{}").partition(":") if part.startswith("{") else ("", "", part)
            if label:
                spans.append({"start": len(text), "end": len(text) + len(value), "label": label})
            text += value
        lines.append(json.dumps({"id": str(len(lines)), "text": text, "spans": spans}))
    path.write_text("\n".join(lines))
    return path


def test_score_counts_tokens_and_leaks(tmp_path: Path) -> None:
    gold = write_gold(
        tmp_path / "gold.jsonl",
        ["Dr. {NAME:Ann Hill} on {DATE:4/5/2019}", "met {NAME:quartermain} again", "Dr. Unmarked Person was here"],
    )
    score = score_deid(read_gold(gold))
    assert score["classes"]["NAME"]["gold_tokens"] == 3 and score["classes"]["NAME"]["found_tokens"] == 2
    assert score["classes"]["NAME"]["precision"] == 0.5
    assert score["recall"] == round(5 / 6, 4) and score["precision"] == round(5 / 7, 4)
    assert score["leaking_notes"] == 1
    assert score["leaks"] == [{"note": "1", "label": "NAME", "start": 4, "end": 15}]


@pytest.mark.parametrize(
    "line", ['{"text": "a"}', '{"text": "a", "spans": [{"start": 0, "end": 9, "label": "X"}]}', "not json", "[]"]
)
def test_bad_gold_names_the_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "gold.jsonl").write_text('{"text": "ok", "spans": []}\n' + line)
    with pytest.raises(NotemillError, match="line 2"):
        read_gold(tmp_path / "gold.jsonl")


def test_recall_on_injected_identifiers(shared: Path) -> None:
    from data_pipeline.deid.roster import Roster

    notes = read_gold(shared / "deid" / "injected_notes.jsonl")
    by_pattern = score_deid(notes)
    assert by_pattern["recall"] is not None and by_pattern["recall"] > 0.99
    assert by_pattern["precision"] is not None and by_pattern["precision"] > 0.9
    with_roster = score_deid(notes, Roster(shared / "deid" / "roster.csv"))
    assert with_roster["classes"]["NAME"]["recall"] == 1.0
    assert with_roster["leaking_notes"] <= by_pattern["leaking_notes"]


def test_a_title_that_is_cut_short_is_nobody(tmp_path: Path) -> None:
    by_patterns = Deidentifier(DeidConfig())
    for title in ("Consult - History and Phy.", "ADMISSION HISTORY & PHYSICAL", "Discharge Summary"):
        assert by_patterns.run_title(title, "7").text == title
    # In running text, behind another word, and where no title word begins so, it is a name as before.
    assert by_patterns.run("Consult - History and Phy.", "7").text == "Consult - History and [**NAME**]."
    assert by_patterns.run_title("Consult - Seen by Phy.", "7").text == "Consult - Seen by [**NAME**]."
    assert by_patterns.run_title("Consult - History and Okafor.", "7").text == "Consult - History and [**NAME**]."
    # Whom the roster names goes all the same.
    path = write_roster(tmp_path / "roster.csv", [["7", "Ann", "Phy", "1950-01-01", "1234567"]])
    with_roster = Deidentifier(DeidConfig(), Roster(path))
    assert with_roster.run_title("Consult - History and Phy.", "7").text == "Consult - History and [**NAME**]."
