"""The sql reader on a real PostgreSQL server with an OMOP NOTE table, and on SQLite."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_pipeline.config import CorpusConfig
from data_pipeline.notes import Note, Row
from data_pipeline.readers import check_input, read_rows
from data_pipeline.readers.inputs import parse_inputs
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build, folder_hashes, texts
from tests.data_pipeline.readers.postgres import PASSWORD, Server, find_programs, running_server

NUM_NOTES = 1200
OMOP_NOTE = """
    CREATE TABLE cdm.note (
        note_id integer PRIMARY KEY, person_id integer, note_date date, note_datetime timestamp,
        note_type_concept_id integer, note_class_concept_id integer, note_title varchar(250), note_text text,
        encoding_concept_id integer, language_concept_id integer, provider_id integer, visit_occurrence_id integer
    )
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A database `omop` in UTF-8 with cdm.note, and `old` that holds whatever bytes were put into it."""
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    programs = find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL (initdb and pg_ctl); apt-get install postgresql")
    with running_server(programs) as server:

        def connect(database: str) -> "psycopg.Connection[tuple]":
            return psycopg.connect(
                f"host=127.0.0.1 port={server.port} user=reader dbname={database}", password=PASSWORD, autocommit=True
            )

        with connect("postgres") as connection:
            connection.execute("CREATE DATABASE omop")
            connection.execute("CREATE DATABASE old ENCODING 'SQL_ASCII' TEMPLATE template0")
        with connect("omop") as connection:
            connection.execute("CREATE SCHEMA cdm")
            connection.execute(OMOP_NOTE)
            # Descending, so that only an ORDER BY gives them in order.
            connection.execute(
                "INSERT INTO cdm.note (note_id, person_id, note_title, note_text) SELECT n, n % 50, 'Progress note', "
                f"'Note ' || n || ' at 37°, stable: 100%' FROM generate_series({NUM_NOTES}, 1, -1) AS n"
            )
            connection.execute("INSERT INTO cdm.note (note_id, person_id, note_text) VALUES (9001, NULL, 'Whose?')")
            connection.execute("INSERT INTO cdm.note (note_id, person_id, note_text) VALUES (9002, 7, NULL)")
        with connect("old") as connection:
            connection.execute("CREATE TABLE notes (id integer, who text, body text)")
            connection.execute("INSERT INTO notes VALUES (1, 'p', convert_from('\\x636166e9'::bytea, 'SQL_ASCII'))")
        yield server


def read(spec: str) -> list[Row]:
    (item,) = parse_inputs([spec])
    check_input(item, CorpusConfig())
    return list(read_rows(item, CorpusConfig()))


def test_an_omop_note_table_in_order_with_its_rejects(server: Server) -> None:
    rows = read(f"ehr=sql:{server.url('omop', PASSWORD)}?table=cdm.note")
    notes = [row for row in rows if isinstance(row, Note)]
    assert [note.note_id for note in notes] == [str(n) for n in range(1, NUM_NOTES + 1)]
    first = notes[0]
    assert (first.patient_id, first.note_type, first.source) == ("1", "Progress note", "ehr")
    assert first.text == "Note 1 at 37°, stable: 100%"
    assert [(row.reason, row.note_id) for row in rows if not isinstance(row, Note)] == [
        ("missing_patient", "9001"),
        ("empty_text", "9002"),
    ]


def test_rows_come_through_a_server_side_cursor(server: Server) -> None:
    import psycopg

    (item,) = parse_inputs([f"sql:{server.url('omop', PASSWORD)}?table=cdm.note"])
    rows = read_rows(item, CorpusConfig())
    next(rows)
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=reader dbname=omop", password=PASSWORD) as connection:
        activity = "SELECT query, state FROM pg_stat_activity WHERE query LIKE 'FETCH%'"
        running = connection.execute(activity).fetchall()
    rows.close()  # type: ignore[attr-defined]
    ((query, state),) = running
    assert re.match(r"FETCH FORWARD \d{1,3} ", query) and state.startswith("idle in")


def test_a_query_as_written_and_bytes_of_an_old_database(server: Server, tmp_path: Path) -> None:
    query = "SELECT note_id::text AS id, person_id AS mrn, note_text AS body FROM cdm.note "
    (tmp_path / "notes.sql").write_text(
        query + "WHERE note_text LIKE '%100%' AND note_title <> ' :x' ORDER BY note_id LIMIT 3"
    )
    rows = read(f"sql:{server.url('omop', PASSWORD)}?query=@{tmp_path}/notes.sql&text=body&patient=mrn")
    assert [row.note_id for row in rows] == ["1", "2", "3"]
    (note,) = read(f"sql:{server.url('old', PASSWORD)}?table=notes&text=body&patient=who")
    assert isinstance(note, Note) and (note.text, note.repaired_encoding) == ("café", True)


def test_the_password_is_nowhere(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    by_url = f"sql:{server.url('omop', PASSWORD)}?table=cdm.note"
    by_file = f"sql:{server.url('omop')}?table=cdm.note&password_file={secret}"
    manifest = build(tmp_path / "a", by_url)
    build(tmp_path / "b", by_file)
    assert (
        manifest["inputs"][0]["path"] == f"postgresql+psycopg://reader:***@127.0.0.1:{server.port}/omop?table=cdm.note"
    )
    problems = [str(parse_inputs([by_url])), capfd.readouterr().err]
    for spec in (
        by_url.replace("cdm.note", "cdm.notes"),
        by_url + "&text=body",
        by_url.replace("/omop", "/nowhere"),
        by_url.replace("reader:", "nobody:"),
        by_url.replace("sql:", "sqll:"),
        by_url.partition("?")[0],
    ):
        with pytest.raises(NotemillError) as error:
            read(spec)
        assert "\n" not in str(error.value)
        problems.append(str(error.value))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != secret]
    everything = [path.read_bytes().decode("latin-1") for path in files]
    for secret_form in (PASSWORD, "s3cret"):
        assert not any(secret_form in text for text in (*problems, *everything))
    secret.chmod(0o644)
    with pytest.raises(NotemillError, match="others can read it"):
        read(by_file)


def test_what_a_driver_says_of_a_value_is_not_repeated(server: Server) -> None:
    url = server.url("omop", PASSWORD)
    with pytest.raises(NotemillError, match=r"cannot (?:read|query) .*may quote a note") as error:
        read(f"sql:{url}?query=SELECT note_id, note_text::int AS text FROM cdm.note ORDER BY note_id")
    assert "stable" not in str(error.value)
    with pytest.raises(NotemillError, match='column "txt" does not exist'):
        read(f"sql:{url}?query=SELECT txt FROM cdm.note ORDER BY note_id")
    with pytest.raises(NotemillError, match="cannot query"):
        read(f"sql:{url}?query=DELETE FROM cdm.note")
    assert len(read(f"sql:{url}?table=cdm.note")) == NUM_NOTES + 2


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, mrn TEXT, body TEXT)")
    connection.executemany("INSERT INTO notes VALUES (?, ?, ?)", [(n, f"p{n % 9}", f"Note {n}.") for n in range(60)])
    connection.execute("INSERT INTO notes VALUES (100, 'p1', CAST(x'636166e9' AS TEXT))")
    connection.commit()
    connection.close()
    return path


def test_sqlite_and_its_bytes(database: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    rows = read(f"sql:sqlite:///{database}?table=notes")
    assert len(rows) == 61 and isinstance(rows[-1], Note) and rows[-1].text == "café" and rows[-1].repaired_encoding
    with pytest.raises(NotemillError, match="no such table"):
        read(f"sql:sqlite:///{database}?table=letters")
    with pytest.raises(NotemillError, match="no column 'txt' for text"):
        read(f"sql:sqlite:///{database}?table=notes&text=txt")
    with pytest.raises(NotemillError, match="no input at"):
        read(f"sql:sqlite:///{database}x?table=notes")
    assert not database.with_name("notes.dbx").exists()
    with pytest.raises(NotemillError, match="needs a table or a query"):
        read(f"sql:sqlite:///{database}")


def test_an_interrupted_build_goes_on_only_from_pieces_of_the_same_rows(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    from data_pipeline.work_folder import WorkFolder

    spec, small = f"sql:sqlite:///{database}?table=notes", ["shards.piece_rows=10"]
    first = build(tmp_path / "before", spec, settings=small)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "set_cut", stop)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "corpus", spec, settings=small)
    work = tmp_path / "corpus" / "pieces"
    made = {path.name: path.stat().st_mtime_ns for path in work.glob("*/0*.json")}
    # The database moves on between the attempts: one note is taken back, one loses its patient, one is new.
    connection = sqlite3.connect(database)
    connection.execute("UPDATE notes SET body = 'Corrected.' WHERE id = 25")
    connection.execute("UPDATE notes SET body = '' WHERE id = 26")
    connection.execute("INSERT INTO notes VALUES (101, 'p2', 'Newest.')")
    connection.commit()
    manifest = build(tmp_path / "corpus", spec, settings=small)
    again = {path.name: path.stat().st_mtime_ns for path in work.glob("*/0*.json")}
    assert sorted(name for name in made if made[name] != again[name]) == ["0000002.json", "0000006.json"]
    build(tmp_path / "after", spec, settings=small)
    assert folder_hashes(tmp_path / "corpus") == folder_hashes(tmp_path / "after")
    assert texts(tmp_path / "after")["25"] == "Corrected." and manifest["counts"]["read"] == 62
    assert first["inputs"][0]["sha256"] != manifest["inputs"][0]["sha256"]
    assert manifest["counts"]["rejected"] == {"empty_text": 1}
