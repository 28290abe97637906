"""A sliding window beside full attention on one long text: seconds and peak memory by length, on one thread.

    python -m benchmarks.long_attention --rounds 3
    python -m benchmarks.long_attention --lengths 512 1024 --window 128 --rounds 1

A Megatron-BERT of random weights reads one text, forward alone and with the backward pass, under transformers' sdpa and
under our sliding window. The two take turns within a round; times are CPU seconds, medians over rounds. Memory is what
the process holds at its peak beyond what it held before the pass, in MB, the lowest over rounds; Linux alone tells it.
"""

import argparse
import contextlib
import ctypes
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.attention import model_config
from benchmarks.machine import machine, rounded, save_result
from launch.attention.interface import enable_attention_interface
from launch.attention.long_form import mark_config
from launch.attention.self_attention import SLIDING_WINDOW

RESULTS = Path(__file__).parent / "results" / "attention.json"
WAYS = {"full": "sdpa", "window": SLIDING_WINDOW}
PRECISIONS = ("fp32", "bf16")
PASSES = ("forward", "forward and backward")


def main() -> None:
    """Measure every length and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    enable_attention_interface()
    model = _model(arguments)
    rows = [
        _measure(model, length, precision, arguments.rounds) for length in arguments.lengths for precision in PRECISIONS
    ]
    shape = {key: getattr(arguments, key) for key in ("layers", "hidden", "heads", "window", "rounds")}
    result = {**machine(("notemill", "torch", "transformers"), "long_attention"), **shape, "rows": rows}
    save_result(RESULTS, "cpu long", rounded(result))


def _model(arguments: argparse.Namespace) -> Any:
    from transformers import MegatronBertModel

    config = model_config(arguments)
    mark_config(config, arguments.window)
    torch.manual_seed(0)
    return MegatronBertModel(config)


def _measure(model: Any, length: int, precision: str, rounds: int) -> dict[str, Any]:
    ids = torch.randint(5, 1000, (1, length), generator=torch.Generator().manual_seed(0))
    seconds: dict[str, dict[str, list[float]]] = {way: {name: [] for name in PASSES} for way in WAYS}
    memory: dict[str, dict[str, list[float]]] = {way: {name: [] for name in PASSES} for way in WAYS}
    for number in range(rounds + 1):
        for way in WAYS if number % 2 else reversed(WAYS):
            model.set_attn_implementation(WAYS[way])
            for name in PASSES:
                taken, held = _pass(model, ids, precision, with_backward=name != PASSES[0])
                if number:  # The first round warms up.
                    seconds[way][name].append(taken)
                    memory[way][name].append(held)
    row: dict[str, Any] = {"length": length, "precision": precision}
    for way in WAYS:
        row[way] = {
            name: {"seconds": statistics.median(seconds[way][name]), "peak_mb": min(memory[way][name])}
            for name in PASSES
        }
    told = ", ".join(
        f"{way} {row[way][name]['seconds']:.3f} s {row[way][name]['peak_mb']:.0f} MB" for way in WAYS for name in PASSES
    )
    print(f"{length} {precision}: {told}", flush=True)
    return row


def _pass(model: Any, ids: torch.Tensor, precision: str, *, with_backward: bool) -> tuple[float, float]:
    """CPU seconds, and MB at the peak beyond before."""
    autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    # glibc keeps freed memory, which would hide in `before`; five puts the peak back to what is held now.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _held("VmRSS"), time.process_time()
    with torch.set_grad_enabled(with_backward):
        with autocast:
            hidden = model(ids).last_hidden_state
        if with_backward:
            hidden.float().square().sum().backward()
    taken = time.process_time() - started
    peak = _held("VmHWM")
    model.zero_grad(set_to_none=True)
    return taken, peak - before


def _held(name: str) -> float:
    """MB that /proc says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


if __name__ == "__main__":
    main()
