"""Each reader yields every row of its input as a note or as the reason why not."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.config import CorpusConfig
from data_pipeline.manifest import iter_notes
from data_pipeline.notes import Note, Row
from data_pipeline.patients import SPLITS
from data_pipeline.readers import check_input, read_rows
from data_pipeline.readers.inputs import hash_inputs, parse_inputs
from launch.config import load_config
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build, noteevents_row, write_jsonl, write_noteevents, write_omop


def read(spec: str, *settings: str) -> list[Row]:
    config = load_config(CorpusConfig, None, settings)
    rows: list[Row] = []
    for item in hash_inputs(parse_inputs([spec])):
        check_input(item, config)
        rows += read_rows(item, config)
    return rows


def reasons(rows: list[Row]) -> Counter[str]:
    return Counter("note" if isinstance(row, Note) else row.reason for row in rows)


def notes(rows: list[Row]) -> list[Note]:
    return [row for row in rows if isinstance(row, Note)]


def test_noteevents_rows_become_notes_or_reasons(tmp_path: Path) -> None:
    path = write_noteevents(
        tmp_path / "notes.csv.gz",
        [
            noteevents_row(1, 10, 'First line.\r\nSecond "quoted", line.\n\nLast.', category="Physician "),
            noteevents_row(2, 10, "Taken back.", iserror="1"),
            noteevents_row(3, 11, " \n "),
            noteevents_row(4, "", "Whose?"),
            noteevents_row(5, 12, "Too short")[:-2],
        ],
    )
    rows = read(f"noteevents:{path}")
    assert reasons(rows) == {"note": 1, "retracted": 1, "empty_text": 1, "missing_patient": 1, "broken_row": 1}
    (note,) = notes(rows)
    assert (note.note_id, note.patient_id, note.note_type, note.source) == ("1", "10", "Physician", "noteevents")
    assert note.text == 'First line.\r\nSecond "quoted", line.\n\nLast.'


def test_mimic_iv_is_known_by_its_header(tmp_path: Path) -> None:
    header = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"]
    path = write_noteevents(tmp_path / "discharge.csv", [["10-DS-1", "10", "", "DS", "1", "", "", "Home."]], header)
    (note,) = notes(read(f"noteevents:{path}"))
    assert (note.note_id, note.patient_id, note.note_type, note.text) == ("10-DS-1", "10", "DS", "Home.")


def test_csv_with_nuls_foreign_bytes_and_fields_beyond_the_library_limit(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    long_text = "x" * 300_000
    path.write_bytes(
        b"\xef\xbb\xbfROW_ID,SUBJECT_ID,CATEGORY,ISERROR,TEXT\r\n"
        b'1,10,A,,"caf\xe9 at 37\xb0"\r\n2,11,A,,"a\0b"\r\n3,12,A,,' + long_text.encode() + b"\r\n4,13,A,,last"
    )
    found = notes(read(f"noteevents:{path}"))
    assert [note.text for note in found] == ["café at 37°", "ab", long_text, "last"]
    assert [note.repaired_encoding for note in found] == [True, False, False, False]


def test_a_record_that_is_no_csv_is_one_broken_row(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(b"ROW_ID,SUBJECT_ID,CATEGORY,ISERROR,TEXT\n1,10,A,,one\n2,11,A,,two\rthree\n4,13,A,,four\n")
    rows = read(f"noteevents:{path}")
    assert reasons(rows) == {"note": 2, "broken_row": 1}
    assert [note.text for note in notes(rows)] == ["one", "four"]


def test_omop_parquet_csv_and_folder(tmp_path: Path) -> None:
    folder = tmp_path / "omop"
    folder.mkdir()
    write_omop(folder / "note.parquet", [(1, 7, "Letter", "One."), (2, None, "Letter", "Two."), (3, 8, "Letter", None)])
    (folder / "note_2.csv").write_text("NOTE_ID,PERSON_ID,NOTE_TEXT\n4,9,Four.\n")
    (folder / "person.csv").write_text("person_id\n7\n")
    rows = read(f"omop:{folder}")
    assert reasons(rows) == {"note": 2, "missing_patient": 1, "empty_text": 1}
    assert [(note.note_id, note.patient_id, note.note_type) for note in notes(rows)] == [
        ("1", "7", "Letter"),
        ("4", "9", ""),
    ]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "jsonl.bz2"])
def test_jsonl_with_usual_keys_and_without_a_patient(tmp_path: Path, ending: str) -> None:
    path = write_jsonl(
        tmp_path / f"notes.{ending}",
        [
            {"id": "a", "text": "One."},
            {"note_id": 5, "text": "Two.", "subject_id": 9, "type": "ED"},
            '{"id": "c", "te',
            "[1]",
            "",
            {"id": "d"},
        ],
    )
    rows = read(f"jsonl:{path}")
    assert reasons(rows) == {"note": 2, "bad_json": 1, "broken_row": 1, "empty_text": 1}
    assert [(note.note_id, note.patient_id, note.note_type) for note in notes(rows)] == [
        ("a", "a", ""),
        ("5", "9", "ED"),
    ]


def test_jsonl_keys_by_name(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "n.jsonl", [{"k": 1, "body": "One.", "who": "p", "from": "ward 3/b", "text": "no"}])
    for rows in (
        read(f"jsonl:{path}", "jsonl.id=k", "jsonl.text=body", "jsonl.patient=who", "jsonl.source=from"),
        read(f"jsonl:{path}?id=k&text=body&patient=who&source=from", "jsonl.text=k"),
    ):
        (note,) = notes(rows)
        assert (note.note_id, note.text, note.patient_id, note.source) == ("1", "One.", "p", "ward_3_b")


def test_a_name_fills_the_source_column(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "n.jsonl", [{"text": "One."}])
    assert [note.source for note in notes(read(f"letters=jsonl:{path}"))] == ["letters"]


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl.gz", "jsonl.zst", "jsonl.bz2"])
def test_a_cut_file_is_an_error_however_far_it_reads(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"notes.{ending}"
    if ending.startswith("csv"):
        write_noteevents(path, (noteevents_row(n, n, f"Note {n} of many, {n * n}.") for n in range(20_000)))
    else:
        write_jsonl(path, ({"id": n, "text": f"Note {n} of many, {n * n}."} for n in range(20_000)))
    data = path.read_bytes()
    kind = ending.split(".")[0].replace("csv", "noteevents")
    assert len(notes(read(f"{kind}:{path}"))) == 20_000
    for cut in (len(data) - 5, len(data) // 2):
        path.write_bytes(data[:cut])
        with pytest.raises(NotemillError, match=r"ends in the middle of its compressed data"):
            read(f"{kind}:{path}")


def test_several_compressed_members_are_one_file(tmp_path: Path) -> None:
    parts = [write_jsonl(tmp_path / f"{n}.jsonl.zst", [{"id": n, "text": f"Note {n}."}]).read_bytes() for n in range(3)]
    joined = tmp_path / "all.jsonl.zst"
    joined.write_bytes(b"".join(parts))
    assert [note.note_id for note in notes(read(f"jsonl:{joined}"))] == ["0", "1", "2"]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "not.parquet").write_text("no parquet")
    (tmp_path / "keys.jsonl").write_text('{"note": "One."}\n')
    (tmp_path / "plain.csv.gz").write_bytes(b"ROW_ID,TEXT\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"ROW_ID")[:12])
    for spec, expected in {
        f"noteevents:{tmp_path}/wrong.csv": "no column row_id, subject_id.* its columns are a, b",
        f"noteevents:{tmp_path}/plain.csv.gz": "not valid gzip",
        f"noteevents:{tmp_path}/cut.csv.gz": "ends in the middle",
        f"omop:{tmp_path}/not.parquet": "not a readable Parquet",
        f"jsonl:{tmp_path}/empty.jsonl": "is empty",
        f"jsonl:{tmp_path}/keys.jsonl": r"no column 'text'; name it with \?text=COLUMN .*; its columns are note",
        f"jsonl:{tmp_path}/absent.jsonl": "no input at",
        f"jsonl:{tmp_path}/folder": "holds no jsonl file",
        f"hl7:{tmp_path}/wrong.csv": "unknown input kind 'hl7'.*known kinds are noteevents, omop, jsonl",
        "notes.csv": "is not KIND:PATH",
    }.items():
        with pytest.raises(NotemillError, match=expected) as error:
            read(spec)
        assert "\n" not in str(error.value)


def test_a_csv_that_ends_in_an_open_quote_is_refused(tmp_path: Path) -> None:
    path = write_noteevents(tmp_path / "n.csv", [noteevents_row(1, 1, "whole"), noteevents_row(2, 1, "cut off")])
    path.write_bytes(path.read_bytes()[: -len('ff"\r\n')])
    with pytest.raises(NotemillError, match="ends inside an open quoted field"):
        build(tmp_path / "corpus", f"noteevents:{path}")
    assert not (tmp_path / "corpus").exists()


def test_a_row_in_the_place_of_the_header_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("17,2150-01-01,Mrs. Example was seen\n18,2150-01-02,again\n")
    with pytest.raises(NotemillError, match="has 3 columns") as error:
        build(tmp_path / "corpus", f"csv:{path}")
    assert "Example" not in str(error.value)


def test_a_needed_column_may_not_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("id,text,other,other,Text\n1,a,b,c,d\n")
    with pytest.raises(NotemillError, match="2 columns called 'text'"):
        build(tmp_path / "corpus", f"csv:{path}")


def test_a_patient_is_one_patient_over_sources(tmp_path: Path) -> None:
    texts = [f"Seen in clinic number {word}, no complaints." for word in ("one", "two", "three")]
    rows = [{"id": 1, "patient_id": 20000.0, "text": texts[0]}, {"id": 2, "patient_id": "20000", "text": texts[1]}]
    (tmp_path / "n.csv").write_text(f'id,patient,text\n3.0,20000.0,"{texts[2]}"\n')
    build(
        tmp_path / "corpus",
        f"jsonl:{write_jsonl(tmp_path / 'n.jsonl', rows)}",
        f"csv:{tmp_path / 'n.csv'}",
        settings=["dedup.near=false"],
    )
    notes = [note for split in SPLITS for note in iter_notes(tmp_path / "corpus", split)]
    assert {note["note_id"] for note in notes} == {"1", "2", "3"} and len({note["patient_key"] for note in notes}) == 1


def test_an_input_that_is_still_being_written_is_told(tmp_path: Path) -> None:
    path = write_noteevents(tmp_path / "n.csv", [noteevents_row(n, n, f"Note {n}.") for n in range(60)])
    (item,) = hash_inputs(parse_inputs([f"noteevents:{path}"]))
    assert len(list(read_rows(item, CorpusConfig()))) == 60
    rows = read_rows(item, CorpusConfig())
    next(rows)
    with path.open("a") as stream:
        stream.write('"99","99","","2150-01-01","Nursing","Report","","Late."\r\n')
    with pytest.raises(NotemillError, match=r"n\.csv changed while it was read"):
        list(rows)
