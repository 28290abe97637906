"""The verifier finds identifiers in every manner of writing, and leaves alone what only looks like them."""

from pathlib import Path

import pytest

from data_pipeline.gate.verifier import Verifier
from data_pipeline.patients import patient_key
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY, write_roster

HEADER = "SUBJECT_ID,FIRST_NAME,MIDDLE_NAME,LAST_NAME,DOB,MRN,SSN,PHONE,ADDRESS,SEX"
ROWS = [
    [
        "70001",
        "Priya",
        "Mary",
        "Okafor",
        "1950-02-03",
        "7893287",
        "290-81-0033",
        "(465) 555-9647",
        "4164 Elmwood Court",
        "F",
    ],
    ["70002", "Zoë", "", "O'Brien-Müller", "", "A-55812345", "", "", "", "F"],
    ["70003", "Grace", "", "Walker", "", "", "", "", "", "F"],
    ["70004", "Иван", "", "Кузнецов", "", "", "", "", "", "M"],
]


def key_of(patient: str) -> str:
    return patient_key(KEY, patient)


def verifier(folder: Path, single_names: str = "every", staff: bool = True, shapes: bool = False) -> Verifier:
    roster = write_roster(folder / "roster.csv", ROWS, HEADER)
    staff_file = (
        write_roster(folder / "staff.csv", [["1", "Quentin Foley", "88123456"]], "ID,NAME,NPI") if staff else None
    )
    return Verifier(roster, staff_file, single_names, shapes, key_of)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "saw priya okafor",
        "saw OKAFOR, PRIYA M.",
        "Okafor's son",
        "Priya\n   Okafor",
        "with Priya M Okafor",
        "with P. Okafor",
        "Okafor P",
        "P.M. Okafor",
        "PriyaOkafor came",
        "with Oka-\nfor",
        "with Priya Oka\nfor",
        "signed O K A F O R",
        "O’Brien came",
        "OBrien came",
        "zoe o brien muller",
        "Zoe Mueller",
        "Zoe Muller",
        "ZOË MÜLLER",
        "no 7893287",
        "call 465.555.9647",
        "465 555-\n9647",
        "4655559647",
        "ssn 290 81 0033",
        "290810033",
        "chart A55812345",
        "chart a 55812345",
        "at 4164 elmwood ct",
        "Grace Walker",
        "с Иваном: Иван Кузнецов",
        "Quentin Foley",
        "Foley, Quentin",
        "by Dr. Foley",
        "npi 88123456",
    ],
)
def test_found_in_any_note(tmp_path: Path, text: str) -> None:
    assert verifier(tmp_path).check_text(f"Today {text} again.", key_of("someone else"))


@pytest.mark.parametrize(
    "text",
    [
        "a Foley catheter was placed",
        "uses a walker",
        "WALKER at bedside",
        "gave grace",
        "okaforic acid",
        "priyanka",
        "12 7893287123 x",
        "bp 78 93 28 7",
        "[**NAME**] seen on [**DATE**]",
        "P.M. dose",
        "4164 steps",
        "elmwood",
        "pri\nya",
        "2/3 strength",
        "Feb 3 1950",
    ],
)
def test_left_alone_in_others_notes(tmp_path: Path, text: str) -> None:
    assert not verifier(tmp_path).check_text(f"Today {text} again.", key_of("someone else"))


@pytest.mark.parametrize(
    "text",
    [
        "born 2/3/50",
        "on Feb 3 1950",
        "3 February 1950",
        "03FEB1950",
        "1950-02-03",
        "DOB 2/3",
        "bp 78 93 28 7",
        "pager 555 9647",
        "id 70001",
    ],
)
def test_found_in_the_own_notes(tmp_path: Path, text: str) -> None:
    assert verifier(tmp_path).check_text(f"Today {text} again.", key_of("70001"))
    assert not verifier(tmp_path).check_text(f"Today {text} again.", key_of("70002"))


def test_single_names_of_the_own_patient_only(tmp_path: Path) -> None:
    strict = verifier(tmp_path, single_names="own")
    assert not strict.check_text("saw okafor today", key_of("70002"))
    assert strict.check_text("saw okafor today", key_of("70001"))
    assert strict.check_text("uses a walker", key_of("70003"))
    assert strict.check_text("saw priya okafor today", key_of("70002"))


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Hill",
        "MS. Hill",
        "MS. CHILDREN",
        "Ms. Children",
        "Mr. Abcarian",
        "465-555-9647",
        "a.hill@example.org",
        "MRN: 55123",
        "3 May 2019",
        "12Mar19",
        "a 93-year-old",
        "12 Elm Court",
        "www.example.org",
        "290-81-0033",
        "8123456",
    ],
)
def test_shapes_are_found(text: str) -> None:
    assert Verifier(None, None, "every", True, key_of).check_text(f"On {text} today.", "")


@pytest.mark.parametrize(
    "text",
    [
        "Dr. The plan",
        "typical of MS. Children",
        "underlying MR. Speech",
        "Mr. Abc's",
        "Dr. XYZ",
        "120/80",
        "5/5 strength",
        "HCV 1200000 copies/ml",
        "0.1234567",
        "MS Contin",
        "a 65-year-old",
        "in 2019",
        "[**PHONE**]",
        "platelets 250000",
        "T 98.6",
    ],
)
def test_what_is_no_shape(text: str) -> None:
    assert not Verifier(None, None, "every", True, key_of).check_text(f"On {text} today.", "")


def test_planted_identifiers_are_found_and_a_blind_verifier_stops(tmp_path: Path) -> None:
    sharp = verifier(tmp_path, shapes=True)
    result = sharp.self_test()
    assert result["planted"] == result["found"] > 25
    sharp.check_text = lambda text, patient: set() if "\n" in text else {"x"}  # type: ignore[method-assign]
    with pytest.raises(
        NotemillError, match=r"as patient name over two lines|patient name hyphenated over two lines"
    ) as told:
        sharp.self_test()
    assert not any(name in str(told.value) for row in ROWS for name in row if len(name) > 1)


def test_lists_of_people_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotemillError, match="no list of staff at"):
        Verifier(None, tmp_path / "absent.csv", "every", True, key_of)
    useless = write_roster(tmp_path / "s.csv", [["chess"]], "HOBBY")
    with pytest.raises(NotemillError, match="no column of names or numbers"):
        Verifier(None, useless, "every", True, key_of)
