"""What a corpus of some size takes, from the rates in results/corpus.json: a table for docs/corpus.md.

Time and disk grow with the text, grouping with the notes. What workers share is divided by the cores; what one process
does is not. Nothing here is a guess at another machine: a core is one of those that were measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sides import OURS
from launch.errors import NotemillError

NOTES = (1_000_000, 10_000_000, 290_000_000)
CORES = (1, 16, 128)
_GROUPING = "group duplicates"


@dataclass(frozen=True)
class Rates:
    """What was measured."""

    bytes_a_note: float
    shared_out_s_per_mb: float
    """CPU seconds that workers share."""
    sequential_s_per_mb: float
    """CPU seconds of one process, grouping apart."""
    grouping_s_per_note: float
    work_share: float
    """Most that lies on disk at a time while a corpus is built, the corpus itself among it, over the text read."""
    result_share: float
    """The finished corpus over the text read."""
    worker_mb: float
    near_mb: float
    """Memory of grouping `near_notes`."""
    near_notes: int
    near_bytes_a_note: float
    """What each note more adds."""

    def core_hours(self, notes: int) -> tuple[float, float]:
        """Hours that workers share, and hours of one process."""
        mb = notes * self.bytes_a_note / 1e6
        sequential = mb * self.sequential_s_per_mb + notes * self.grouping_s_per_note
        return mb * self.shared_out_s_per_mb / 3600, sequential / 3600

    def wall_hours(self, notes: int, cores: int) -> float:
        """Hours on so many cores."""
        shared_out, sequential = self.core_hours(notes)
        return shared_out / cores + sequential

    def grouping_mb(self, notes: int) -> float:
        """Memory of the step that finds copies; near-copies need the most of it."""
        return self.near_mb + max(0, notes - self.near_notes) * self.near_bytes_a_note / 1e6


def rates_of(results: Mapping[str, Any]) -> Rates:
    """Rates from what `benchmarks.corpus` wrote; raises NotemillError where one of its three parts is missing."""
    if missing := {"compare", "memory", "grouping"} - set(results):
        raise NotemillError(f"the results lack {', '.join(sorted(missing))}; run benchmarks.corpus for that too.")
    text, ours = results["compare"]["text"], results["compare"]["sides"]["ours"]
    stages = {name: use["cpu_seconds"] for name, use in ours["stages"].items() if not name.startswith("start")}
    if not ours["mb_per_cpu_second_amortised"]:
        raise NotemillError("the comparison was made on too little text; run it again with more --mb.")
    seconds_per_mb = 1 / ours["mb_per_cpu_second_amortised"]
    part = {name: seconds / sum(stages.values()) * seconds_per_mb for name, seconds in stages.items()}
    is_shared_out = {stage.name for stage in OURS if stage.is_shared_out}
    near, exact = results["grouping"]["near"], results["grouping"]["exact"]
    on_generated = sum(sizes[-1]["cpu_seconds"] / sizes[-1]["notes"] for sizes in (near, exact))
    runs = results["memory"]["runs"]
    largest = max(runs, key=lambda item: (item["text_mb"], -item["workers"]))
    return Rates(
        bytes_a_note=text["bytes_a_note"],
        shared_out_s_per_mb=sum(seconds for name, seconds in part.items() if name in is_shared_out),
        sequential_s_per_mb=sum(
            seconds for name, seconds in part.items() if name not in is_shared_out and name != _GROUPING
        ),
        grouping_s_per_note=max(part.get(_GROUPING, 0) * text["bytes_a_note"] / 1e6, on_generated),
        work_share=largest["disk_mb"] / largest["text_mb"],
        result_share=largest["result_mb"] / largest["text_mb"],
        worker_mb=max(item["worker_mb"] if item["workers"] > 1 else 0 for item in runs),
        near_mb=near[-1]["peak_mb"],
        near_notes=near[-1]["notes"],
        near_bytes_a_note=max(0.0, _slope(near)),
    )


def table(rates: Rates, notes: Sequence[int] = NOTES, cores: Sequence[int] = CORES) -> str:
    """A Markdown table, a row for each number of notes."""
    columns = [
        "notes", "text", "core-hours", *(f"hours on {count}" for count in cores), "of these one process alone",
        "disk while it builds", "corpus", "memory a worker", "memory of grouping",
    ]  # fmt: skip
    lines = [columns, ["---"] * len(columns)]
    for number in notes:
        size_gb = number * rates.bytes_a_note / 1e9
        shared_out, sequential = rates.core_hours(number)
        lines.append(
            [
                f"{number // 1_000_000}M",
                f"{_short(size_gb)} GB",
                _short(shared_out + sequential),
                *(_short(rates.wall_hours(number, count)) for count in cores),
                _short(sequential),
                f"{_short(size_gb * rates.work_share)} GB",
                f"{_short(size_gb * rates.result_share)} GB",
                f"{_short(rates.worker_mb / 1e3)} GB",
                f"{_short(rates.grouping_mb(number) / 1e3)} GB",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _slope(sizes: Sequence[Mapping[str, Any]]) -> float:
    first, last = sizes[0], sizes[-1]
    if first["notes"] == last["notes"]:
        return 0.0
    return (last["peak_mb"] - first["peak_mb"]) * 1e6 / (last["notes"] - first["notes"])


def _short(value: float) -> str:
    """Two digits that count."""
    if value >= 10:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
