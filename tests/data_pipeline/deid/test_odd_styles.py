"""Identifiers in the styles of hurried people: lower case, capitals, initials, kin, odd dates, broken lines.

`odd_styles.txt` holds invented notes, apart by a line of dashes, with identifiers marked as {LABEL:text}. Each part
was first scored before anything was changed for it.
"""

import re
from pathlib import Path

import pytest

from data_pipeline.deid.detect import deidentify
from data_pipeline.deid.score import GoldNote, score_deid

STYLES = Path(__file__).with_name("odd_styles.txt")


def marked_notes() -> list[GoldNote]:
    notes = []
    for number, block in enumerate(STYLES.read_text(encoding="utf-8").split("\n----\n")):
        text, spans = "", []
        for part in re.split(r"(\{[A-Z]+:[^}]*\})", block.strip("\n")):
            label, _, value = part.strip("{}").partition(":") if part.startswith("{") else ("", "", part)
            if label:
                spans.append((len(text), len(text) + len(value), label))
            text += value
        notes.append(GoldNote(str(number), "", text, tuple(spans)))
    return notes


def test_most_are_found_without_a_roster() -> None:
    score = score_deid(marked_notes())
    assert score["recall"] is not None and score["recall"] >= 0.94
    assert score["precision"] is not None and score["precision"] >= 0.94
    for label in ("DATE", "CONTACT", "ID", "AGE"):
        recall = score["classes"][label]["recall"]
        assert recall is not None and recall >= 0.95, label


@pytest.mark.parametrize(
    "line",
    [
        "Foley removed, Parkinson disease, Apgars 8 and 9, Graves disease, Wilson disease, Kelly clamp, Jackson-Pratt.",
        "Guillain-Barre syndrome, Hill-Sachs lesion, Bell palsy, Turner syndrome, the Glenn shunt, Mallory-Weiss tear.",
        "Lasix, Coumadin, Tylenol and Zosyn were given; Lipitor held. Betadine prep. Vicryl to skin.",
        "Patient denies chest pain. Mother had HTN, father CAD. Wife reports snoring. Brother alive and well.",
        "Discussed with Neurology and Social Work. Seen by Wound Care. Per Pharmacy, hold Heparin.",
        "He hopes to walk, may drive, will rest; frank blood, rose spots, long leg cast, young woman, gene therapy.",
        "MEDICATIONS: ASPIRIN AND METFORMIN. ASSESSMENT: STABLE ANGINA. CONTINUE COREG. FOLEY TO GRAVITY.",
        "A 62 year old man from Iowa with Lyme disease seen for follow-up in Texas.",
    ],
)
def test_eponyms_drugs_and_plain_words_stay(line: str) -> None:
    assert deidentify(line).text == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("saw andrew delgado today", "saw [**NAME**] today"),
        ("discussed w/ Thandiwe and her cousin Oluwaseun", "discussed w/ [**NAME**] and her cousin [**NAME**]"),
        (
            "Present: Maria Lopez, John Smith, Wei Chen, Ann Hill, Bob Jones, Priya Okafor",
            "Present: " + ", ".join(["[**NAME**]"] * 6),
        ),
        ("Maria Lopez exam today; Hector assessment done", "[**NAME**] exam today; [**NAME**] assessment done"),
        ("Itzel says he fell", "[**NAME**] says he fell"),
        ("Mr. van der Berg came", "Mr. [**NAME**] came"),
        ("card 4111 1111 1111 1111", "card [**ACCOUNT**]"),
        ("VIN 1HGCM82633A004352, plate 7KTR 204", "VIN [**ID**], plate [**ID**]"),
        ("x35512; +48 22 555 01 23", "x[**PHONE**]; [**PHONE**]"),
        ("born 07/\n19/1944", "born [**DATE**]"),
        ("lives in lowell; from Akron to Woonsocket", "lives in [**LOCATION**]; from [**LOCATION**] to [**LOCATION**]"),
    ],
)
def test_names_and_numbers_that_nothing_announces(text: str, expected: str) -> None:
    assert deidentify(text).text == expected
