"""Invented values: one person stays one person, time between dates stays, and nobody real comes out."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.config import DeidConfig
from data_pipeline.deid.date_shift import shift_date
from data_pipeline.deid.detect import Deidentifier
from data_pipeline.deid.roster import Roster
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.surrogates import Surrogates
from data_pipeline.manifest import load_corpus
from tests.data_pipeline.corpora import KEY, build, texts, write_jsonl, write_roster


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("3/9/19", "4/18/19"),
        ("03/09/2019", "04/18/2019"),
        ("2019-03-09T10:22:00", "2019-04-18T10:22:00"),
        ("Mon, March 3rd, 2014", "Sat, April 12th, 2014"),
        ("12Mar19", "21Apr19"),
        ("DEC 1, 2019", "JAN 10, 2020"),
        ("3rd of March 2019", "12th of April 2019"),
        ("Jan\n14, 2019", "Feb\n23, 2019"),
        ("Mar '15", "Apr '15"),
        ("4/13", "5/23"),
        ("1/2-1/5", "2/11-2/14"),
        ("14.08.2017", "23.09.2017"),
    ],
)
def test_dates_move_in_their_own_form(written: str, moved: str) -> None:
    assert shift_date(written, 40, 2019) == moved


@pytest.mark.parametrize("written", ["Christmas", "2/30/2019", "the 4th", "12", "99/99/99"])
def test_what_is_no_date_moves_nowhere(written: str) -> None:
    assert shift_date(written, 40, 2019) is None


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.text(max_size=5))
def test_the_time_between_dates_stays(first: date, second: date, patient: str) -> None:
    days = Surrogates(KEY, patient).shift_days
    assert days != 0
    moved = [date.fromisoformat(shift_date(day.isoformat(), days, 2001) or "") for day in (first, second)]
    assert moved[1] - moved[0] == second - first


def replaced(text: str, patient: str = "7", **spans: str) -> str:
    """`text` with each word of `spans` (CLASS="a|b") replaced."""
    found = [
        PhiSpan(match.start(), match.end(), cls)  # type: ignore[arg-type]
        for cls, values in spans.items()
        for match in re.finditer(values, text)
    ]
    return Surrogates(KEY, patient).replace(text, sorted(found))


def test_one_person_is_one_person_in_every_spelling() -> None:
    out = replaced(
        "Kim, Andrew; ANDREW KIM; andrew; A. Kim; Mr. Kim's", NAME="Kim, Andrew|ANDREW KIM|andrew|A. Kim|Kim"
    )
    surname, given = re.match(r"(\w+), (\w+);", out).groups()  # type: ignore[union-attr]
    assert out == (
        f"{surname}, {given}; {given.upper()} {surname.upper()}; {given.lower()}; "
        f"{given[0]}. {surname}; Mr. {surname}'s"
    )
    assert not {"kim", "andrew"} & {surname.lower(), given.lower()}
    assert replaced("Andrew Kim", "8", NAME="Andrew Kim") != replaced("Andrew Kim", "7", NAME="Andrew Kim")


def test_numbers_keep_their_shape_and_are_nobodys() -> None:
    assert re.fullmatch(r"\(\d{3}\) 555-\d{4}", replaced("(617) 234-9876", PHONE=r"\(.*"))
    assert re.fullmatch(r"000-\d\d-\d{4}", replaced("123-45-6789", SSN=".+"))
    assert re.fullmatch(r"[A-Z]{2}\d{3}-\d", replaced("AB123-4", MRN=".+"))
    assert replaced("x@y.org", EMAIL=".+").endswith("@example.org")
    assert replaced("93", AGE=".+") == "90"


def test_a_birth_year_does_not_tell_an_age_over_89() -> None:
    assert replaced("1/2/1920 and 3/4/2019", DATE=r"\d+/\d+/\d+").startswith("[**DATE**] and ")


def test_no_surrogate_is_in_the_roster(tmp_path: Path) -> None:
    from data_pipeline.deid.words import census_given_names, census_surnames

    everybody = [[str(n), name, name, "", ""] for n, name in enumerate({**census_surnames(), **census_given_names()})]
    roster = Roster(write_roster(tmp_path / "roster.csv", everybody))
    result = Deidentifier(DeidConfig(mode="surrogate"), roster, KEY).run("1 Maria Smith 2 Ravi O'Brien 3", "x")
    assert result.masked == "1 [**NAME**] 2 [**NAME**] 3" and not result.leaks
    assert [word for word in re.findall(r"[a-z]+", result.text.lower()) if roster.knows(word)] == []
    assert re.fullmatch(r"1 \w+ \w+ 2 \w+ \w+ 3", result.text)


def test_modes_of_a_build(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "patient": "7", "text": "Dr. Okafor saw Ann Hill on 3/4/2019 for a cough."},
        {"id": "b", "patient": "7", "text": "Ann Hill was seen again on 3/14/2019, well."},
        {"id": "c", "patient": "8", "text": "No identifier at all, [**Known lastname 12**] is fine."},
    ]
    spec = f"jsonl:{write_jsonl(tmp_path / 'n.jsonl', rows)}"
    build(tmp_path / "s", spec, settings=["deid.mode=surrogate"])
    made = texts(tmp_path / "s")
    assert not re.search(r"Hill|Okafor|\[\*\*", made["a"] + made["b"])
    assert made["a"].split(" saw ")[1].split(" on ")[0] == made["b"].split(" was ")[0]
    days = [date(int(y), int(m), int(d)) for m, d, y in re.findall(r"(\d+)/(\d+)/(\d{4})", made["a"] + made["b"])]
    assert (days[1] - days[0]).days == 10
    manifest = load_corpus(tmp_path / "s")
    assert manifest["counts"]["quarantined"] == 0
    assert "shapes in the output" not in {waiver["check"] for waiver in manifest["attestation"]["waivers"]}
    build(tmp_path / "v", spec, settings=["deid.mode=verify"])
    assert texts(tmp_path / "v") == {"c": rows[2]["text"]}
    assert load_corpus(tmp_path / "v")["counts"]["quarantined"] == 2
