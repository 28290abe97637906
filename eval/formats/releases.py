"""Releases as they are unpacked: which of their files belong to train, dev and test, by the names of their folders.

Publishers name splits in their own ways (concept_assertion_relation_training_data, testing-PHI-Gold-fixed,
CDR_DevelopmentSet). The part of a path that is nearest to the file decides.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eval.examples import Document, Example, Span
from eval.formats.base import Format, Reading
from launch.errors import NotemillError

SPLIT_MARKS = {
    "test": r"(?<![a-z])test|testset|testing",
    "dev": r"(?<![a-z])dev(?![a-z])|devel|(?<![a-z])valid|(?<![a-z])val(?![a-z])",
    "train": r"(?<![a-z])train|trainset|training",
}
"""What in a folder's or file's name tells its split."""


class Released(Format):
    """A format whose files lie in folders of the publisher's making; a split is the files of one kind in them."""

    patterns: tuple[str, ...]
    """Globs of the files that are read, below any folder."""
    marks: Mapping[str, str] = SPLIT_MARKS
    one_each = True
    """Whether a file is one document, whose name then tells nothing of its split and comes once in it."""

    def read_splits(self, path: Path, reading: Reading) -> dict[str, tuple[Example, ...]]:
        """Every split's files, read one after another. Raises NotemillError where there are none."""
        splits = {}
        for split, files in self.files_by_split(path, reading).items():
            found = [(file, example) for file in files for example in self.read(file, reading)]
            splits[split] = found_once(split, found, reading)
        return splits

    def files_by_split(self, path: Path, reading: Reading) -> dict[str, list[Path]]:
        if not path.exists():
            raise NotemillError(f"no task data at {path}; give the unpacked release's folder or one of its files.")
        if path.is_file():
            return {"test": [path]}
        files = self.choose(files_below(path, self.patterns))
        if not files:
            wanted = " or ".join(self.patterns)
            raise NotemillError(f"{path} holds no file {wanted}; give the folder into which {self.name} was unpacked.")
        found = divide(path, files, self.marks, reading, by_folder=self.one_each)
        if self.one_each:
            for split, members in found.items():
                require_one_each(split, members)
        return found

    def choose(self, files: list[Path]) -> list[Path]:
        """Those of the files found that are gold; all of them unless a release has copies."""
        return files

    @abstractmethod
    def read(self, path: Path, reading: Reading) -> tuple[Example, ...]:
        """Examples of one of the files."""


def files_below(root: Path, patterns: Iterable[str]) -> list[Path]:
    """The files under `root`, sorted, without what archives of a Mac and hidden folders leave behind."""
    found = {file for pattern in patterns for file in root.rglob(pattern) if file.is_file()}
    return sorted(file for file in found if not _is_left_over(file.relative_to(root)))


def divide(
    root: Path, files: Sequence[Path], marks: Mapping[str, str], reading: Reading, by_folder: bool
) -> dict[str, list[Path]]:
    """`files` by split, as folders and, unless `by_folder`, their own names tell it.

    Where no name tells one, all are the test split; files beside named splits are counted.
    """
    found: dict[str, list[Path]] = {}
    unnamed = []
    for file in files:
        relative = file.relative_to(root)
        split = _split_of(relative.parent.parts if by_folder else relative.parts, marks)
        if split is None:
            unnamed.append(file)
        else:
            found.setdefault(split, []).append(file)
    if not found:
        return {"test": unnamed}
    reading.notes["files outside of train, dev and test left"] += len(unnamed)
    return {split: found[split] for split in ("train", "dev", "test") if split in found}


def require_one_each(split: str, files: Sequence[Path]) -> None:
    """Raise NotemillError where two files of a split are of one document."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(file.stem, file)
        if other is not file:
            raise NotemillError(
                f"the {split} split has two files for document '{file.stem}': {other} and {file}; remove one."
            )


def found_once(split: str, found: Sequence[tuple[Path, Example]], reading: Reading) -> tuple[Example, ...]:
    """Examples without documents that one file holds twice over, as NCBI Disease does; such are counted.

    Raises NotemillError where two documents of a split have the same id and are not the same, or lie in two files: a
    tool's output beside the gold is no gold.
    """
    first: dict[str, tuple[Path, Document]] = {}
    kept: list[Example] = []
    for file, example in found:
        if isinstance(example, Document):
            other, twin = first.setdefault(example.id, (file, example))
            if other != file:
                raise NotemillError(
                    f"the {split} split has document '{example.id}' in two files: {other} and {file}; give a folder "
                    "or file that holds the gold alone."
                )
            if twin is not example:
                if (twin.text, _mentions(twin)) != (example.text, _mentions(example)):
                    raise NotemillError(f"{file} has two different documents '{example.id}'; remove one.")
                reading.notes["documents given twice, left once"] += 1
                continue
        kept.append(example)
    return tuple(kept)


def predicted_file(path: Path, document: Document, suffix: str, folders: Sequence[str] = ()) -> Path:
    """Where predictions for a document lie: below one of `folders` of `path`, or in `path` itself."""
    for folder in (*folders, "."):
        file = path / folder / f"{document.id}{suffix}"
        if file.is_file():
            return file
    return path / f"{document.id}{suffix}"


def require_predictions(path: Path, documents: Sequence[Document], files: Sequence[Path]) -> None:
    """Raise NotemillError that counts the documents without a file of predictions."""
    missing = [(d, file) for d, file in zip(documents, files, strict=True) if not file.is_file()]
    if missing:
        raise NotemillError(
            f"{path} lacks predictions for {len(missing)} of {len(documents)} documents, the first is "
            f"'{missing[0][1].name}'; write one without annotations where nothing was found."
        )


def _mentions(document: Document) -> list[tuple[str, tuple[Span, ...]]]:
    return sorted((entity.label, entity.spans) for entity in document.entities)


def _split_of(parts: Sequence[str], marks: Mapping[str, str]) -> str | None:
    for part in reversed(parts):
        for split, mark in marks.items():
            if re.search(mark, part, re.IGNORECASE):
                return split
    return None


def _is_left_over(relative: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)
