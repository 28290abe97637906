"""What the user names with `--input [NAME=]KIND:PATH[?key=value&…]`, as a list of inputs with their hashes.

An input is one file; for `text`, where a note is a file, it is all files that one PATH names; for `sql` it is one
query. Its hash is that of its bytes. A query has no bytes before it runs: its hash here stands for the address without
password and the statement, and the manifest holds the hash of the rows that were read (see `pieces`).
"""

import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_pipeline.config import COLUMN_ROLES
from data_pipeline.files import sha256_json
from data_pipeline.readers.locations import GLOB_SIGNS, Location, find
from launch.errors import NotemillError
from launch.specs import split_settings, without_secrets

_PACKED = ("", ".gz", ".zst", ".bz2")
_CSV_SETTINGS = ("encoding", "delimiter", "quoting", "escape")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Kind:
    """What a folder of a kind contributes, and which settings may follow its path."""

    endings: tuple[str, ...]
    settings: tuple[str, ...]


def _packed(*endings: str) -> tuple[str, ...]:
    return tuple(ending + packed for ending in endings for packed in _PACKED)


KINDS: dict[str, Kind] = {
    "noteevents": Kind(_packed(".csv"), _CSV_SETTINGS),
    "omop": Kind((".parquet", *_packed(".csv", ".tsv")), _CSV_SETTINGS),
    "jsonl": Kind(_packed(".jsonl", ".ndjson"), (*COLUMN_ROLES, "encoding")),
    "csv": Kind(_packed(".csv", ".tsv"), (*COLUMN_ROLES, *_CSV_SETTINGS)),
    "parquet": Kind((".parquet",), COLUMN_ROLES),
    "text": Kind(_packed(".txt"), ("id", "patient", "type", "encoding")),
    "sql": Kind((), (*COLUMN_ROLES, "table", "query", "password_file")),
    "fhir": Kind(_packed(".ndjson", ".jsonl"), ()),
}
_NAMED = re.compile(r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)=)?(?P<kind>[A-Za-z0-9_-]+):(?P<path>.+)", re.DOTALL)
# Exports of OMOP and FHIR keep all their tables in one folder; where one is called for notes, the others are not notes.
_NOTE_FILES = {
    "omop": re.compile(r"note(?!_nlp)(?:[._-]|\d|$)", re.IGNORECASE),
    "fhir": re.compile(r"documentreference", re.IGNORECASE),
}


_BINARY_FILE = re.compile(r"binary(?:[._-]|\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Input:
    """One file, query or set of text files to read."""

    kind: str
    path: Location
    source: str
    """Value of the source column: the kind, unless the user gave a name."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What followed the path: column roles and how to read."""
    members: tuple[Location, ...] = ()
    """The files of a `text` input; of `fhir` the files of Binary resources beside it."""
    is_named: bool = True
    """False for one of several files of a folder or glob, which may hold no row."""
    sha256: str = ""
    """Hash of the bytes; empty until `hash_inputs`."""
    stamps: tuple[str, ...] = ()
    """Of its files, from before they were hashed; see `require_unchanged`."""


def parse_inputs(specs: list[str]) -> list[Input]:
    """Inputs named by `KIND:PATH` or `NAME=KIND:PATH`, folders and globs expanded in sorted order.

    Raises NotemillError for a malformed spec, an unknown kind or setting, a missing path, a folder without files of
    that kind, or one file named twice.
    """
    if not specs:
        raise NotemillError("no input; name at least one with --input KIND:PATH, such as --input jsonl:notes.jsonl.")
    inputs = [item for spec in specs for item in _parse(spec)]
    seen: set[str] = set()
    for item in inputs:
        for location in item.members if item.kind == "text" else (item.path,):
            if location.identity in seen:
                raise NotemillError(f"{location} is named twice by --input; name every file once.")
            seen.add(location.identity)
    return inputs


def files_of(item: Input) -> tuple[Location, ...]:
    """All files that are read of an input that is none of a database."""
    return item.members if item.kind == "text" else (item.path, *item.members)


def hash_inputs(inputs: list[Input]) -> list[Input]:
    """The same inputs with their SHA-256."""
    # Many files of FHIR documents may have the same Binary files beside them.
    hash_once = functools.lru_cache(maxsize=2)(_hash_files)
    return [dataclasses.replace(item, stamps=_stamps(item), sha256=_hash(item, hash_once)) for item in inputs]


def require_unchanged(item: Input) -> None:
    """Raise NotemillError where a local file was written to since it was hashed, as by an export that still goes on."""
    for file, before, now in zip(files_of(item), item.stamps, _stamps(item), strict=False):
        if before != now:
            raise NotemillError(
                f"{file} changed while it was read; wait until it is written in full and run the same command again."
            )


def _stamps(item: Input) -> tuple[str, ...]:
    return () if item.kind == "sql" else tuple(file.stamp() for file in files_of(item))


def shown_settings(item: Input) -> dict[str, str]:
    """The settings that decide what is read, for the manifest; a statement may name a patient and stays out of it."""
    return {key: item.settings[key] for key in sorted(item.settings) if key not in ("query", "password_file")}


def member_name(item: Input, file: Location) -> str:
    """The path of a text file below the folder that was named, or below the part of a glob without signs."""
    named = item.path.address.partition("::")[0].partition("://")[2] or item.path.address
    parts = PurePosixPath(str(Path(named).expanduser()).lstrip("/")).parts
    fixed = list(itertools.takewhile(lambda part: not any(sign in part for sign in GLOB_SIGNS), parts))
    if len(fixed) == len(parts) and item.members == (file,):
        fixed = fixed[:-1]
    own = PurePosixPath(file.address.lstrip("/"))
    root = PurePosixPath(*fixed)
    return str(own.relative_to(root) if own.is_relative_to(root) else own)


def _parse(spec: str) -> list[Input]:
    match = _NAMED.fullmatch(spec)
    if match is None:
        raise NotemillError(
            f"--input '{without_secrets(spec)}' is not KIND:PATH; write for example noteevents:NOTEEVENTS.csv.gz."
        )
    kind = match["kind"]
    if kind not in KINDS:
        raise NotemillError(
            f"unknown input kind '{kind}' in --input {without_secrets(spec)}; known kinds are {', '.join(KINDS)}."
        )
    path, settings = split_settings(match["path"], KINDS[kind].settings)
    _check_settings(settings)
    source = match["name"] or kind
    if kind == "sql":
        return [_database(path, source, settings)]
    files, is_one_file = find(path)
    binaries: tuple[Location, ...] = ()
    if kind == "fhir":
        files, binaries = _without_binaries(files, is_one_file)
    if not is_one_file:
        files = _of_kind(kind, path, files)
    if kind == "text":
        shown = without_secrets(path)
        return [Input(kind, Location(shown, path), source, settings, tuple(files))]
    return [Input(kind, file, source, settings, binaries, is_named=is_one_file) for file in files]


def _without_binaries(files: list[Location], is_one_file: bool) -> tuple[list[Location], tuple[Location, ...]]:
    """The files of documents, and those of Binary resources among them or beside the only one."""
    beside = files
    if is_one_file and files[0].filesystem is None:
        beside, _ = find(str(Path(files[0].address).parent))
    binaries = tuple(
        file for file in beside if _BINARY_FILE.match(file.name) and file.name.endswith(KINDS["fhir"].endings)
    )
    documents = [file for file in files if is_one_file or not _BINARY_FILE.match(file.name)]
    return documents, tuple(file for file in binaries if file not in documents)


def _of_kind(kind: str, path: str, files: list[Location]) -> list[Location]:
    is_glob = "*" in PurePosixPath(path).name or "?" in PurePosixPath(path).name
    endings = KINDS[kind].endings
    # Whoever writes notes/*.dat says that those files are meant.
    chosen = files if is_glob else [file for file in files if file.name.endswith(endings)]
    if kind in _NOTE_FILES and not is_glob:
        chosen = [file for file in chosen if _is_note_file(kind, path, file)] or chosen
    if not chosen:
        raise NotemillError(
            f"the folder {without_secrets(path)} holds no {kind} file; files end in {', '.join(endings)}."
        )
    return chosen


def _is_note_file(kind: str, folder: str, file: Location) -> bool:
    """By its own name or that of a folder between, as in note/part-00000.parquet."""
    parts = PurePosixPath(file.address).parts[len(PurePosixPath(folder.partition("://")[2] or folder).parts) :]
    return any(_NOTE_FILES[kind].match(part) for part in parts or (file.name,))


def _database(url: str, source: str, settings: dict[str, str]) -> Input:
    shown = without_secrets(url).partition("?")[0]
    if ("table" in settings) == ("query" in settings):
        raise NotemillError(
            f"the input sql:{shown} needs a table or a query; write sql:URL?table=note or sql:URL?query=@notes.sql."
        )
    query = settings.get("query", "")
    if query.startswith("@"):
        try:
            settings = {**settings, "query": Path(query[1:]).expanduser().read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError):
            raise NotemillError(f"cannot read the query in {query[1:]} (from --input sql:{shown}).") from None
        shown += f"?query={query}"
    elif query:
        # A statement may name a patient.
        shown += f"?query=sha256:{hashlib.sha256(query.encode()).hexdigest()[:16]}"
    else:
        shown += f"?table={settings['table']}"
    return Input("sql", Location(shown, url), source, settings)


def _check_settings(settings: Mapping[str, str]) -> None:
    if "encoding" in settings:
        try:
            "".encode(settings["encoding"])
        except LookupError:
            raise NotemillError(
                f"unknown encoding '{settings['encoding']}'; take a name such as cp1252 or latin-1."
            ) from None
    for name in ("delimiter", "escape"):
        value = settings.get(name, ",").replace("\\t", "\t")
        if len(value) != 1:
            raise NotemillError(f"{name}={settings[name]} must be one character; a tab is \\t.")
    if settings.get("quoting", "minimal") not in ("minimal", "none"):
        raise NotemillError(f"quoting={settings['quoting']} must be minimal or none.")


def _hash_files(files: tuple[Location, ...]) -> list[str]:
    return [_hash_file(file) for file in files]


def _hash(item: Input, hash_once: Callable[[tuple[Location, ...]], list[str]]) -> str:
    if item.kind == "sql":
        return sha256_json([item.path.shown, item.settings.get("query")])
    if item.kind == "fhir" and item.members:
        return sha256_json([_hash_file(item.path), hash_once(item.members)])
    if item.kind != "text":
        return _hash_file(item.path)
    digest = hashlib.sha256()
    for file in item.members:
        digest.update(sha256_json([member_name(item, file), _hash_file(file)]).encode())
    return digest.hexdigest()


def _hash_file(location: Location) -> str:
    digest = hashlib.sha256()
    with location.open() as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
