"""What `notemill plan` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from rich import box
from rich.console import Console
from rich.table import Table

from launch.planner.cluster import Cluster
from launch.planner.disk import checkpoint_bytes, num_checkpoints
from launch.planner.layouts import Candidate, num_full_steps
from launch.planner.memory import Memory
from launch.planner.parameters import Shape, whole_model
from launch.planner.step_time import flops_per_token
from pretrain.config import PretrainConfig

GIB = 2**30
_PLAIN_WIDTH = 200


def open_console() -> Console:
    """Standard output: rules on a terminal, plain columns that are never cut short elsewhere."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_PLAIN_WIDTH)


def print_run(
    console: Console,
    config: PretrainConfig,
    shape: Shape,
    cluster: Cluster,
    *,
    vocabulary: str,
    efficiency: float | None,
) -> None:
    """What holds for every layout. `vocabulary` says where its size is from, `efficiency` is a measured MFU."""
    train = config.train
    rows = num_full_steps(config) * train.global_batch_size
    checkpoint = checkpoint_bytes(config, shape)
    many = num_checkpoints(config)
    speed = (
        "data sheets and shares of them (docs/scaling.md)"
        if efficiency is None
        else f"a measured MFU of {efficiency} on one GPU"
    )
    lines = {
        "parameters": f"{whole_model(shape):,}",
        "vocabulary": f"{shape.vocab_size:,} ({vocabulary})",
        "FLOPs a token": f"{flops_per_token(config, shape) / 1e9:,.3f}e9",
        "tokens": f"{rows * train.seq_len / 1e9:,.2f}e9 in {train.steps:,} steps of {train.global_batch_size:,} rows "
        f"of {train.seq_len}",
        "checkpoint": f"{checkpoint / GIB:,.1f} GiB; {many} on disk at most: {many * checkpoint / GIB:,.1f} GiB",
        "cluster": f"{cluster.nodes} x {cluster.gpus_per_node} {cluster.gpu.name}, "
        f"{cluster.gpu.memory_bytes / GIB:.1f} GiB each; speed from {speed}",
    }
    if train.precision == "fp8":
        lines["fp8"] = "counted as bf16 in speed, MFU and activations, as no figures for FP8 are built in"
    for name, value in lines.items():
        console.print(f"{name:14} {value}")


def layout_table(console: Console, candidates: Sequence[Candidate]) -> Table:
    """One row a layout."""
    layout = ("TP", "PP", "VPP", "SP", "DP", "micro-batch", "recompute")
    table = _table(console, (*layout, "GiB a GPU", "step s", "tokens/s", "MFU", "days"))
    for candidate in candidates:
        parallel, train = candidate.config.parallel, candidate.config.train
        table.add_row(
            str(parallel.tensor),
            str(parallel.pipeline),
            str(parallel.virtual_stages),
            "yes" if parallel.sequence else "no",
            str(candidate.layout.data),
            str(train.micro_batch_size),
            train.recompute,
            f"{candidate.memory.total / GIB:.1f}",
            f"{candidate.time.total:.3f}",
            f"{train.global_batch_size * train.seq_len / candidate.time.total:,.0f}",
            f"{candidate.mfu:.1%}",
            f"{candidate.days:.2f}",
        )
    return table


def part_table(console: Console, candidate: Candidate) -> Table:
    """Memory and step time of one layout, by part."""
    table = _table(console, ("memory", "GiB", "", "step", "seconds"))
    memory, time = candidate.memory, candidate.time
    parts = [(field.name, getattr(memory, field.name) / GIB) for field in fields(memory)]
    seconds = [(field.name, getattr(time, field.name)) for field in fields(time)]
    rows = zip([*parts, ("total", memory.total / GIB)], [*seconds, ("total", time.total)], strict=True)
    for (part, gib), (name, value) in rows:
        table.add_row(part, f"{gib:.2f}", "", name, f"{value:.4f}")
    return table


def what_does_not_fit(candidates: Iterable[Candidate]) -> list[str]:
    """A line for every tensor and pipeline size of which no layout fits: the least that it would need, and for what."""
    least: dict[tuple[int, int], Candidate] = {}
    for candidate in candidates:
        place = (candidate.layout.tensor, candidate.layout.pipeline)
        if place not in least or candidate.memory.total < least[place].memory.total:
            least[place] = candidate
    return [
        f"TP {tensor}, PP {pipeline} does not fit in {candidate.memory_limit / GIB:.1f} GiB, even with micro-batch "
        f"{candidate.config.train.micro_batch_size}, recompute {candidate.config.train.recompute}: "
        f"{needs(candidate.memory)}"
        for (tensor, pipeline), candidate in sorted(least.items())
        if not candidate.fits
    ]


def needs(memory: Memory) -> str:
    """The total, and its parts from the largest."""
    parts = sorted(((getattr(memory, field.name), field.name) for field in fields(memory)), reverse=True)
    named = ", ".join(f"{name} {size / GIB:.1f}" for size, name in parts)
    return f"{memory.total / GIB:.1f} GiB ({named})"


def _table(console: Console, columns: Sequence[str]) -> Table:
    style = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=style, pad_edge=False)
    for column in columns:
        is_number = column not in ("SP", "recompute", "memory", "step", "")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    return table
