"""Task data as it is distributed: `FORMAT:PATH[?column=name&…]` to examples, and predictions back.

PATH is a folder with train, dev and test (files, or sub-folders for BRAT), the folder into which a release was
unpacked, or one file, which is then the test split.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder
from eval.examples import Dataset, Example, Task
from eval.formats.base import Format, Reading
from eval.formats.bioc import BioC
from eval.formats.brat import Brat
from eval.formats.class_labels import require_labels
from eval.formats.conll import Conll
from eval.formats.emrqa import EmrQa
from eval.formats.i2b2_2010 import Concepts2010
from eval.formats.i2b2_2012 import Temporal2012
from eval.formats.i2b2_2014 import Deid2014
from eval.formats.labelled import Labelled
from eval.formats.marked import Marked
from eval.formats.mednli import MedNli
from eval.formats.n2c2_2018 import Drugs2018
from eval.formats.n2c2_2019 import Similarity2019
from eval.formats.nli4ct import Nli4ct
from eval.formats.pairs import Pairs
from eval.formats.pubtator import PubTator
from eval.formats.spans import Spans
from eval.formats.squad import Squad
from eval.formats.tables import KNOWN_COLUMNS
from launch.errors import NotemillError
from launch.specs import split_settings

FORMATS: tuple[Format, ...] = (
    Brat(),
    Conll(),
    Spans(),
    Marked(),
    Pairs("tsv"),
    Pairs("csv"),
    Pairs("jsonl"),
    Pairs("json"),
    Nli4ct(),
    Squad(),
    Labelled("jsonl"),
    Labelled("tsv"),
    Labelled("csv"),
    Concepts2010(),
    Temporal2012(),
    Deid2014(),
    Drugs2018(),
    Similarity2019(),
    MedNli(),
    EmrQa(),
    PubTator(),
    BioC(),
)


def formats_of(task: Task) -> list[str]:
    """Names of the formats that hold a task."""
    return [candidate.name for candidate in FORMATS if task in candidate.tasks]


def load_dataset(task: Task, spec: str) -> Dataset:
    """Read the splits that `spec` points at, as distributed; `eval.splits` completes missing ones.

    Raises NotemillError for an unknown format, a missing path or column, or a broken line.
    """
    chosen, path, settings = _parse_spec(task, spec)
    columns, options = _divided(settings, chosen)
    reading = Reading(task, columns, options)
    splits = chosen.read_splits(path, reading)
    require_labels(task, spec, splits)
    counted = {note: count for note, count in sorted(reading.notes.items()) if count}
    return Dataset(task, chosen.name, str(path), splits, counted, settings)


def write_predictions(dataset: Dataset, split: str, predictions: Any, out_dir: Path) -> Path:
    """Write predictions for a split in the set's own format below `out_dir`; returns the file or folder."""
    make_private_folder(out_dir)
    return _format(dataset.task, dataset.format).write(out_dir, dataset.splits[split], predictions)


def read_predictions(
    task: Task,
    format_name: str,
    path: Path,
    gold: Sequence[Example],
    settings: Mapping[str, str] | None = None,
    notes: Counter[str] | None = None,
) -> Any:
    """Read predictions for `gold` in a format, as `write_predictions` or another tool wrote them.

    `settings` are those the gold was read with (`Dataset.options`): where predictions have the user's columns they are
    taken, and ours otherwise. `notes` counts what could not be represented.
    """
    if not path.exists():
        raise NotemillError(f"no predictions at {path}.")
    chosen = _format(task, format_name)
    columns, options = _divided(settings or {}, chosen)
    reading = Reading(task, columns, options, is_predicted=True, notes=Counter() if notes is None else notes)
    return chosen.read_predictions(path, gold, reading)


def _divided(settings: Mapping[str, str], chosen: Format) -> tuple[dict[str, str], dict[str, str]]:
    """The user's names of columns, and choices among the format's options."""
    columns = {key: value for key, value in settings.items() if key not in chosen.options}
    return columns, {key: value for key, value in settings.items() if key in chosen.options}


def _format(task: Task, name: str) -> Format:
    for candidate in FORMATS:
        if candidate.name == name and task in candidate.tasks:
            return candidate
    raise NotemillError(f"no format '{name}' for task {task}; there are {', '.join(formats_of(task))}.")


def _parse_spec(task: Task, spec: str) -> tuple[Format, Path, dict[str, str]]:
    name, colon, rest = spec.partition(":")
    if not colon or not rest:
        raise NotemillError(f"'{spec}' is not FORMAT:PATH; formats for {task} are {', '.join(formats_of(task))}.")
    chosen = _format(task, name)
    path, settings = split_settings(rest, (*KNOWN_COLUMNS, *chosen.options))
    for key, values in chosen.options.items():
        if settings.get(key, values[0]) not in values:
            raise NotemillError(f"{key}={settings[key]} in '{spec}' is none of {', '.join(values)}.")
    return chosen, Path(path), settings
