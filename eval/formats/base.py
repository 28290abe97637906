"""What a format is: it finds its splits under a path, reads them, and writes predictions in its own form."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from eval.examples import Document, Example, SentencePair, Task
from launch.errors import NotemillError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "valid", "validation", "val"),
    "test": ("test", "testing"),
}


@dataclass
class Reading:
    """How one file is to be read, and what is counted on the way."""

    task: Task
    columns: Mapping[str, str] = field(default_factory=dict)
    """The user's names of columns, by ours (text, label, id, patient, first, second, score)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The user's choices among a format's `options`."""
    is_predicted: bool = False
    """Whether predictions are read, which may have our names of columns as well as the user's, and need no patient."""
    notes: Counter[str] = field(default_factory=Counter)
    """Everything that could not be represented, in plain words."""


class Format(Protocol):
    """One distributed form of a task set."""

    name: str
    tasks: tuple[Task, ...]
    suffixes: tuple[str, ...] = ()
    """Endings of the files that hold a split; empty when a split is a folder."""
    options: Mapping[str, tuple[str, ...]] = {}
    """Settings after the path that are no columns, with their values, the default first."""

    def read_splits(self, path: Path, reading: Reading) -> dict[str, tuple[Example, ...]]:
        """Examples of every split below `path`, by "train", "dev" and "test"."""
        return {split: self.read(file, reading) for split, file in find_splits(path, self.suffixes).items()}

    @abstractmethod
    def read(self, path: Path, reading: Reading) -> tuple[Example, ...]:
        """Examples of one split in their order. Raises NotemillError with the file and line, never with text."""

    @abstractmethod
    def write(self, folder: Path, examples: Sequence[Example], predictions: Any) -> Path:
        """Write predictions for `examples` into `folder` in this format; returns the file or folder written."""

    @abstractmethod
    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        """Read back what `write` wrote, or another tool's predictions in the same form."""

    def option(self, reading: Reading, name: str) -> str:
        """The user's choice for an option, or its default."""
        return reading.options.get(name, self.options[name][0])


def find_splits(path: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files (or folders, without suffixes) of each split; one file or unsplit folder is the test split.

    Raises NotemillError when there is nothing at `path`, nothing in it that is a split, or two files for one.
    """
    if not path.exists():
        raise NotemillError(f"no task data at {path}; give the unpacked release's folder or one of its files.")
    if path.is_file():
        return {"test": path}
    found: dict[str, Path] = {}
    for split, names in SPLIT_NAMES.items():
        candidates = [path / f"{name}{suffix}" for name in names for suffix in suffixes or ("",)]
        present = [candidate for candidate in candidates if candidate.exists()]
        if len(present) > 1:
            raise NotemillError(
                f"{path} has {present[0].name} and {present[1].name} for its {split} split; remove one."
            )
        if present:
            found[split] = present[0]
    if not found and not suffixes:
        return {"test": path}
    if not found:
        wanted = ", ".join(f"train{suffix}" for suffix in suffixes)
        raise NotemillError(f"{path} holds no split; expected files such as {wanted}, and dev or test beside.")
    return found


def of_gold(found: Sequence[Document], examples: Sequence[Example], reading: Reading) -> list[Document]:
    """The predicted documents that gold has; the others are counted."""
    known = {example.id for example in examples}
    kept = [document for document in found if document.id in known]
    reading.notes["documents that gold does not have left"] += len(found) - len(kept)
    return kept


def count_others(path: Path, suffix: str, examples: Sequence[Document], reading: Reading) -> None:
    """Count the files of predictions below `path` that are of no document of gold."""
    known = {example.id for example in examples}
    others = {file.stem for file in path.rglob(f"*{suffix}")} - known if path.is_dir() else set()
    reading.notes["documents that gold does not have left"] += len(others)


def predictions_of(examples: Sequence[Example], found: Sequence[Example], task: Task) -> Any:
    """Predictions `found` in a file that was read as if it were gold, for `examples`.

    Raises NotemillError where a row speaks of another text than the gold row at its place: rows carry no other key.
    """
    if task not in ("sts", "nli", "cls", "re") or (found and hasattr(found[0], "entities")):
        return list(found)
    for number, (gold, predicted) in enumerate(zip(examples, found, strict=False), start=1):
        if _texts(gold) != _texts(predicted):
            raise NotemillError(f"row {number} of the predictions is about another text than row {number} of the gold.")
    return [example.score if task == "sts" else example.label for example in found]  # type: ignore[union-attr]


def _texts(example: Example) -> tuple[str, ...]:
    if isinstance(example, SentencePair):
        return " ".join(example.first.split()), " ".join(example.second.split())
    return (" ".join(getattr(example, "text", "").split()),)


def read_text(path: Path) -> str:
    """UTF-8 text with or without a byte order mark, line ends untouched. Raises NotemillError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotemillError(f"{path} is not UTF-8 (byte {error.start}); convert it first.") from None
    except OSError as error:
        raise NotemillError(f"cannot read {path}: {error.strerror}.") from None
