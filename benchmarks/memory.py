"""Peak memory of training processes beside the planner's arithmetic, layout by layout.

    python -m benchmarks.memory --tokens TOKENS [--only "TP2, bf16"]     # results in benchmarks/results/memory.json
    python -m benchmarks.memory --table                                  # of the results, for docs/scaling.md

Each layout is a real run of two steps, in as many gloo processes as it needs. A rank's measured figure is the largest
resident memory over these steps minus what it had after all imports, the start of the process groups and the reading of
its rows, and minus pages of program files that were touched since. So that resident memory is what is allocated, glibc
is told to give freed blocks back at once, and oneDNN to keep no compiled product: it keeps one for every length of a
piece, up to a thousand. The planner is given the rows' true numbers of masked positions and of tokens squared.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, rounded, save_result

RESULTS = Path(__file__).parent / "results" / "memory.json"
MODEL = (
    "model.num_layers=8",
    "model.hidden_size=512",
    "model.num_attention_heads=8",
    "train.seq_len=512",
    "train.micro_batch_size=4",
    "train.global_batch_size=8",
    "train.valid_every=0",
    "train.warmup_steps=1",
)
"""34 million parameters with a vocabulary of 16,384, and activations of about as many bytes."""
STEPS = 2
"""The moments are there from the end of the first on."""
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -3, -1, -2, -4
_MIB = 2**20
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0",
    "LRU_CACHE_CAPACITY": "1",
}


@dataclass(frozen=True)
class Case:
    """A layout to measure."""

    processes: int
    settings: tuple[str, ...]


_TP2, _PP2 = ("parallel.tensor=2",), ("parallel.pipeline=2",)
_DEEPSPEED = ("engine.name=deepspeed",)
CASES = {
    "one process, bf16": Case(1, ()),
    "one process, fp32": Case(1, ("train.precision=fp32",)),
    "one process, bf16, recompute full": Case(1, ("train.recompute=full",)),
    "one process, bf16, recompute selective": Case(1, ("train.recompute=selective",)),
    "one process, bf16, no dropout": Case(1, ("model.hidden_dropout=0",)),
    "one process, bf16, micro-batch 1": Case(1, ("train.micro_batch_size=1",)),
    "TP2, bf16": Case(2, _TP2),
    "TP2, fp32": Case(2, (*_TP2, "train.precision=fp32")),
    "TP2 + SP, bf16": Case(2, (*_TP2, "parallel.sequence=true")),
    "TP2 + SP, fp32": Case(2, (*_TP2, "parallel.sequence=true", "train.precision=fp32")),
    "PP2, bf16": Case(2, _PP2),
    "PP2, fp32": Case(2, (*_PP2, "train.precision=fp32")),
    "PP2 + VPP2, bf16": Case(2, (*_PP2, "parallel.virtual_stages=2")),
    "PP2, bf16, recompute full": Case(2, (*_PP2, "train.recompute=full")),
    "DP2, bf16": Case(2, ()),
    "DP2, fp32": Case(2, ("train.precision=fp32",)),
    "DP2, bf16, ZeRO-1": Case(2, (*_DEEPSPEED, "engine.zero_stage=1")),
    "DP2, bf16, ZeRO-2": Case(2, (*_DEEPSPEED, "engine.zero_stage=2")),
    "DP2, bf16, ZeRO-3": Case(2, (*_DEEPSPEED, "engine.zero_stage=3")),
    "TP2 x PP2 + SP, bf16": Case(4, (*_TP2, *_PP2, "parallel.sequence=true")),
}


def main() -> None:
    """Measure the layouts, or be one rank of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--table", action="store_true", help="only print the results' table")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rank", metavar="NAME", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        measure_rank(CASES[arguments.rank], arguments.tokens, arguments.out)
        return
    found = json.loads(RESULTS.read_text())["layouts"] if RESULTS.exists() else {}
    if arguments.table:
        print_table(found)
        return
    if arguments.tokens is None:
        parser.error("--tokens is needed to measure")
    for name in arguments.only:
        found[name] = measure(name, arguments.tokens)
        for rank in found[name]["ranks"]:
            print(f"{name:40} {rank['measured_mib']:8.0f} MiB, predicted {rank['predicted_mib']:8.0f}", flush=True)
        save_result(RESULTS, "layouts", {name: found[name] for name in CASES if name in found})
    save_result(RESULTS, "machine", machine(("torch", "megatron-core"), "memory"))


def print_table(layouts: dict[str, Any]) -> None:
    """Markdown, a line a pipeline stage: that of its ranks which is farthest off."""
    print("| layout | stage | measured MiB | planner MiB | planner / measured |\n|---|---|---|---|---|")
    for name, layout in layouts.items():
        for stage in sorted({rank["stage"] for rank in layout["ranks"]}):
            of_stage = [rank for rank in layout["ranks"] if rank["stage"] == stage]
            rank = max(of_stage, key=lambda rank: abs(rank["predicted_mib"] / rank["measured_mib"] - 1))
            measured, predicted = rank["measured_mib"], rank["predicted_mib"]
            print(f"| {name} | {stage} | {measured:,.0f} | {predicted:,.0f} | {predicted / measured:.3f} |")


def measure(name: str, tokens: Path) -> dict[str, Any]:
    """Run one layout; its ranks' figures."""
    case = CASES[name]
    environment = dict(os.environ) | _ENVIRONMENT
    with tempfile.TemporaryDirectory() as folder:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={case.processes}"]
        own = ["-m", "benchmarks.memory", "--tokens", str(tokens), "--rank", name, "--out", folder]
        subprocess.run([sys.executable, *launcher, *own], env=environment, check=True)
        ranks = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("rank-*.json"))]
    return rounded({"settings": [*case.settings], "ranks": ranks})


def measure_rank(case: Case, tokens: Path, out: Path) -> None:
    """One rank: build, train some steps, write what it took and what the planner says."""
    from launch.planner.memory import rank_memory
    from launch.planner.parameters import Shape
    from launch.planner.rows import Rows
    from pretrain import megatron_on_cpu
    from pretrain.config import load_pretrain_config

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    import torch
    from megatron.core import parallel_state

    from pretrain.data.index import read_tokens_manifest
    from pretrain.data.loader import PackedLoader
    from pretrain.engines.build import build_engine
    from pretrain.model.build import DTYPES
    from pretrain.parallel import distributed

    config = load_pretrain_config(None, [*MODEL, f"data.path={tokens}", *case.settings])
    vocab_size = read_tokens_manifest(tokens).vocab_size
    ranks = distributed.start(config, vocab_size)
    distributed.seed_dropout(config.train.seed, 0)
    loader = PackedLoader.from_tokens(tokens, seq_len=config.train.seq_len, seed=config.train.seed)
    micro = config.train.micro_batch_size
    rows_of_step = config.train.global_batch_size
    steps = [
        loader.batches_of_step(
            range(step * rows_of_step, (step + 1) * rows_of_step),
            micro_batch_size=micro,
            dp_rank=ranks.data_rank,
            dp_size=ranks.data_size,
        )
        for step in range(STEPS)
    ]
    stage = parallel_state.get_pipeline_model_parallel_rank()
    # The first product loads its library's kernels.
    torch.ones(64, 64, dtype=DTYPES[config.train.precision]) @ torch.ones(64, 64, dtype=DTYPES[config.train.precision])
    give_freed_memory_back()
    before = resident_bytes()
    engine = build_engine(config, vocab_size, ranks.device)
    forget_peak()
    for batches in steps:
        engine.accumulate(batches)
        engine.update(1e-4)
    after = resident_bytes()
    measured = after["VmHWM"] - before["VmRSS"] - (after["RssFile"] - before["RssFile"])
    batches = [batch for batches in steps for batch in batches]
    rows = Rows(
        tokens=batches[0].input_ids.numel(),
        masked=max(batch.masked_positions.numel() for batch in batches),
        ordered=max(batch.sequence_starts.numel() for batch in batches),
        squared_lengths=max(int(batch.cu_seqlens.diff().long().square().sum()) for batch in batches),
    )
    memory = rank_memory(
        config, Shape.of(config, vocab_size), world_size=ranks.world_size, stage=stage, device="cpu", rows=rows
    )
    result = {
        "stage": stage,
        "parameters": num_parameters(engine),
        "measured_mib": measured / _MIB,
        "predicted_mib": memory.total / _MIB,
        "predicted_parts_mib": {part: size / _MIB for part, size in asdict(memory).items()},
        "rows": asdict(rows),
    }
    (out / f"rank-{ranks.world_rank}.json").write_text(json.dumps(result))
    distributed.stop()


def num_parameters(engine: Any) -> int:
    """Of this rank, before data ranks share them."""
    if hasattr(engine, "models"):
        return sum(parameter.numel() for model in engine.models for parameter in model.parameters())
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in engine.parameters.values())


def give_freed_memory_back() -> None:
    """Every block from 64 KiB on is mapped by itself and unmapped when it is freed, which training itself turns off."""
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_TOP_PAD, 0)
    libc.mallopt(_M_MMAP_MAX, 2**20)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**16)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**16)
    libc.malloc_trim(0)


def forget_peak() -> None:
    """Let the kernel's record of the largest resident size start at the present one."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes() -> dict[str, int]:
    """VmRSS, what is resident now, RssFile, pages of files among it, and VmHWM, the most there was."""
    lines = [line.partition(":") for line in Path("/proc/self/status").read_text().splitlines()]
    return {key: int(value.split()[0]) * 1024 for key, _, value in lines if key in ("VmRSS", "RssFile", "VmHWM")}


if __name__ == "__main__":
    main()
