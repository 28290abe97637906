"""NLI4CT: statements about sections of clinical trials, which lie beside in a zip or a folder `CT json`.

The premise is the named section of the primary trial and, in comparisons, of the secondary one as well.
"""

import zipfile
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
                pairs.append(SentencePair(key, premise, statement["Statement"], label=label))
            except (KeyError, TypeError) as error:
                raise NotemillError(f"{path}: the statement {key} or its trial lacks {error}.") from None
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
        return [predicted[example.id].get("Prediction") for example in examples]


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
            return lambda trial_id: _load(folder / f"{trial_id}.json", read_text(folder / f"{trial_id}.json"))
    for name in _ARCHIVES:
        file = path.parent / name
        if file.is_file():
            try:
                archive = zipfile.ZipFile(file)
            except zipfile.BadZipFile:
                raise NotemillError(f"{file} is no zip archive, or is cut short.") from None
            members = {Path(member).stem: member for member in archive.namelist() if "__MACOSX" not in member}
            return lambda trial_id: orjson.loads(archive.read(members[trial_id]))
    raise NotemillError(f"the trials are missing: no {_ARCHIVES[0]} and no folder '{_FOLDERS[0]}' beside {path}.")
