"""n2c2 2019 track 1, clinical semantic similarity: a pair a line and its score from 0 to 5, by tabs, without a header.

    clinicalSTS2019.train.txt         sentence, sentence, score
    clinicalSTS2019.test.txt          sentence, sentence
    clinicalSTS2019.test.gs.sim.txt   the scores of the test pairs, one a line

Predictions have the three columns; the scores alone, one a line, are read as well.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Example, SentencePair, Task
from eval.formats.base import Reading, predictions_of, read_text
from eval.formats.releases import Released
from launch.errors import NotemillError

_SCORES_ENDING = ".gs.sim"


class Similarity2019(Released):
    name = "n2c2_2019"
    tasks: tuple[Task, ...] = ("sts",)
    patterns = ("clinicalSTS*.txt",)
    one_each = False

    def choose(self, files: list[Path]) -> list[Path]:
        return [file for file in files if not file.stem.endswith(_SCORES_ENDING)]

    def read(self, path: Path, reading: Reading) -> tuple[SentencePair, ...]:
        rows = [(number, line.split("\t")) for number, line in _lines(path)]
        if not rows:
            raise NotemillError(f"{path} holds no pairs.")
        widths = {len(fields) for _, fields in rows}
        if widths == {2}:
            scores = _scores_beside(path, len(rows))
        else:
            wrong = next((number for number, fields in rows if len(fields) != 3), None)
            if wrong is not None:
                raise NotemillError(f"{path} line {wrong} has not the three columns sentence, sentence, score.")
            scores = [_score(path, number, fields[2]) for number, fields in rows]
        return tuple(
            SentencePair(str(index), fields[0], fields[1], score=score)
            for index, ((_, fields), score) in enumerate(zip(rows, scores, strict=True), start=1)
        )

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[float]) -> Path:
        path = folder / "predictions.txt"
        pairs = [example for example in examples if isinstance(example, SentencePair)]
        rows = zip(pairs, predictions, strict=True)
        write_text(path, "".join(f"{pair.first}\t{pair.second}\t{score}\n" for pair, score in rows))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        lines = list(_lines(path))
        if lines and all("\t" not in line for _, line in lines):
            return [_score(path, number, line) for number, line in lines]
        return predictions_of(examples, self.read(path, reading), reading.task)


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def _scores_beside(path: Path, pairs: int) -> list[float]:
    file = path.with_name(f"{path.stem}{_SCORES_ENDING}.txt")
    if not file.is_file():
        raise NotemillError(f"{path} has no scores; put {file.name} beside it.")
    scores = [_score(file, number, line) for number, line in _lines(file)]
    if len(scores) != pairs:
        raise NotemillError(f"{file} has {len(scores)} scores for the {pairs} pairs of {path.name}.")
    return scores


def _score(path: Path, number: int, value: str) -> float:
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise NotemillError(f"{path} line {number} has no number for a score.")
    return score
