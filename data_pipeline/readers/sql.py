"""A table or query of any database that SQLAlchemy speaks to, in one pass of a server-side cursor.

    sql:postgresql+psycopg://reader@db/omop?table=cdm.note&password_file=db.password
    sql:sqlite:///notes.db?query=@notes.sql&text=body&patient=mrn

A table is read in the order of its id column, so that the same table gives the same corpus; a query orders its rows
itself. The transaction is read-only where the database knows that. The password comes from a private file, from what
the driver itself reads (`~/.pgpass`, `PGPASSWORD`), or from the address; it is in no message and no manifest. What a
driver says while rows are read is not shown either, since it may quote a value.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_pipeline.config import Columns
from data_pipeline.files import require_private
from data_pipeline.notes import Row
from data_pipeline.readers.columns import Choice, choose_columns, note_of
from data_pipeline.readers.inputs import Input
from launch.console import say
from launch.errors import NotemillError

_BATCH_ROWS = 512
# Classes of SQLSTATE whose messages speak of names, rights and connections, never of values.
_TELLING_STATES = ("08", "28", "3D", "3F", "42", "57P")
_TELLING_SQLITE = re.compile(
    r"(?:no such (?:table|column)|near \"\w*\": syntax error|unable to open|file is not a data)"
)


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when the database cannot be reached, or the table or a column is not there."""
    with _opened(item, columns):
        pass
    query = item.settings.get("query")
    if query is not None and not re.search(r"\border\s+by\b", query, re.IGNORECASE):
        say(f"{item.path} has no ORDER BY: another run may read its rows in another order and give another corpus.")


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every row of the result."""
    with _opened(item, columns) as (result, choice, places), _translated(item, "read"):
        number = 0
        for rows in result.partitions(_BATCH_ROWS):
            for values in rows:
                number += 1
                yield note_of(item, choice, {role: values[place] for role, place in places.items()}, number)


@contextmanager
def _opened(item: Input, columns: Columns) -> Iterator[tuple[Any, Choice, dict[str, int]]]:
    """The running statement, its columns by role, and their places in a row; closed at the end."""
    with _engine(item) as engine:
        with _translated(item, "reach"):
            connection = engine.connect()
        try:
            options = {"stream_results": True, "max_row_buffer": _BATCH_ROWS, "postgresql_readonly": True}
            connection = connection.execution_options(**options)
            with _translated(item, "query"):
                execute = _table if "table" in item.settings else _query
                running = execute(item, connection, columns)
            # Outside of the translation, which would take the caller's errors for the database's.
            yield running
        finally:
            connection.close()


def _table(item: Input, connection: Any, columns: Columns) -> tuple[Any, Choice, dict[str, int]]:
    import sqlalchemy

    schema, _, name = item.settings["table"].rpartition(".")
    with warnings.catch_warnings():
        # Types of columns that we do not read may be unknown to it.
        warnings.simplefilter("ignore")
        table = sqlalchemy.Table(
            name, sqlalchemy.MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
        )
    choice = choose_columns(item, [column.name for column in table.columns], columns)
    statement = sqlalchemy.select(*(table.c[name] for name in choice.names))
    if "id" in choice.columns:
        statement = statement.order_by(table.c[choice.columns["id"]])
    return connection.execute(statement), choice, choice.places(choice.names)


def _query(item: Input, connection: Any, columns: Columns) -> tuple[Any, Choice, dict[str, int]]:
    # As the user wrote it: neither : nor % in it stands for a parameter.
    result = connection.exec_driver_sql(item.settings["query"], execution_options={"no_parameters": True})
    if not result.returns_rows:
        raise NotemillError(f"the query of {item.path} returns no rows; it must be one SELECT.")
    found = list(result.keys())
    choice = choose_columns(item, found, columns)
    return result, choice, choice.places(found)


@contextmanager
def _engine(item: Input) -> Iterator[Any]:
    try:
        import sqlalchemy
    except ModuleNotFoundError:
        raise NotemillError("sql inputs need SQLAlchemy; pip install 'notemill[sql]'.") from None
    try:
        url = sqlalchemy.make_url(item.path.address)
        if "password_file" in item.settings:
            url = url.set(password=_password(Path(item.settings["password_file"]).expanduser()))
        # Every message of the library that shows parameters or rows would show notes.
        engine = sqlalchemy.create_engine(url, hide_parameters=True, poolclass=sqlalchemy.NullPool)
    except ModuleNotFoundError as error:
        raise NotemillError(
            f"{item.path} needs the driver '{error.name}', which is not installed; pip install it or name another as "
            "in postgresql+psycopg://."
        ) from None
    except sqlalchemy.exc.SQLAlchemyError:
        raise NotemillError(
            f"{item.path} is no database address that SQLAlchemy knows; write for example "
            "postgresql+psycopg://user@host/database."
        ) from None
    if engine.dialect.name == "sqlite":
        _refuse_missing_file(item, url.database or "")
        sqlalchemy.event.listen(engine, "connect", _keep_bad_bytes_of_sqlite)
    elif engine.dialect.driver == "psycopg":
        # Before SQLAlchemy's own look at the server, which fails on bytes.
        sqlalchemy.event.listen(engine, "connect", _keep_bad_bytes_of_psycopg, insert=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _refuse_missing_file(item: Input, database: str) -> None:
    # SQLite would make an empty database of a path that is not there.
    if not database.startswith((":memory:", "file:")) and not Path(database).is_file():
        raise NotemillError(f"no input at {database} (from --input sql:{item.path}); check the path.")


def _keep_bad_bytes_of_sqlite(connection: Any, _: Any) -> None:
    """SQLite stores any bytes as text; its module would fail on those that are not UTF-8."""
    connection.text_factory = _text_or_bytes


def _keep_bad_bytes_of_psycopg(connection: Any, _: Any) -> None:
    """So does PostgreSQL where the database's encoding is SQL_ASCII; psycopg then takes no text for text."""
    import psycopg

    if connection.info.parameter_status("server_encoding") != "SQL_ASCII":
        return

    class TextOrBytes(psycopg.adapt.Loader):
        def load(self, data: Any) -> str | bytes:
            return _text_or_bytes(bytes(data))

    class BinaryTextOrBytes(TextOrBytes):
        format = psycopg.pq.Format.BINARY

    for loader in (TextOrBytes, BinaryTextOrBytes):
        for name in ("text", "varchar", "bpchar", "name"):
            connection.adapters.register_loader(name, loader)


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NotemillError(f"cannot read the password file {path}.") from None
    require_private(path, "password file")
    return password


@contextmanager
def _translated(item: Input, verb: str) -> Iterator[None]:
    """Turns what a driver raises into one sentence without values and without the password."""
    import sqlalchemy

    try:
        yield
    except sqlalchemy.exc.NoSuchTableError:
        raise NotemillError(f"{item.path}: the database has no such table; write schema.table.") from None
    except NotemillError:
        raise
    except Exception as error:
        raise NotemillError(f"cannot {verb} {item.path}: {_reason(error, verb, item)}.") from None


def _reason(error: Exception, verb: str, item: Input) -> str:
    import sqlalchemy

    original = getattr(error, "orig", None) or error
    message = " ".join(str(original).split("\n")[0].split()).rstrip(".")
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    is_from_driver = original is not error
    tells_no_value = state.startswith(_TELLING_STATES) or _TELLING_SQLITE.match(message)
    if is_from_driver and (verb == "reach" or tells_no_value):
        password = sqlalchemy.make_url(item.path.address).password
        return message.replace(str(password), "***") if password else message
    return f"{type(original).__name__} (what the driver said may quote a note and is not shown)"
