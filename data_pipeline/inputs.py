"""What the user names with `--input [NAME=]KIND:PATH`, as a list of files with their hashes."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.files import sha256_file
from launch.errors import NotemillError

KIND_ENDINGS: dict[str, tuple[str, ...]] = {
    "noteevents": (".csv", ".csv.gz", ".csv.zst"),
    "omop": (".parquet", ".csv", ".csv.gz", ".csv.zst"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"),
}
"""Input kinds, and the files that a folder of that kind contributes."""

_NAMED = re.compile(r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)=)?(?P<kind>[A-Za-z0-9_-]+):(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Input:
    """One file to read."""

    kind: str
    path: Path
    source: str
    """Value of the source column: the kind, unless the user gave a name."""
    sha256: str = ""
    """Hash of the file's bytes; empty until `hash_inputs`."""


def parse_inputs(specs: list[str]) -> list[Input]:
    """Files named by `KIND:PATH` or `NAME=KIND:PATH`, folders expanded in sorted order.

    Raises NotemillError for a malformed spec, an unknown kind, a missing path, a folder without files of that kind, or
    one file named twice.
    """
    if not specs:
        raise NotemillError("no input; name at least one with --input KIND:PATH, such as --input jsonl:notes.jsonl.")
    files = [item for spec in specs for item in _parse(spec)]
    seen: set[Path] = set()
    for item in files:
        resolved = item.path.resolve()
        if resolved in seen:
            raise NotemillError(f"{item.path} is named twice by --input; name every file once.")
        seen.add(resolved)
    return files


def hash_inputs(files: list[Input]) -> list[Input]:
    """The same files with their SHA-256."""
    return [dataclasses.replace(item, sha256=_hash(item.path)) for item in files]


def _parse(spec: str) -> list[Input]:
    match = _NAMED.fullmatch(spec)
    if match is None:
        raise NotemillError(f"--input '{spec}' is not KIND:PATH; write for example noteevents:NOTEEVENTS.csv.gz.")
    kind, path = match["kind"], Path(match["path"]).expanduser()
    if kind not in KIND_ENDINGS:
        raise NotemillError(
            f"unknown input kind '{kind}' in --input {spec}; known kinds are {', '.join(KIND_ENDINGS)}."
        )
    if not path.exists():
        raise NotemillError(f"no input at {path} (from --input {spec}); check the path.")
    source = match["name"] or kind
    return [Input(kind, file, source) for file in (_files_of_folder(kind, path) if path.is_dir() else [path])]


def _files_of_folder(kind: str, folder: Path) -> list[Path]:
    endings = KIND_ENDINGS[kind]
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.lower().endswith(endings))
    # An OMOP export keeps all its tables in one folder; where one is called note, the others are not notes.
    if kind == "omop":
        named = [file for file in files if re.match(r"note(?!_nlp)(?:[._-]|\d|$)", file.name.lower())]
        files = named or files
    if not files:
        raise NotemillError(f"the folder {folder} holds no {kind} file; files end in {', '.join(endings)}.")
    return files


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise NotemillError(f"cannot read the input {path}: {error.strerror}.") from None
