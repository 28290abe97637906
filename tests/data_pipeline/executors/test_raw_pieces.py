"""Rows on their way to another machine arrive as they were."""

from pathlib import Path

import pytest

from data_pipeline.config import CorpusConfig
from data_pipeline.executors.raw_pieces import cut_to_disk, num_pieces_cut, read_piece, waiting_pieces
from data_pipeline.pieces import hash_rows
from data_pipeline.readers import read_rows
from data_pipeline.readers.inputs import hash_inputs, parse_inputs
from data_pipeline.work_folder import WorkFolder
from launch.config import load_config
from tests.data_pipeline.corpora import write_jsonl


def test_rows_arrive_as_they_were(tmp_path: Path) -> None:
    lines: list[dict | str] = [{"id": n, "text": f"n {n} \ud800 é \0 \U0001f600", "mrn": f"p{n}"} for n in range(23)]
    write_jsonl(tmp_path / "n.jsonl", [*lines, "{", {"id": 9, "text": ""}])
    (item,) = hash_inputs(parse_inputs([f"jsonl:{tmp_path}/n.jsonl?patient=mrn"]))
    config = load_config(CorpusConfig, None, ["shards.piece_rows=10"])
    work = WorkFolder(tmp_path / "out")
    assert num_pieces_cut(item, work) is None
    cut_to_disk(item, work, config)
    pieces = [read_piece(path) for path in waiting_pieces(work)]
    assert num_pieces_cut(item, work) == 3 == len(pieces)
    assert [piece.first_row for piece in pieces] == [1, 11, 21]
    rows = list(read_rows(item, config))
    assert [row for piece in pieces for row in piece.rows] == rows
    assert hash_rows([row for piece in pieces for row in piece.rows]) == hash_rows(rows)


@pytest.mark.parametrize("num_tasks", [1, 2, 5])
def test_every_piece_is_the_share_of_one_task_however_many_are_made(tmp_path: Path, num_tasks: int) -> None:
    config = load_config(CorpusConfig, None, ["shards.piece_rows=3"])
    work = WorkFolder(tmp_path / "out")
    for name in ("a", "b"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": f"{name}{n}"} for n in range(20)])
    for item in hash_inputs(parse_inputs([f"jsonl:{tmp_path}/a.jsonl", f"jsonl:{tmp_path}/b.jsonl"])):
        cut_to_disk(item, work, config)
    everything = list(waiting_pieces(work))
    taken = []
    for rank in range(num_tasks):
        for path in list(waiting_pieces(work, rank, num_tasks)):
            taken.append(path)
            path.unlink()
    assert sorted(taken) == sorted(everything) and len(everything) == 14
