"""The score table of a suite as Markdown, for a README or a paper's draft."""

from collections.abc import Sequence
from pathlib import Path

from data_pipeline.files import write_text
from eval.report.tables import best_baseline, by_task, model_names, written
from eval.results import Result


def write_table(results: Sequence[Result], path: Path) -> Path:
    """Rows are tasks, columns are models; each cell is the mean ± sd over seeds and the 95% interval."""
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
    write_text(path, "\n".join(lines) + "\n")
    return path
