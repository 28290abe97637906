"""Tables with columns of any name, text files and FHIR exports, from folders, globs and addresses."""

import base64
import bz2
import csv
import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_pipeline.readers.inputs import hash_inputs, parse_inputs
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build, texts, write_jsonl
from tests.data_pipeline.readers.test_readers import notes, read, reasons


def table(*rows: list[str], delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


def test_csv_columns_by_name_by_setting_and_by_habit(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(table(["Key", "MRN", "Body", "Kind"], ["1", "p", 'One, "two"\nthree', "ED"], ["2"]))
    expected = [("1", "p", 'One, "two"\nthree', "ED")]
    for rows in (
        read(f"csv:{tmp_path}/n.csv?id=Key&text=body&patient=MRN&type=Kind"),
        read(f"csv:{tmp_path}/n.csv?type=Kind", "csv.id=key"),
    ):
        assert reasons(rows) == {"note": 1, "broken_row": 1}
        assert [(note.note_id, note.patient_id, note.text, note.note_type) for note in notes(rows)] == expected
    (tmp_path / "m.csv").write_text(table(["text", "who"], ["One.", "p"], ["Two.", ""]))
    assert reasons(read(f"csv:{tmp_path}/m.csv?patient=who")) == {"note": 1, "missing_patient": 1}
    own = [note.patient_id for note in notes(read(f"a=csv:{tmp_path}/m.csv"))]
    assert [re.sub("-[0-9a-f]{12}-", "-", patient) for patient in own] == ["a-1", "a-2"]


def test_delimiters_quoting_and_escapes(tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text('id\ttext\n1\t"Pain, 2" wide\n2\tNo "fever\n')
    assert [note.text for note in notes(read(f"csv:{tmp_path}/n.tsv?quoting=none"))] == ['"Pain, 2" wide', 'No "fever']
    (tmp_path / "s.csv").write_text('id;text\n1;"a \\"b\\"; c"\n')
    assert [note.text for note in notes(read(f"csv:{tmp_path}/s.csv?escape=\\"))] == ['a "b"; c']


def test_encodings_that_are_not_utf_8(tmp_path: Path) -> None:
    content = table(["id", "text"], ["1", "Žluťoučký café 37°"], ["2", "plain"])
    for name, data, settings in (
        ("marked", content.encode("utf-16"), ""),
        ("unmarked", content.encode("utf-16-le"), ""),
        ("named", content.encode("cp1250"), "?encoding=cp1250"),
    ):
        (tmp_path / f"{name}.csv").write_bytes(data)
        found = notes(read(f"csv:{tmp_path}/{name}.csv{settings}"))
        assert [note.text for note in found] == ["Žluťoučký café 37°", "plain"]
        assert [note.repaired_encoding for note in found] == [True, False]
    # One stray byte spoils neither its line nor the good characters beside it.
    (tmp_path / "n.jsonl").write_bytes('{"text": "café 37'.encode() + b'\xb0"}\n{"text": "a\0b\\ud83d"}\n')
    assert [note.text for note in notes(read(f"jsonl:{tmp_path}/n.jsonl"))] == ["café 37°", "ab\ud83d"]
    with pytest.raises(NotemillError, match="unknown encoding 'klingon'"):
        read(f"csv:{tmp_path}/named.csv?encoding=klingon")


def test_repairs_are_counted(tmp_path: Path) -> None:
    lines = [{"text": "Temp 37Â°C, â€œstableâ€\x9d, cafÃ©."}, {"text": "À la carte, 37°C, ±2."}]
    path = write_jsonl(tmp_path / "n.jsonl", lines)
    path.write_bytes(path.read_bytes() + b'{"text": "caf\xe9"}\n')
    manifest = build(tmp_path / "corpus", f"a=jsonl:{path}")
    assert manifest["repaired"] == {"encoding": 1, "mojibake": 1}
    found = {note_id[-1]: text for note_id, text in texts(tmp_path / "corpus").items()}
    assert found == {"1": "Temp 37°C, “stable”, café.", "2": "À la carte, 37°C, ±2.", "3": "café"}


def test_parquet_of_any_types_and_with_bytes_under_the_name_of_text(tmp_path: Path) -> None:
    bad = pa.array([b"caf\xe9", b"fine", None], pa.binary()).view(pa.string())
    columns = {"N": [1.0, 2.0, 3.0], "who": pa.array(["p", "q", "r"]).dictionary_encode(), "Report": bad}
    pq.write_table(pa.table(columns), tmp_path / "n.parquet")
    rows = read(f"parquet:{tmp_path}/n.parquet?id=n&patient=who&text=report")
    found = [(note.note_id, note.patient_id, note.text) for note in notes(rows)]
    assert found == [("1", "p", "café"), ("2", "q", "fine")]
    assert reasons(rows) == {"note": 2, "empty_text": 1}
    with pytest.raises(NotemillError, match=r"no column 'txt' for text .*; its columns are N, who, Report"):
        read(f"parquet:{tmp_path}/n.parquet?text=txt")


def test_text_files_name_their_patients(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    for name, data in {
        "p1/110-01.txt": b"One.",
        "p1/110-02.txt.gz": gzip.compress(b"Two."),
        "p2/220-01.txt.bz2": bz2.compress("Drei für".encode("cp1252")),
        "p2/empty.txt": b" ",
        "p2/.hidden.txt": b"no",
        "p2/scan.pdf": b"no",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    rows = read(f"text:{folder}?patient=folder&id=stem")
    assert [(note.note_id, note.patient_id, note.text) for note in notes(rows)] == [
        ("110-01", "p1", "One."),
        ("110-02", "p1", "Two."),
        ("220-01", "p2", "Drei für"),
    ]
    assert reasons(rows) == {"note": 3, "empty_text": 1}
    rows = read(f"text:{folder}/**/*.txt*?patient=(\\d+)-")
    assert [note.patient_id for note in notes(rows)] == ["110", "110", "220"]
    assert reasons(rows)["empty_text"] == 1
    with pytest.raises(NotemillError, match="one group"):
        read(f"text:{folder}?patient=x")
    # A file may be named after a person: without id= its name is in no corpus.
    (folder / "Okafor_Priya.txt").write_text("Well.")
    build(tmp_path / "corpus", f"text:{folder}", settings=["rejects.max_share=1"])
    assert not any("Okafor" in note_id or "110" in note_id for note_id in texts(tmp_path / "corpus"))
    assert b"Okafor" not in b"".join(path.read_bytes() for path in (tmp_path / "corpus").rglob("*") if path.is_file())


def document(**changes: object) -> dict:
    resource = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "type": {"coding": [{"code": "11506-3", "display": "Progress note"}]},
        "subject": {"reference": "Patient/p1"},
        "content": [attachment("Pain since Monday.")],
    }
    return {**resource, **changes}


def attachment(text: str | bytes, kind: str = "text/plain; charset=utf-8") -> dict:
    data = text.encode() if isinstance(text, str) else text
    return {"attachment": {"contentType": kind, "data": base64.b64encode(data).decode()}}


def test_fhir_documents_become_notes_or_reasons(tmp_path: Path) -> None:
    elsewhere = {"reference": "https://x/Patient/p2/_history/1"}
    page = "<html><body><p>K &lt; 3.5</p><ul><li>one<li>two</ul><table><tr><td>Na</td><td>140</td></tr></table>"
    address = {"attachment": {"contentType": "text/plain", "url": "Binary/1"}}
    resources = [
        document(),
        document(id="d2", content=[attachment(page, "text/html")], subject=elsewhere),
        document(id="d3", content=[attachment("<b>no</b>", "text/html"), attachment("Plain.")], type={"text": "To GP"}),
        document(id="d4", content=[attachment("café".encode("latin-1"), "text/plain; charset=ISO-8859-1")]),
        document(id="d5", status="entered-in-error"),
        document(id="d6", status="superseded"),
        document(id="d7", content=[attachment("%PDF-1.4", "application/pdf")]),
        document(id="d8", content=[address]),
        document(id="d9", content=[{"attachment": {"contentType": "text/plain", "data": "abc"}}]),
        document(id="d10", subject=None),
        document(id="d11", content=[]),
        {"resourceType": "Patient", "id": "p1"},
    ]
    folder = tmp_path / "export"
    folder.mkdir()
    write_jsonl(folder / "DocumentReference.000.ndjson", [*resources, "{"])
    write_jsonl(folder / "DocumentReference.001.ndjson", [])
    write_jsonl(folder / "Patient.000.ndjson", [{"resourceType": "Patient"}])
    rows = read(f"fhir:{folder}")
    assert [(note.note_id, note.patient_id, note.note_type, note.text) for note in notes(rows)] == [
        ("d1", "p1", "Progress note", "Pain since Monday."),
        ("d2", "p2", "Progress note", "K < 3.5\n\n- one\n- two\n\nNa\t140"),
        ("d3", "p1", "To GP", "Plain."),
        ("d4", "p1", "Progress note", "café"),
    ]
    expected = {"retracted": 1, "superseded": 1, "attachment_type": 1, "attachment_elsewhere": 1, "bad_base64": 1}
    expected |= {"missing_patient": 1, "empty_text": 1, "other_resource": 1, "bad_json": 1, "note": 4}
    assert reasons(rows) == expected
    with pytest.raises(NotemillError, match="holds no DocumentReference in its first 1 lines, but Patient"):
        read(f"fhir:{folder}/Patient.000.ndjson")


def binary(name: str, text: str, kind: str = "text/plain") -> dict:
    return {"resourceType": "Binary", "id": name, **attachment(text, kind)["attachment"]}


def pointing_to(url: str, kind: str = "") -> dict:
    return {"attachment": {"url": url, **({"contentType": kind} if kind else {})}}


def test_fhir_attachments_in_binary_resources_among_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    documents = [
        document(id="d1", content=[pointing_to("Binary/before", "text/plain")]),
        document(id="d2", content=[pointing_to("https://ehr.example/fhir/Binary/beside-2/_history/3")]),
        document(id="d3", content=[pointing_to("Binary/page"), pointing_to("Binary/pdf")]),
        document(id="d4", content=[pointing_to("Binary/pdf", "text/plain")]),
        document(id="d5", content=[pointing_to("Binary/none")]),
        document(id="d6", content=[attachment("%PDF-1.4", "application/pdf"), pointing_to("Binary/behind")]),
        document(id="d7", content=[pointing_to("https://files.example/note.txt")]),
    ]
    path = write_jsonl(
        folder / "DocumentReference.ndjson", [binary("before", "Before."), *documents, binary("behind", "Behind.")]
    )
    beside = [binary("pdf", "%PDF", "application/pdf"), binary("page", "<p>On a <b>page</b>.", "text/html")]
    write_jsonl(folder / "Binary.000.ndjson", [*beside, {"resourceType": "Binary"}, binary("before", "Another.")])
    (folder / "Binary.001.ndjson.gz").write_bytes(gzip.compress(json.dumps(binary("beside-2", "Beside.")).encode()))
    write_jsonl(folder / "binary_notes.txt", [])
    for spec in (f"fhir:{folder}", f"fhir:{path}", f"fhir:{folder}/*.ndjson*"):
        rows = read(spec)
        found = {note.note_id: note.text for note in notes(rows)}
        assert found == {"d1": "Before.", "d2": "Beside.", "d3": "On a page.", "d6": "Behind."}
        expected = {"note": 4, "attachment_type": 1, "attachment_elsewhere": 2, "other_resource": 2}
        assert reasons(rows) == expected
    # What the notes are made of decides the hash, and whose files are watched.
    (before,) = hash_inputs(parse_inputs([f"fhir:{folder}"]))
    write_jsonl(folder / "Binary.000.ndjson", beside)
    (after,) = hash_inputs(parse_inputs([f"fhir:{folder}"]))
    assert before.sha256 != after.sha256 and len(after.stamps) == 3
    # The same from files that hold resources by the hundred before the first document.
    write_jsonl(
        path, [*(binary(f"b{n}", f"Text {n}.") for n in range(150)), document(content=[pointing_to("Binary/b7")])]
    )
    assert [note.text for note in notes(read(f"fhir:{path}"))] == ["Text 7."]


def test_fhir_binary_resources_take_no_memory(tmp_path: Path) -> None:
    def peak(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        text = "Chest pain and cough since the morning. " * 500
        with (folder / "Binary.ndjson").open("w") as stream:
            for n in range(number):
                stream.write(json.dumps(binary(f"b{n}", f"{n} {text}")) + "\n")
        write_jsonl(
            folder / "DocumentReference.ndjson",
            [document(id=f"d{n}", content=[pointing_to(f"Binary/b{n}")]) for n in range(number)],
        )
        code = (
            "import resource, sys; from data_pipeline.config import CorpusConfig; "
            "from data_pipeline.readers import read_rows; from data_pipeline.readers.inputs import parse_inputs; "
            "rows = sum(1 for i in parse_inputs(sys.argv[1:]) for row in read_rows(i, CorpusConfig()) if row.text); "
            "print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, f"fhir:{folder}"], capture_output=True, text=True, check=True
        )
        rows, memory = map(int, told.stdout.split())
        assert rows == number
        return memory

    # 80 MB of text against 2 MB: the table's cache of 16 MB may fill.
    assert peak(4000) - peak(100) < 30_000


def test_fhir_attachments_in_rtf(tmp_path: Path) -> None:
    pytest.importorskip("striprtf", reason="needs striprtf; pip install striprtf")
    head = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}}{\pict 0a0b0c}"
    note = head + r"\b HPI:\b0\par Caf\'e9 au lait spot, 37\u176?C.\par\trowd Na\cell 140\cell\row}"
    # A link's pattern with nested repeats would take minutes here.
    fields = head + r"{\field{\*\fldinst{HYPERLINK " * 400 + '"x' * 4000 + r"\par Done.}"
    resources = [
        document(id="d1", content=[attachment(note, "text/rtf"), attachment("%PDF", "application/pdf")]),
        document(id="d2", content=[attachment(note, "")]),
        document(id="d3", content=[attachment("Not RTF at all.", "application/rtf")]),
        document(id="d4", content=[attachment(note, "text/rtf"), attachment("<p>Page.", "text/html")]),
        document(id="d5", content=[attachment(fields, "text/rtf")]),
        document(id="d6", content=[attachment(r"{\rtf1\uc \u99999999 \f", "text/rtf")]),
    ]
    rows = read(f"fhir:{write_jsonl(tmp_path / 'DocumentReference.ndjson', resources)}")
    found = {note.note_id: note.text for note in notes(rows)}
    assert found["d1"] == found["d2"] and "HPI:\nCafé au lait spot, 37°C.\nNa|140|" in found["d1"]
    assert found["d3"] == "Not RTF at all." and found["d4"] == "Page."
    assert reasons(rows)["attachment_type"] >= 1


def test_globs_folders_and_addresses(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for number, name in enumerate(("a/n_1.jsonl", "a/b/n_2.jsonl.gz", "a/n_3.jsonl"), start=1):
        path = write_jsonl(tmp_path / f"{number}.{name.partition('.')[2]}", [{"text": f"Note {number}."}])
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(path.read_bytes())
        memory.pipe(f"/notes/{name}", path.read_bytes())
    memory.pipe("/notes/a/_SUCCESS", b"")

    def found(spec: str) -> list[str]:
        return sorted(note.text[5] for note in notes(read(spec)))

    assert found(f"jsonl:{tmp_path}/a") == ["1", "2", "3"]
    assert found(f"jsonl:{tmp_path}/a/n_?.jsonl") == ["1", "3"]
    assert found(f"jsonl:{tmp_path}/a/**/n_*.gz") == ["2"]
    assert found(f"jsonl:file://{tmp_path}/a/n_1.jsonl") == ["1"]
    assert found("jsonl:memory://notes/a") == ["1", "2", "3"]
    assert found("jsonl:memory://notes/a/n_*.jsonl") == ["1", "3"]
    assert found("jsonl:memory://notes/a/n_3.jsonl?text=text") == ["3"]
    (local,) = hash_inputs(parse_inputs([f"jsonl:{tmp_path}/a/b"]))
    (remote,) = hash_inputs(parse_inputs(["jsonl:memory://notes/a/b"]))
    assert local.sha256 == remote.sha256
    for spec, expected in {
        "jsonl:memory://notes/none.jsonl": "no input at memory://notes/none.jsonl",
        f"jsonl:{tmp_path}/a/x*.jsonl": "no input at",
        "jsonl:nosuch://u:pw@host/x.jsonl": r"cannot open nosuch://u:\*\*\*@host",
        f"jsonl:{tmp_path}/a/n_1.jsonl?txt=body": "unknown column role 'txt'.* known are id, text",
    }.items():
        with pytest.raises(NotemillError, match=expected) as error:
            read(spec)
        assert "pw" not in str(error.value)


def test_a_cut_remote_file_is_an_error(tmp_path: Path) -> None:
    data = gzip.compress(b"".join(json.dumps({"text": f"Note {n * n}."}).encode() + b"\n" for n in range(9000)))
    fsspec.filesystem("memory").pipe("/cut/n.jsonl.gz", data[:-9])
    with pytest.raises(NotemillError, match="ends in the middle"):
        read("jsonl:memory://cut/n.jsonl.gz")


def test_quotes_behind_backslashes_are_told(tmp_path: Path) -> None:
    rows = [f'{n},"Says \\"fine\\" on day {n}.","x"' for n in range(5)]
    for number in (1, 5):
        (tmp_path / "s.csv").write_text("\n".join(["id,text,more", *rows[:number]]) + "\n")
        with pytest.raises(NotemillError, match=r"escape=\\ after its path") as error:
            list(read(f"csv:{tmp_path}/s.csv"))
        assert "fine" not in str(error.value)
        texts = [note.text for note in notes(read(f"csv:{tmp_path}/s.csv?escape=\\"))]
        assert texts == [f'Says "fine" on day {n}.' for n in range(number)]
    # A backslash before a quote that is doubled, or that closes the field, is a backslash.
    (tmp_path / "t.csv").write_text('id,text\n1,"C:\\""x"" and C:\\"\n2,"in C:\\"\n')
    assert [note.text for note in notes(read(f"csv:{tmp_path}/t.csv"))] == ['C:\\"x" and C:\\', "in C:\\"]


def test_rows_without_an_id_are_of_their_own_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "note {name}"}}\n')
        (tmp_path / f"{name}.csv").write_text(f"text\nnote {name}\n")
    for kind in ("jsonl", "csv"):
        found = notes(read(f"{kind}:{tmp_path}"))
        assert len({note.note_id for note in found}) == len({note.patient_id for note in found}) == 2
