"""n2c2 2018 track 2: drugs, their attributes and the relations between them, in BRAT.

training_20180910/ and the gold standard test data in test/, a .txt and an .ann a document. Texts without annotations,
as the test data was first sent out, are counted.
"""

from pathlib import Path

from eval.examples import Document, Example
from eval.formats.base import Reading
from eval.formats.brat import Brat, read_brat_document
from eval.formats.releases import SPLIT_MARKS, divide, files_below, require_one_each
from launch.errors import NotemillError


class Drugs2018(Brat):
    name = "n2c2_2018"

    def read_splits(self, path: Path, reading: Reading) -> dict[str, tuple[Example, ...]]:
        files = files_below(path, ["*.ann"]) if path.is_dir() else []
        if not files:
            raise NotemillError(f"{path} holds no .ann file; give the folder into which {self.name} was unpacked.")
        annotated = {file.stem for file in files}
        bare = [text for text in files_below(path, ["*.txt"]) if text.stem not in annotated]
        reading.notes["texts without annotations left"] += len(bare)
        splits: dict[str, tuple[Example, ...]] = {}
        for split, members in divide(path, files, SPLIT_MARKS, reading, by_folder=True).items():
            require_one_each(split, members)
            splits[split] = tuple(_document(file, reading) for file in members)
        return splits


def _document(annotations: Path, reading: Reading) -> Document:
    text = annotations.with_suffix(".txt")
    if not text.is_file():
        raise NotemillError(f"{annotations} has no {text.name} beside it.")
    return read_brat_document(text, annotations, reading)
