"""NLI4CT: statements about sections of clinical trials, which lie beside in a zip or a folder `CT json`.

The premise is the named section of the primary trial and, in comparisons, of the secondary one as well.
"""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from data_pipeline.files import write_json
from eval.examples import Example, SentencePair, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError

_ARCHIVES = ("CT_json.zip", "CT json.zip")
_FOLDERS = ("CT json", "CT_json")


class Nli4ct(Format):
    name = "nli4ct"
    tasks: tuple[Task, ...] = ("nli",)
    suffixes: tuple[str, ...] = (".json",)

    def read(self, path: Path, reading: Reading) -> tuple[SentencePair, ...]:
        statements = _load(path, read_text(path))
        trial = _trials_beside(path)
        pairs = []
        for key, statement in statements.items():
            try:
                section, label = statement["Section_id"], statement["Label"]
                premise = f"Primary trial: {_section(trial(statement['Primary_id']), section)}"
                if statement["Type"] == "Comparison":
                    premise += f"\nSecondary trial: {_section(trial(statement['Secondary_id']), section)}"
                hypothesis = statement["Statement"]
            except (KeyError, TypeError) as error:
                raise NotemillError(f"{path}: the statement {key} or its trial lacks {error}.") from None
            if label is None or label in ("", "-"):
                reading.notes["pairs without a gold label left"] += 1
                continue
            if not isinstance(hypothesis, str) or not isinstance(label, str):
                raise NotemillError(f"{path}: Statement or Label of the statement {key} is no text.")
            pairs.append(SentencePair(key, premise, hypothesis, label=label.strip()))
        return tuple(pairs)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[str]) -> Path:
        path = folder / "predictions.json"
        pairs = zip(examples, predictions, strict=True)
        write_json(path, {example.id: {"Prediction": label} for example, label in pairs})
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        predicted = _load(path, read_text(path))
        missing = sum(example.id not in predicted for example in examples)
        if missing:
            raise NotemillError(f"{path} lacks predictions for {missing} of {len(examples)} statements.")
        reading.notes["statements that gold does not have left"] += len(predicted) - len(examples)
        labels = []
        for example in examples:
            value = predicted[example.id]
            label = value.get("Prediction") if isinstance(value, dict) else None
            if not isinstance(label, str):
                raise NotemillError(
                    f"{path}: the statement {example.id} is no object with a label as its 'Prediction'."
                )
            labels.append(label)
        return labels


def _load(path: Path, text: str) -> dict[str, Any]:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotemillError(f"{path} is not valid JSON.") from None
    if not isinstance(content, dict):
        raise NotemillError(f"{path} must hold statements by id.")
    return content


def _section(trial: dict[str, Any], name: str) -> str:
    return "\n".join(str(line).strip() for line in trial[name])


def _trials_beside(path: Path) -> Callable[[str], dict[str, Any]]:
    for name in _FOLDERS:
        folder = path.parent / name
        if folder.is_dir():
            files = {file.stem: file for file in folder.glob("*.json")}
            return lambda trial_id: _load(files[trial_id], read_text(files[trial_id]))
    for name in _ARCHIVES:
        file = path.parent / name
        if file.is_file():
            try:
                archive = zipfile.ZipFile(file)
            except zipfile.BadZipFile:
                raise NotemillError(f"{file} is no zip archive, or is cut short.") from None
            members = {Path(member).stem: member for member in archive.namelist() if "__MACOSX" not in member}
            return lambda trial_id: _load(file / members[trial_id], _unzipped(archive, file, members[trial_id]))
    raise NotemillError(f"the trials are missing: no {_ARCHIVES[0]} and no folder '{_FOLDERS[0]}' beside {path}.")


def _unzipped(archive: zipfile.ZipFile, file: Path, member: str) -> str:
    try:
        return archive.read(member).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotemillError(f"{member} in {file} is not UTF-8.") from None
    # Broken contents, a cut end, and ways of packing or locking that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        raise NotemillError(f"{member} in {file} cannot be unpacked; fetch the archive again.") from None
