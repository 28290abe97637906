"""Rosters and staff lists as hospitals export them are understood alike by the detectors and the gate."""

from pathlib import Path

import pytest

from data_pipeline.deid.roster import Roster
from data_pipeline.gate.people import open_people
from data_pipeline.gate.verifier import Verifier
from data_pipeline.patients import patient_key
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY

PLAIN = "patient_id,first_name,last_name,dob,mrn,phone\n20000,Zoë,Okafor-Lee,1950-02-03,0012345678,4655559647\n"
EXPORTS = {
    "plain": PLAIN.encode(),
    "floats of a data frame": PLAIN.replace("20000,", "20000.0,").replace("9647\n", "9647.0\n").encode(),
    "a spreadsheet's header": PLAIN.replace("patient_id,first_name", "Patient ID,First Name").encode(),
    "camel case": PLAIN.replace("patient_id,first_name,last_name", "PatientID,FirstName,LastName").encode(),
    "BOM, semicolons, CRLF": ("\ufeff" + PLAIN.replace(",", ";").replace("\n", "\r\n")).encode(),
    "tabs in UTF-16": PLAIN.replace(",", "\t").encode("utf-16"),
    "CP-1252": PLAIN.encode("cp1252"),
    "quotes and spaces": PLAIN.replace("20000,Zoë,", '" 20000 ","""Zoë""",').encode(),
}


def key_of(patient: str) -> str:
    return patient_key(KEY, patient)


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_is_understood(tmp_path: Path, name: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(EXPORTS[name])
    roster, gate = Roster(path), Verifier(path, None, "every", False, key_of)
    assert roster.summary.columns_not_used == () and open_people(path, "patient").columns_not_used == []
    for text in ("Zoe Okafor-Lee", "OKAFOR", "chart 12345678", "chart 0012345678", "call 465-555-9647"):
        assert roster.leaks(text, "7") and gate.check_text(f"Today {text}.", key_of("7")), text
    assert gate.check_text("born 3 Feb 1950", key_of("20000")) and not gate.check_text("born 3 Feb 1950", key_of("7"))
    assert roster.find("id 20000", "20000")
    assert gate.self_test()["planted"] > 3


@pytest.mark.parametrize(
    "written", ["1950-02-03", "1950/02/03", "02/03/1950", "3-Feb-1950", "03-FEB-50", "19500203", "Feb 3, 1950",
                "1950-02-03T00:00:00Z", "2/3/1950 12:00:00 AM", "03.02.1950", "2/3/50"],
)  # fmt: skip
def test_dates_of_birth_in_any_form(tmp_path: Path, written: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(f'patient_id,last_name,dob\n70001,Okafor,"{written}"\n')
    gate = Verifier(path, None, "every", False, key_of)
    for text in ("2/3/50", "1950-02-03", "February 3rd, 1950", "03FEB1950", "3.2.1950"):
        assert gate.check_text(f"Today born {text}.", key_of("70001")) == {"patient date"}, text
    assert not gate.check_text("Seen 4/5/1950.", key_of("70001"))


def test_noughts_that_the_list_lost(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text("patient_id,mrn\n70001,123456\n")
    gate = Verifier(path, None, "every", False, key_of)
    assert gate.check_text("chart 00123456 pulled", key_of("7"))
    assert not gate.check_text("chart 00123457 pulled", key_of("7"))


@pytest.mark.parametrize("list_of", ["roster", "staff"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("patient_id,name\n1,Ann,Hill\n", "record 2 of the .* another number of fields"),
        ("patient_id,name\n", "has a header and no row"),
        ("patient_id,name,mrn\n1,Ann Okafor,1.23457E+09\n", "record 2 .* rounded number .* 'mrn'"),
        ("patient_id,phone,Phone\n1,5,6\n", "columns 2 and 3 of the .* have one name"),
        ("70001,Priya,Okafor\n70002,Wei,Walker\n", "3 columns, none of which"),
        ("Priya,Okafor\nWei,Walker\n", "2 columns, none of which"),
        ("", "empty or no CSV"),
    ],
)
def test_mistakes_are_told_and_nobody_is_named(tmp_path: Path, list_of: str, content: str, expected: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(NotemillError, match=expected) as told:
        Verifier(*((path, None) if list_of == "roster" else (None, path)), "every", True, key_of)
    assert not any(name in str(told.value).lower() for name in ("priya", "okafor", "ann", "wei"))
    if list_of == "roster":
        with pytest.raises(NotemillError, match=expected):
            Roster(path)
