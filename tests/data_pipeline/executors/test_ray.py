"""A real Ray on this machine makes the bytes of a local build."""

import random
from pathlib import Path

import pytest

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig
from data_pipeline.readers.inputs import parse_inputs
from launch.config import load_config
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY, folder_hashes, noteevents_row, write_noteevents


def test_the_bytes_of_a_local_build(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs ray; pip install 'notemill[ray]'")
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    paths = [tmp_path / f"{name}.csv.gz" for name in ("a", "b")]
    for place, path in enumerate(paths):
        rows = [noteevents_row(n, n % 7, f"Seen by Dr. Hill in room {place}, visit {n // 2}.") for n in range(40)]
        write_noteevents(path, rows)

    def build(out: str, *settings: str) -> dict[str, str]:
        config = load_config(CorpusConfig, None, ["shards.piece_rows=10", *settings])
        inputs = parse_inputs([f"noteevents:{path}" for path in paths])
        build_corpus(BuildRequest(inputs, tmp_path / out, config, KEY, key_file=tmp_path / "key"))
        return folder_hashes(tmp_path / out)

    assert build("there", "executor.name=ray", "executor.tasks=2") == build("here")
    # Long enough that its head says nothing of its end.
    rows = [noteevents_row(n, 1, random.Random(n).randbytes(400).hex()) for n in range(4000)]
    paths[1].write_bytes(write_noteevents(paths[1], rows).read_bytes()[:-20])
    with pytest.raises(NotemillError, match=r"a Ray task failed: .*b\.csv\.gz ends in the middle"):
        build("broken", "executor.name=ray", "executor.tasks=2")
