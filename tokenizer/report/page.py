"""report.html: the report's numbers on one page that opens with no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from launch.page import house_style, page_environment
from tokenizer.report.charts import Row, bar_chart

PAGE_NAME = "report.html"
NOTE_TYPES_DRAWN = 15
_KINDS = {
    "WordPiece": "WordPiece",
    "BPE": "byte-pair encoding",
    "Unigram": "unigram (SentencePiece)",
    "WordLevel": "whole words",
}


def write_page(folder: Path, report: Mapping[str, Any]) -> Path:
    """Render `report`, which `report_tokenizer` made, and write the page beside it."""
    path = folder / PAGE_NAME
    write_text(path, render_page(report))
    return path


def render_page(report: Mapping[str, Any]) -> str:
    """The page as text; it says no more than report.json."""
    here = Path(__file__).parent
    columns: list[Mapping[str, Any]] = [report, *report["against"]]
    names = _names(columns)
    environment = page_environment(here)
    environment.filters["count"] = "{:,}".format
    environment.filters["share"] = share
    environment.filters["ratio"] = lambda value: "–" if value is None else f"{value:.3f}"
    return environment.get_template("page.html").render(
        style=house_style(here / "page.css"),
        report=report,
        columns=columns,
        names=names,
        kinds=_KINDS,
        verdict=verdict(report, names),
        by_type=_by_type(columns, names),
        types=_types(report),
        histogram=_histogram(columns, names),
        terms=_terms(columns, names),
    )


def verdict(report: Mapping[str, Any], names: Sequence[str]) -> str:
    """One sentence: pieces a word, and how that compares."""
    said = f"{report['all']['pieces_per_word']:.2f} pieces a word"
    compared = [
        f"{share(abs(other['fewer_pieces_share']))} {'fewer' if other['fewer_pieces_share'] >= 0 else 'more'} "
        f"than {name}"
        for other, name in zip(report["against"], names[1:], strict=True)
    ]
    return f"{said}: {', '.join(compared)}." if compared else f"{said} on held-out notes."


def share(value: float | None) -> str:
    """0.3014 as 30.1%."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}%" if value == 0 or abs(value) >= 0.001 else f"{100 * value:.2g}%"


def _names(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the page calls each tokenizer; equal names get a number."""
    names: list[str] = []
    for column in columns:
        name, number = str(column["name"]), 2
        while name in names:
            name, number = f"{column['name']} ({number})", number + 1
        names.append(name)
    return names


def _types(report: Mapping[str, Any]) -> list[str]:
    """The note types with the most words."""
    by_type = report["by_note_type"]
    return sorted(by_type, key=lambda name: (-by_type[name]["words"], name))


def _by_type(columns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = [Row("all notes", [column["all"]["pieces_per_word"] for column in columns])]
    rows += [
        Row(name or "(none)", [column["by_note_type"][name]["pieces_per_word"] for column in columns])
        for name in _types(columns[0])[:NOTE_TYPES_DRAWN]
    ]
    return bar_chart(rows, names, label="pieces a word by note type")


def _histogram(columns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    lengths = sorted({length for column in columns for length in column["words_by_pieces"]})
    rows = [
        Row(
            f"{length} piece{'' if length == '1' else 's'}",
            [column["words_by_pieces"].get(length, 0) / max(1, column["all"]["words"]) for column in columns],
        )
        for length in lengths
    ]
    return bar_chart(rows, names, label="share of words by number of pieces", percent=True)


def _terms(columns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = [
        Row(f"{kind} ({of_kind['terms']}, {of_list})", [c["terms"][of_list][kind]["whole_share"] for c in columns])
        for of_list, kinds in columns[0]["terms"].items()
        for kind, of_kind in kinds.items()
    ]
    return bar_chart(rows, names, label="share of terms that are whole", percent=True)
