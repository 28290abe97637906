"""The score table of a suite as Markdown, for a README or a paper's draft."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.files import write_text
from eval.analysis import Analysis, TaskAnalysis
from eval.report.tables import best_baseline, by_task, model_names, written
from eval.results import Result


def write_table(results: Sequence[Result], path: Path, analysis: Analysis | None = None) -> Path:
    """Rows are tasks, columns are models; each cell is the mean ± sd over seeds and the 95% interval.

    Below it, with `analysis`, the differences between models.
    """
    names = model_names(results)
    lines = [
        f"| Set | Task | Metric | n | {' | '.join(names)} | Best baseline without a model |",
        f"|---|---|---|---|{'---|' * len(names)}---|",
    ]
    for group in by_task(results):
        first = next(iter(group.values()))
        cells = [written(group[name]["metrics"][group[name]["primary"]]) if name in group else "" for name in names]
        baseline = best_baseline(first)
        shown = f"{baseline[1]['value']:.4f} ({baseline[0]})" if baseline else ""
        lines.append(
            f"| {first['dataset']['name']} | {first['task']} | {first['primary']} | {first['n']} | "
            f"{' | '.join(cells)} | {shown} |"
        )
    lines += ["", "Mean ± standard deviation over seeds; in brackets the 95% bootstrap interval over test documents."]
    lines += _comparisons(analysis.tasks if analysis else {})
    write_text(path, "\n".join(lines) + "\n")
    return path


def _comparisons(tasks: Mapping[str, TaskAnalysis]) -> list[str]:
    rows = [
        f"| {name} | {row['first']} − {row['second']} | {row['difference']:+.4f} "
        f"[{row['low']:+.4f}, {row['high']:+.4f}] | {row['p']:.3f} | {row['p_holm']:.3f} |"
        for name, task in tasks.items()
        for row in task["comparisons"]
    ]
    if not rows:
        return []
    head = ["", "| Set | Models | Difference | p | p corrected |", "|---|---|---|---|---|"]
    told = "Paired bootstrap over the same test documents, of means over seeds; p corrected by Holm within a set."
    exact = [
        f"- {name}: {row['first']} alone is right on {row['mcnemar']['only_first']}, {row['second']} alone on "
        f"{row['mcnemar']['only_second']}, p {row['mcnemar']['p']:.3f}"
        for name, task in tasks.items()
        for row in task["comparisons"]
        if "mcnemar" in row
    ]
    if exact:
        exact = [
            "",
            "McNemar's exact test on the test documents, of each model's seed that was best on dev:",
            "",
            *exact,
        ]
    return [*head, *rows, "", told, *exact]
