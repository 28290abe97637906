"""Our trainer beside Hugging Face's and Megatron's, alternating in one run on the same notes.

    python -m benchmarks.train --tokens tokens --shape 4x256 --precision fp32 --peer-python peer/bin/python
    python -m benchmarks.train --shape 4x256                        # on invented notes, their vocabulary as it comes

benchmarks/trainers.py says what the sides are. Each runs by itself, one after another, in every round. Where there is
no CUDA, the first round tries every side with a process a core and with one process of as many threads, and the side
goes on with what was faster. Steps of warm-up (compilation among it) are left out. Rates are tokens that are no padding
a second of the slowest process, medians over rounds; ratios are taken within a round, then their median. On a machine
that others use, tokens a CPU second say more than tokens a second.

MFU counts what `pretrain/flops.py` counts: matrix products forward and backward, the head at masked positions only.
The peak on CUDA is the one on paper, dense, in bf16; on a CPU it is measured: the fastest of some products of matrices
of 2,048 in the run's precision on one core, times the cores. Needs accelerate in the peers' environment.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, rounded, save_result, versions
from benchmarks.processes import run
from benchmarks.text import invented_inputs
from benchmarks.trainers import SIDES, config_of
from launch.errors import NotemillError
from pretrain.data.index import read_tokens_manifest
from pretrain.environment import device_name
from pretrain.flops import dense_peak, train_flops_per_token

RESULTS = Path(__file__).parent / "results" / "train.json"
OURS = "ours"
_PACKAGES = ("notemill", "torch", "megatron-core", "transformers")
_PEER_PACKAGES = ("accelerate", "torch", "transformers")


@dataclass(frozen=True)
class Layout:
    """How a side is spread over the machine."""

    processes: int
    threads: int


@dataclass
class Run:
    """One side in one round, warm-up left out."""

    layout: Layout
    seconds: float
    cpu_seconds: float
    real_tokens: int
    positions: int
    steps: int
    tree_mb: float
    cuda_mb: float | None
    data_wait: float | None
    parts: dict[str, dict[str, float]] | None

    @property
    def rate(self) -> float:
        return self.real_tokens / self.seconds

    @property
    def cpu_rate(self) -> float:
        return self.real_tokens / self.cpu_seconds


@dataclass
class Comparison:
    """All rounds of all sides."""

    arguments: argparse.Namespace
    tokens: Path
    work: Path
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def play(self, number: int) -> None:
        """A round, which begins with another side than the one before."""
        sides = self.arguments.sides
        for place in range(len(sides)):
            side = sides[(place + number) % len(sides)]
            tried = [self._run(side, layout) for layout in self._layouts(side)]
            self.runs.setdefault(side, []).append(max(tried, key=lambda one: one.rate))

    def _layouts(self, side: str) -> list[Layout]:
        if torch.cuda.is_available():
            return [Layout(torch.cuda.device_count(), 1)]
        if side in self.runs:
            return [self.runs[side][-1].layout]
        return [Layout(*map(int, text.split("x"))) for text in self.arguments.layouts]

    def _run(self, side: str, layout: Layout) -> Run:
        arguments, folder = self.arguments, self.work / "side"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        python = sys.executable if side in (OURS, "megatron") else arguments.peer_python
        # Compiled code may be compiled once more in the second step.
        warmup = arguments.warmup + side.endswith("compiled")
        several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={layout.processes}"]
        settings = ("shape", "precision", "seq_len", "rows", "micro_rows", "dropout")
        command = [
            *("env", f"OMP_NUM_THREADS={layout.threads}", python),
            *(several if layout.processes > 1 else []),
            *("-m", "benchmarks.trainers", side, "--tokens", self.tokens, "--out", folder),
            *(f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in settings),
            f"--steps={warmup + arguments.steps}",
            *(["--parts"] if side == OURS else []),
        ]
        use = run([str(word) for word in command], self.work / "log", is_watched=True)
        found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        by_step = list(zip(*(one["steps"][warmup:] for one in found if one["steps"]), strict=True))
        waits = [step["data_wait"] for (step, *_) in by_step if step["data_wait"] is not None]
        memory = [one["cuda_mb"] for one in found if one["cuda_mb"] is not None]
        one = Run(
            layout=layout,
            seconds=sum(max(step["seconds"] for step in steps) for steps in by_step),
            cpu_seconds=sum(sum(one["cpu_seconds"][warmup:]) for one in found),
            real_tokens=sum(step["real_tokens"] for steps in by_step for step in steps),
            positions=sum(step["positions"] for steps in by_step for step in steps),
            steps=len(by_step),
            tree_mb=use.tree_mb,
            cuda_mb=max(memory) if memory else None,
            data_wait=statistics.median(waits) if waits else None,
            parts=next((one["parts"] for one in found if one["parts"]), None),
        )
        print(f"{side}, {layout}: {one.rate:,.0f} tokens/s, {one.cpu_rate:,.0f} a CPU second", flush=True)
        return one


def main() -> None:
    """Measure, and write the results after every round."""
    arguments = _arguments()
    torch.set_num_threads(1)
    name = f"{arguments.shape} {arguments.precision} {'CUDA' if torch.cuda.is_available() else 'CPU'}"
    about = machine(_PACKAGES, "train") | {"peer_packages": versions(arguments.peer_python, _PEER_PACKAGES)}
    try:
        with tempfile.TemporaryDirectory(dir=arguments.work, prefix="benchmark-") as folder:
            tokens = arguments.tokens or invented_tokens(Path(folder))
            comparison = Comparison(arguments, tokens, Path(folder))
            for number in range(arguments.rounds):
                comparison.play(number)
                save_result(arguments.results, name, {"machine": about} | rounded(summary(comparison)))
    except NotemillError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=Path, help="folder of notemill tokens build")
    parser.add_argument("--shape", default="4x256", help="layers x width; heads are 64 wide")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps that are measured a round")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--rows", type=int, default=16, help="rows an optimizer step, over all processes")
    parser.add_argument("--micro-rows", type=int, default=8, help="rows a process works on at once")
    parser.add_argument("--dropout", type=float, default=0.1, help="on hidden states; attention has none")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--layouts", nargs="+", metavar="PxT", help="processes x threads to try instead, on a CPU")
    parser.add_argument("--peer-python", default=sys.executable, help="Python with accelerate, for Hugging Face")
    parser.add_argument("--work", type=Path, help="folder for scratch")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.layouts = arguments.layouts or sorted({f"{arguments.cores}x1", f"1x{arguments.cores}"}, reverse=True)
    return arguments


def summary(comparison: Comparison) -> dict[str, Any]:
    """What goes into the results file."""
    arguments, tokens = comparison.arguments, read_tokens_manifest(comparison.tokens)
    sides = {side: _side(runs) for side, runs in comparison.runs.items()}
    result: dict[str, Any] = {
        "device": device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "tokens": "a tokens folder" if arguments.tokens else "invented notes",
        "vocab_size": tokens.vocab_size,
        **{
            name: getattr(arguments, name)
            for name in ("seq_len", "rows", "micro_rows", "dropout", "steps", "warmup", "layouts")
        },
        "rounds": len(next(iter(comparison.runs.values()))),
        "sides": sides,
    }
    if OURS in comparison.runs:
        ours = comparison.runs[OURS]
        result["ours is faster by"] = {
            side: {
                "real_tokens_per_second": statistics.median(a.rate / b.rate for a, b in zip(ours, runs, strict=True)),
                "real_tokens_per_cpu_second": statistics.median(
                    a.cpu_rate / b.cpu_rate for a, b in zip(ours, runs, strict=True)
                ),
                "by_round": [a.rate / b.rate for a, b in zip(ours, runs, strict=True)],
            }
            for side, runs in comparison.runs.items()
            if side != OURS
        }
        result["flops"] = _flops(arguments, comparison.work, tokens.vocab_size, sides[OURS]["real_tokens_per_second"])
        result["data_wait_share"] = statistics.median(one.data_wait or 0.0 for one in ours)
        result["seconds_of_a_step_of_one_process_by_part"] = ours[-1].parts
    return result


def _side(runs: Sequence[Run]) -> dict[str, Any]:
    last = runs[-1]
    return {
        "processes": last.layout.processes,
        "threads": last.layout.threads,
        "real_tokens_per_second": statistics.median(one.rate for one in runs),
        "real_tokens_per_cpu_second": statistics.median(one.cpu_rate for one in runs),
        "by_round": [one.rate for one in runs],
        "step_seconds": statistics.median(one.seconds / one.steps for one in runs),
        "fill": statistics.median(one.real_tokens / one.positions for one in runs),
        "peak_memory_mb": statistics.median(one.tree_mb for one in runs),
        "peak_cuda_memory_mb": last.cuda_mb,
    }


def _flops(arguments: argparse.Namespace, work: Path, vocab_size: int, tokens_per_second: float) -> dict[str, Any]:
    config = config_of(argparse.Namespace(**vars(arguments) | {"out": work, "parts": False, "tokens": work}))
    a_token = train_flops_per_token(
        num_layers=config.model.num_layers,
        hidden_size=config.model.hidden_size,
        ffn_hidden_size=config.ffn_hidden_size,
        vocab_size=vocab_size,
        seq_len=config.train.seq_len,
        mask_probability=config.data.mask_probability,
    )
    if torch.cuda.is_available():
        peak = dense_peak(torch.cuda.get_device_name())
        total, kind = peak and peak * torch.cuda.device_count(), "on paper, dense bf16"
    else:
        total, kind = arguments.cores * measured_peak(arguments.precision), f"measured, {arguments.precision} products"
    return {
        "formula": "matrix products forward and backward, head at masked positions, last layer behind query, key and "
        "value where it is read",
        "flops_per_token": a_token,
        "flops_per_second": a_token * tokens_per_second,
        "peak_flops_per_second": total,
        "peak": kind,
        "mfu": a_token * tokens_per_second / total if total else None,
    }


def measured_peak(precision: str, size: int = 2048, repeats: int = 5) -> float:
    """FLOP/s of one core in the fastest of some matrix products, by its CPU time."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        left @ right
        seconds.append(time.process_time() - begin)
    return 2 * size**3 / min(seconds)


def invented_tokens(folder: Path) -> Path:
    """A token index of an invented hospital, by the stages themselves."""
    inputs = [word for spec in invented_inputs(folder) for word in ("--input", spec)]
    corpus, tokenizer, tokens = (str(folder / name) for name in ("corpus", "tokenizer", "tokens"))
    for command in (
        ["corpus", "build", *inputs, "--out", corpus, "--key-file", str(folder / "key"), "gate.max_held_share=1"],
        ["tokenizer", "train", "--corpus", corpus, "--out", tokenizer],
        ["tokens", "build", "--corpus", corpus, "--tokenizer", tokenizer, "--out", tokens],
    ):
        done = subprocess.run([sys.executable, "-m", "launch.main", *command], capture_output=True, text=True)
        if done.returncode:
            raise NotemillError(f"notemill {' '.join(command[:2])} failed: {done.stderr.strip()}")
    return Path(tokens)


if __name__ == "__main__":
    main()
