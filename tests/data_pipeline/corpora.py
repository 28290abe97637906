"""Small inputs of every kind and the calls that build corpora from them, for the tests of this folder."""

import bz2
import csv
import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig
from data_pipeline.manifest import CorpusManifest
from data_pipeline.readers.inputs import parse_inputs
from launch.config import load_config

KEY = b"a key for tests only, 32 bytes.."
NOTEEVENTS_HEADER = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CATEGORY", "DESCRIPTION", "ISERROR", "TEXT"]
CLI = "import typer; from launch.verbs import corpus; app = typer.Typer(); corpus.register(app); app()"
"""The verbs of this stage alone, as a program."""


def write_noteevents(path: Path, rows: Iterable[list[str]], header: list[str] = NOTEEVENTS_HEADER) -> Path:
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wt", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return path


def noteevents_row(
    row_id: int, subject: int | str, text: str, iserror: str = "", category: str = "Nursing"
) -> list[str]:
    return [str(row_id), str(subject), "", "2150-01-01", category, "Report", iserror, text]


def write_jsonl(path: Path, lines: Iterable[dict | str]) -> Path:
    data = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    if path.name.endswith(".gz"):
        data = gzip.compress(data)
    if path.name.endswith(".bz2"):
        data = bz2.compress(data)
    if path.name.endswith(".zst"):
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path


def write_omop(path: Path, rows: Iterable[tuple[int, int | None, str, str | None]]) -> Path:
    ids, persons, titles, texts = zip(*rows, strict=True)
    table = {"note_id": ids, "person_id": persons, "note_title": titles, "note_text": texts}
    pq.write_table(pa.table({name: list(values) for name, values in table.items()}), path)
    return path


def write_roster(
    path: Path, rows: Iterable[list[str]], header: str = "SUBJECT_ID,FIRST_NAME,LAST_NAME,DOB,MRN"
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return path


def build(
    out: Path, *specs: str, settings: Iterable[str] = (), roster: Path | None = None, workers: int = 1
) -> CorpusManifest:
    config = load_config(CorpusConfig, None, list(settings))
    return build_corpus(BuildRequest(parse_inputs(list(specs)), out, config, KEY, roster, workers))


def texts(out: Path) -> dict[str, str]:
    """Note id → text, of all shards."""
    tables = [pq.read_table(path, partitioning=None) for path in sorted((out / "shards").iterdir())]
    return {row["note_id"]: row["text"] for table in tables for row in table.to_pylist()}


def folder_hashes(folder: Path) -> dict[str, str]:
    """Relative path → hash of every file below `folder`."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start_cli(arguments: list[str], key_file: Path) -> subprocess.Popen[str]:
    """`notemill corpus …` as a process of its own, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CLI, "corpus", *arguments, "--key-file", str(key_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
