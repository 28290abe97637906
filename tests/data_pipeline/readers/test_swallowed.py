"""Records behind a quote that was never closed are read, and notes with quotes and pasted tables stay whole."""

import csv
import io
import uuid
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.config import CorpusConfig
from data_pipeline.notes import Note, Row
from data_pipeline.readers import read_rows
from data_pipeline.readers.inputs import parse_inputs

HEADER = ["ROW_ID", "SUBJECT_ID", "CHARTDATE", "CATEGORY", "ISERROR", "TEXT"]


def read(path: Path, text: str, kind: str = "noteevents", settings: str = "") -> list[Row]:
    path.write_text(text, newline="", encoding="utf-8")
    (item,) = parse_inputs([f"{kind}:{path}{settings}"])
    return list(read_rows(item, CorpusConfig()))


def table(number: int, quoting: int, delimiter: str = ",") -> list[str]:
    """Records as they stand in the file; every third note has several lines and quotes of its own."""
    records = []
    for n in range(number):
        text = f'Note {n}, "stable".\nSecond line,\n\n1,2,3' if n % 3 == 0 else f"Note {n} of a stable patient"
        stream = io.StringIO()
        csv.writer(stream, quoting=quoting, delimiter=delimiter).writerow(  # type: ignore[arg-type]
            [n, n % 7, "2150-01-01", "Nursing", "", text]
        )
        records.append(stream.getvalue())
    return records


def file_of(records: list[str], delimiter: str = ",") -> str:
    return delimiter.join(HEADER) + "\r\n" + "".join(records)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("broken", [10, 11, 12, 29, 57])
def test_an_unclosed_quote_costs_one_note(tmp_path: Path, quoting: int, broken: int) -> None:
    records = table(60, quoting)
    start = records[broken].rindex('"') if records[broken].endswith('"\r\n') else None
    if start is None:
        # A quote opens a text that had none.
        head, tail = records[broken].rsplit(",", 1)
        records[broken] = f'{head},"{tail}'
    else:
        records[broken] = records[broken][:start] + "\r\n"
    rows = read(tmp_path / "n.csv", file_of(records))
    assert Counter(type(row) is Note for row in rows) == {True: 59, False: 1}
    assert [row.note_id for row in rows if isinstance(row, Note)] == [str(n) for n in range(60) if n != broken]
    assert rows[broken].reason == "broken_row"  # type: ignore[union-attr]
    assert not any("2150" in row.text for row in rows if isinstance(row, Note))


def test_a_quote_that_nothing_closes_to_the_end_of_the_file(tmp_path: Path) -> None:
    records = [f"{n},3,2150-01-01,Nursing,,Note {n}\r\n" for n in range(20)]
    records[8] = '8,3,2150-01-01,Nursing,,"Note 8\r\n'
    rows = read(tmp_path / "n.csv", file_of(records))
    assert [type(row) is Note for row in rows] == [n != 8 for n in range(20)]


@pytest.mark.parametrize(
    "ids", [lambda n: str(uuid.UUID(int=n * 7**40 % 2**128)), lambda n: f"N-{n}", lambda n: f"{n}.0"]
)
def test_ids_of_many_forms(tmp_path: Path, ids) -> None:
    records = [f'{ids(n)},"Note {n}\nline two",p{n % 5}\n' for n in range(30)]
    records[12] = records[12].replace('two"', "two")
    rows = read(tmp_path / "n.csv", "id,text,patient\n" + "".join(records), "csv")
    assert Counter(type(row) is Note for row in rows) == {True: 29, False: 1}


def test_notes_with_loose_quotes_and_pasted_tables_stay_whole(tmp_path: Path) -> None:
    pasted = "Values:\n7,3,2150-01-01,Nursing,,from another system\n8,3,2150-01-02,Nursing,,more"
    records = table(12, csv.QUOTE_ALL)
    records.append(f'"100","3","2150-01-01","Nursing","","{pasted}"\r\n')
    records.append('"101","3","2150-01-01","Nursing","","She said "no" twice"\r\n')
    records.append('"102","3","2150-01-01","Nursing","","3 cm (1"") long,\n2"" wide, 4 deep"\r\n')
    rows = read(tmp_path / "n.csv", file_of(records))
    assert len(rows) == 15 and all(isinstance(row, Note) for row in rows)
    assert rows[12].text == pasted  # type: ignore[union-attr]


def test_without_quoting_nothing_is_looked_for(tmp_path: Path) -> None:
    records = [f'{n}\t3\t2150-01-01\tNursing\t\t"Note {n}\n' for n in range(9)]
    rows = read(tmp_path / "n.csv", file_of(records, "\t"), settings="?quoting=none")
    assert [row.text for row in rows if isinstance(row, Note)] == [f'"Note {n}' for n in range(9)]
