"""A roster's identifiers are found however they are written, and their own kinds of ambiguity are respected."""

from pathlib import Path

import pytest

from data_pipeline.deid.detect import deidentify
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.spans import PhiSpan
from launch.errors import NotemillError
from tests.data_pipeline.corpora import write_roster

HEADER = "SUBJECT_ID,FIRST_NAME,LAST_NAME,DOB,MRN,PHONE,ADDRESS,SEX,HOBBY"
ROWS = [
    [
        "70001",
        "Priya",
        "Okafor",
        "1950-02-03",
        "7893287",
        "(465) 555-9647",
        "4164 Elm Court, Fairview 84019",
        "F",
        "chess",
    ],
    ["70002", "Wei", "Walker", "10/13", "55", "", "", "M", ""],
    ["70003", "Zoë", "D'Amico-Li", "", "", "", "", "F", ""],
]


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    return Roster(write_roster(tmp_path / "roster.csv", ROWS, HEADER))


@pytest.mark.parametrize(
    "text",
    [
        "saw okafor today",
        "saw OKAFOR, PRIYA today",
        "saw Okafor's son",
        "priya\n   okafor came",
        "number 465.555.9647 rang",
        "number 4655559647 rang",
        "code 7893287 given",
        "near 4164 elm  court",
        "on Feb 3 1950",
        "on 2/3/1950",
        "zoe waits",
        "D’Amico‐Li waits",
    ],
)
def test_found_in_any_note(roster: Roster, text: str) -> None:
    result = deidentify(text, "someone else", roster)
    assert result.text != text
    assert not result.leaks


@pytest.mark.parametrize("text", ["okaforic acid", "12 7893287123 x", "priyanka"])
def test_only_whole_words(roster: Roster, text: str) -> None:
    assert roster.find(text, "70001") == []


def test_a_listed_name_stays_whole_though_it_is_a_title(tmp_path: Path) -> None:
    roster = Roster(
        write_roster(tmp_path / "r.csv", [["70004", "Captain", "Okonkwo", "", "", "", "", "F", ""]], HEADER)
    )
    text = deidentify("Seen by Captain Okonkwo, OKONKWO, CAPTAIN and Captain Hilliard.", "1", roster).text
    assert text == "Seen by [**NAME**] and [**NAME**] [**NAME**]."


def test_an_ordinary_word_counts_with_a_capital_or_in_the_own_note(roster: Roster) -> None:
    assert deidentify("uses a walker", "70001", roster).text == "uses a walker"
    assert deidentify("uses Walker method", "70001", roster).text == "uses [**NAME**] method"
    assert deidentify("uses a walker", "70002", roster).text == "uses a [**NAME**]"


def test_what_identifies_only_its_owner(roster: Roster) -> None:
    text = "pain 10/13 and 55"
    assert deidentify(text, "70001", roster).text == text
    assert deidentify(text, "70002", roster).text == "pain [**DATE**] and [**MRN**]"
    assert deidentify("li waits, Li waits", "70003", roster).text == "li waits, [**NAME**] waits"


def test_single_names_of_the_own_patient_only(tmp_path: Path) -> None:
    roster = Roster(write_roster(tmp_path / "roster.csv", ROWS, HEADER), "own")
    # The roster alone: the lexicons find such a name by themselves.
    assert roster.find("saw okafor today", "70002") == []
    assert roster.find("saw okafor today", "70001") == [PhiSpan(4, 10, "NAME")]
    assert roster.find("saw priya okafor today", "70002") == [PhiSpan(4, 16, "NAME")]


def test_the_verifier_sees_a_number_that_is_broken_up(roster: Roster) -> None:
    assert deidentify("code 78 93-28 7 given", "70002", roster).leaks
    assert not deidentify("code 78 93-28 8 given", "70002", roster).leaks


def test_the_verifier_does_not_take_placeholders_for_names(tmp_path: Path) -> None:
    roster = Roster(write_roster(tmp_path / "r.csv", [["1", "Name", "Date", "", ""], ["2", "Ann", "Hill", "", ""]]))
    assert not roster.leaks("[**NAME**] on [**DATE**]", "1")
    assert roster.leaks("date of visit", "1")


def test_columns_are_recognised_or_reported(roster: Roster) -> None:
    assert roster.summary.columns_used == ("first_name", "last_name", "dob", "mrn", "phone", "address")
    assert roster.summary.columns_not_used == ("sex", "hobby")
    assert roster.summary.patients == 3


def test_roster_mistakes(tmp_path: Path) -> None:
    for content, expected in {
        "NAME\nAnn\n": "no patient column",
        "SUBJECT_ID,NAME\n1,\n": "holds no identifier",
        "SUBJECT_ID,NAME\n12345,Ann,Hill\n": "record 2",
    }.items():
        (tmp_path / "roster.csv").write_text(content)
        with pytest.raises(NotemillError, match=expected):
            Roster(tmp_path / "roster.csv")
    with pytest.raises(NotemillError, match="no roster at"):
        Roster(tmp_path / "absent.csv")
