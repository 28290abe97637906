"""Where an evaluation writes: a folder of its own, or one that holds what an evaluation left and nothing else.

A run replaces OUT/model, OUT/predictions and its pages, so what stands under these names must be of a run: each file of
the first two lies in a seed's folder too, results.json says that it is one. The model and the data lie elsewhere, or
they would be replaced, and OUT lies outside the data, of which it would become a part.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_pipeline.files import make_own_folder, others_in, read_json
from eval.report.page import is_report
from eval.results import RESULTS_FILE, holds_results
from launch.errors import NotemillError

_OF_A_RUN = r"seed-\d+|search|untrained|model|predictions[\w.-]*|probabilities\.json|log\.txt"
_OF_A_SUITE = r"jobs|results\.md"
_OF_BOTH = r"results\.json|analysis\.json"
_COPIED = re.compile(r"model|predictions[\w.-]*|probabilities\.json")
"""Of the seed that was best on dev."""


def run_folder(out: Path, model: Path, data: str) -> Path:
    """`out`, made private, for `eval run`. Raises NotemillError, and changes nothing, where that would harm anything.

    `data` is FORMAT:PATH[?settings].
    """
    require_apart(out, [model], [place_of(data)] if data.partition(":")[2] else [])
    names = _require_ours(out, _OF_A_RUN)
    for folder in (out, out / "untrained"):
        if folder.is_dir():
            _require_copies(folder)
    return make_own_folder(out, names, "evaluation")


def suite_folder(out: Path, models: Iterable[Path], data: Iterable[Path]) -> Path:
    """The same for `eval suite`, with all of its models and sets."""
    require_apart(out, models, data)
    names = _require_ours(out, _OF_A_SUITE)
    if (out / "results.md").exists() and not (out / RESULTS_FILE).exists():
        raise _other(out, "results.md")
    return make_own_folder(out, names, "evaluation")


def place_of(data: str) -> Path:
    """The path in FORMAT:PATH[?settings], whatever it leads to."""
    path = data.partition(":")[2]
    return Path(path if Path(path).exists() else path.partition("?")[0])


def require_apart(out: Path, models: Iterable[Path], data: Iterable[Path]) -> None:
    """Raise NotemillError where a model or data lie in `out`, or `out` lies in data."""
    for model in models:
        if _is_in(model, out):
            raise NotemillError(
                f"--model {model} lies in --out {out}, where it would be replaced; name another folder with --out."
            )
    for path in data:
        if _is_in(out, path) and not path.is_file():
            raise NotemillError(
                f"--out {out} lies in the folder of the data, {path}, and would become part of them; name another "
                "folder with --out."
            )
        if _is_in(path, out):
            raise NotemillError(
                f"the data {path} lie in --out {out}, where they might be replaced; name another folder with --out."
            )


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _require_ours(out: Path, names: str) -> re.Pattern[str]:
    """The names that `out` may hold. Raises NotemillError where it holds others, or ours of another origin."""
    if out.exists() and not out.is_dir():
        raise NotemillError(f"--out {out} is a file; name a folder.")
    pages = [re.escape(page.name) for page in out.glob("*.html") if is_report(page)]
    pattern = re.compile("|".join([names, _OF_BOTH, *pages]))
    if others := others_in(out, pattern):
        raise _other(out, others[0])
    results, analysis = out / RESULTS_FILE, out / "analysis.json"
    is_suite = names == _OF_A_SUITE
    if results.exists() and not _holds(results, is_suite):
        raise _other(out, RESULTS_FILE)
    if analysis.exists() and not results.exists():
        raise _other(out, analysis.name)
    return pattern


def _holds(results: Path, is_suite: bool) -> bool:
    try:
        content: Any = read_json(results, "results")
    except NotemillError:
        return False
    return isinstance(content, list) == is_suite and holds_results(content)


def _require_copies(out: Path) -> None:
    """Raise NotemillError where what a run puts in place of older files came from no seed."""
    seeds = [seed for seed in out.glob("seed-*") if seed.is_dir()]
    for entry in sorted(out.iterdir()):
        if _COPIED.fullmatch(entry.name) is None:
            continue
        for file in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if not any((seed / file.relative_to(out)).exists() for seed in seeds):
                raise _other(out, str(file.relative_to(out)))


def _other(out: Path, name: str) -> NotemillError:
    return NotemillError(f"{out} holds {name}, which is of no such evaluation; name another folder with --out.")
