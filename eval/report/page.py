"""report.html: one page that opens with no network, on a laptop or a phone, light or dark.

Everything is inline: style sheet, charts, numbers. It holds scores, counts and settings, and no text of any note unless
examples of mistakes are asked for; it then says so at the top.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json, write_text
from eval.analysis import Analysis
from eval.report.charts import NUM_COLOURS, Bar, Series, interval_chart, line_chart
from eval.report.curves import learning_curves
from eval.report.matrices import confusion_tables
from eval.report.published import COLUMNS, PUBLISHED
from eval.report.tables import best_baseline, by_task, flatten, model_names, written
from eval.results import Result
from launch.errors import NotemillError
from launch.page import house_style, page_environment

_BASELINE_COLOUR = NUM_COLOURS - 1
TASK_NAMES = {
    "ner": "Named entity recognition",
    "re": "Relation extraction",
    "sts": "Semantic textual similarity",
    "nli": "Natural language inference",
    "mqa": "Question answering",
    "cls": "Document classification",
}
_TITLE, _HEAD_BYTES = b"<title>notemill evaluation: ", 4096
"""What pages begin with, and within how many bytes."""
SMOOTHING_ROWS = 200
"""The training curve is averaged in at most this many groups of steps."""


def write_report(
    results: Sequence[Result],
    path: Path,
    run_dir: Path | None = None,
    corpus: Path | None = None,
    analysis: Analysis | None = None,
) -> Path:
    """Render `results` to `path`. Raises NotemillError when there is nothing to show or a named folder is wrong."""
    analysis = analysis or Analysis({})
    if not results:
        raise NotemillError("there are no results to report; every evaluation failed.")
    environment = page_environment(Path(__file__).parent)
    environment.filters["written"] = written
    names = model_names(results)
    page = environment.get_template("page.html").render(
        style=house_style(Path(__file__).parent / "page.css"),
        analysis=analysis,
        num_mistakes=sum(len(found) for by_model in analysis.mistakes.values() for found in by_model.values()),
        names=names,
        models=_models(results),
        groups=[_group(group, names, analysis) for group in by_task(results)],
        pretraining=_pretraining(run_dir) if run_dir is not None else None,
        corpus=_corpus(corpus) if corpus is not None else None,
        published_columns=COLUMNS,
        published=PUBLISHED,
        versions=results[0]["versions"],
        task_names=TASK_NAMES,
    )
    write_text(path, page)
    return path


def require_inputs(run_dir: Path | None, corpus: Path | None) -> None:
    """Raise NotemillError where the report could not show them: hours of training go by before it is written."""
    for folder in (run_dir, corpus):
        if folder is not None and not folder.is_dir():
            raise NotemillError(f"no folder {folder}; check --run and --corpus.")
    if run_dir is not None:
        _pretraining(run_dir)
    if corpus is not None:
        _corpus(corpus)


def is_report(path: Path) -> bool:
    """Whether `write_report` wrote this file."""
    try:
        with path.open("rb") as stream:
            return _TITLE in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def require_place(path: Path) -> None:
    """Raise NotemillError where a page at `path` would replace anything but such a page."""
    if path.is_dir():
        raise NotemillError(f"--out {path} is a folder; name the page to write, as in {path / 'report.html'}.")
    if path.exists() and not is_report(path):
        raise NotemillError(f"--out {path} is there already and is no report of an evaluation; name another file.")


def _models(results: Sequence[Result]) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for result in flatten(results):
        model = result["model"]
        weights = [digest for file, digest in model["files"].items() if file.endswith((".safetensors", ".bin"))]
        seen.setdefault(
            model["name"],
            {**model, "weights": weights[0][:12] if weights and model["initial"] == "pretrained" else "none used"},
        )
    return list(seen.values())


def _group(group: dict[str, Result], names: Sequence[str], analysis: Analysis) -> dict[str, Any]:
    first = next(iter(group.values()))
    primary = first["primary"]
    bars = [
        Bar(name, m["value"], m["low"], m["high"], names.index(name) % _BASELINE_COLOUR)
        for name, result in group.items()
        for m in [result["metrics"][primary]]
    ]
    bars += [
        Bar(b["name"], m["value"], m["low"], m["high"], _BASELINE_COLOUR)
        for b in first["baselines"]
        for m in [b["metrics"][primary]]
    ]
    set_name = first["dataset"]["name"]
    task_analysis = analysis.tasks.get(set_name)
    return {
        "first": first,
        "analysis": task_analysis,
        "confusions": confusion_tables(task_analysis["confusions"] if task_analysis else {}, first["task"]),
        "mistakes": analysis.mistakes.get(set_name, {}),
        "curves": learning_curves(group, names),
        "other_settings": {name: _other_settings(result, first) for name, result in list(group.items())[1:]},
        "results": group,
        "metric_names": list(first["metrics"]),
        "chart": interval_chart(bars),
        "best_baseline": best_baseline(first),
        "class_columns": _class_columns(first["per_class"]),
    }


_NOT_SETTINGS = ("initial", "baseline", "search", "threads")
"""Recipe keys that the page tells elsewhere, or that are of no account."""


def _other_settings(result: Result, first: Result) -> dict[str, Any]:
    """What a model was trained with otherwise than the first one of the task."""
    ours, theirs = result["recipe"], first["recipe"]
    differing = {
        key: value
        for key, value in ours.items()
        if key not in _NOT_SETTINGS and (key not in theirs or theirs[key] != value)
    }
    if result["precision"] != first["precision"]:
        differing["precision"] = result["precision"]
    return differing


def _class_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns of a class table: the numbers of the first row, in its order."""
    return [name for name, value in rows[0].items() if isinstance(value, int | float)] if rows else []


def _pretraining(run_dir: Path) -> dict[str, Any]:
    rows = _metric_rows(run_dir / "metrics.jsonl")
    training = [row for row in rows if "mlm_loss" in row or "loss" in row]
    validation = [row for row in rows if "valid_mlm_loss" in row]
    if not training:
        raise NotemillError(f"{run_dir / 'metrics.jsonl'} holds no training step; point --run at a pretraining run.")
    losses = [
        _smooth("training loss", training, "loss"),
        _smooth("training MLM loss", training, "mlm_loss"),
        _series("validation MLM loss", validation, "valid_mlm_loss"),
    ]
    last = training[-1]
    facts: dict[str, Any] = {
        "steps": f"{last.get('step', 0):,}",
        "tokens": f"{last.get('tokens_seen', 0):,}",
        "last training loss": f"{last['loss']:.4f}" if "loss" in last else "",
    }
    if validation:
        facts["first validation MLM loss"] = f"{validation[0]['valid_mlm_loss']:.4f}"
        facts["last validation MLM loss"] = f"{validation[-1]['valid_mlm_loss']:.4f}"
        if "valid_mlm_accuracy" in validation[-1]:
            facts["last validation MLM accuracy"] = f"{validation[-1]['valid_mlm_accuracy']:.4f}"
    speeds = sorted(row["tokens_per_second"] for row in training if row.get("tokens_per_second"))
    if speeds:
        facts["tokens per second (median)"] = f"{speeds[len(speeds) // 2]:,.0f}"
    return {
        "loss": line_chart(losses, "tokens", "loss"),
        "rate": line_chart([_series("learning rate", training, "lr")], "tokens", "learning rate"),
        "facts": {name: value for name, value in facts.items() if value},
    }


def _metric_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl; a last line cut short by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NotemillError(f"cannot read {path}: {error.strerror}; point --run at a pretraining run.") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise NotemillError(f"{path} line {number} is not JSON; the file is damaged.") from None
    return [row for row in rows if isinstance(row, dict)]


def _series(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> Series:
    points = [(row.get("tokens_seen", row.get("step", 0)), row[key]) for row in rows if row.get(key) is not None]
    return Series(name, [float(x) for x, _ in points], [float(y) for _, y in points], name.startswith("validation"))


def _smooth(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> Series:
    raw = _series(name, rows, key)
    size = -(-len(raw.x) // SMOOTHING_ROWS) or 1
    groups = [slice(start, start + size) for start in range(0, len(raw.x), size)]
    return Series(name, [raw.x[g][-1] for g in groups], [sum(raw.y[g]) / len(raw.y[g]) for g in groups])


def _corpus(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json", "corpus manifest")
    if not isinstance(manifest, dict):
        raise NotemillError(f"{folder / 'manifest.json'} is no corpus manifest; check --corpus.")
    counts = manifest.get("counts", {})
    rejected = counts.get("rejected", {})
    shown = {
        name.replace("_", " "): value for name, value in counts.items() if name != "rejected" and isinstance(value, int)
    }
    shown |= {f"rejected: {reason.replace('_', ' ')}": number for reason, number in rejected.items()}
    return {"counts": shown, "phi": manifest.get("phi_replaced", {}), "inputs": len(manifest.get("inputs", []))}
