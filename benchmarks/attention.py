"""Megatron-BERT's eager attention beside transformers' sdpa and ours, on one thread.

    python -m benchmarks.attention --rounds 5
    python -m benchmarks.attention --lengths 128 --rounds 1

A model of random weights reads batches of --tokens pieces, in which texts are padded from three quarters on; forward
alone, and with the backward pass. In bf16 weights are fp32 and products are taken under autocast, as in fine-tuning.
The ways take turns within a round. Times are CPU seconds, medians over rounds; `times_eager` is how many times faster
than eager, the median within a round.
"""

import argparse
import contextlib
import copy
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, rounded, save_result
from launch.attention.interface import enable_attention_interface

RESULTS = Path(__file__).parent / "results" / "attention.json"
WAYS = ("eager", "sdpa", "notemill")
PRECISIONS = ("fp32", "bf16")
PASSES = ("forward", "forward and backward")


def main() -> None:
    """Measure every length and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=2048, help="padded pieces of a batch")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    enable_attention_interface()
    models = _models(arguments)
    rows = [_measure(models, length, precision, arguments) for length in arguments.lengths for precision in PRECISIONS]
    shape = {key: getattr(arguments, key) for key in ("layers", "hidden", "heads", "tokens", "rounds")}
    result = {**machine(("notemill", "torch", "transformers"), "attention"), **shape, "rows": rows}
    save_result(RESULTS, "cpu", rounded(result))


def model_config(arguments: argparse.Namespace) -> Any:
    """A Megatron-BERT of the shape that the command asks for."""
    from transformers import MegatronBertConfig

    return MegatronBertConfig(
        vocab_size=1000,
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.heads,
        intermediate_size=4 * arguments.hidden,
        max_position_embeddings=max(arguments.lengths),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def _models(arguments: argparse.Namespace) -> dict[str, Any]:
    """By way, with equal weights."""
    from transformers import MegatronBertModel

    config = model_config(arguments)
    models = {}
    for way in WAYS:
        torch.manual_seed(0)
        # The choice is kept in the configuration, so each model needs one of its own.
        models[way] = MegatronBertModel._from_config(copy.deepcopy(config), attn_implementation=way)
        assert models[way].config._attn_implementation == way
    assert len({id(model.config) for model in models.values()}) == len(WAYS)
    return models


def _measure(models: dict[str, Any], length: int, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    items = max(1, arguments.tokens // length)
    ids = torch.randint(5, 1000, (items, length), generator=torch.Generator().manual_seed(0))
    real = torch.linspace(length, 3 * length // 4, items).long()
    mask = (torch.arange(length) < real[:, None]).long()
    seconds: dict[str, dict[str, list[float]]] = {way: {name: [] for name in PASSES} for way in WAYS}
    states: dict[str, torch.Tensor] = {}
    for number in range(arguments.rounds + 1):
        for way in WAYS if number % 2 else WAYS[::-1]:
            for name in PASSES:
                taken, states[way] = _pass(models[way], ids, mask, precision, with_backward=name != PASSES[0])
                if number:  # The first round warms up.
                    seconds[way][name].append(taken)
    row: dict[str, Any] = {"length": length, "texts": items, "precision": precision}
    for way in WAYS:
        row[way] = {
            name: {
                "seconds": statistics.median(taken),
                "times_eager": statistics.median(a / b for a, b in zip(seconds["eager"][name], taken, strict=True)),
            }
            for name, taken in seconds[way].items()
        }
        row[way]["largest_difference"] = float((states[way] - states["eager"]).abs().max())
    told = ", ".join(f"{way} {row[way][PASSES[1]]['seconds']:.3f} s" for way in WAYS)
    print(f"{length} {precision}: {told}", flush=True)
    return row


def _pass(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, precision: str, *, with_backward: bool
) -> tuple[float, torch.Tensor]:
    """CPU seconds, and the states of real pieces."""
    autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    started = time.process_time()
    with torch.set_grad_enabled(with_backward):
        with autocast:
            hidden = model(ids, attention_mask=mask).last_hidden_state
        if with_backward:
            hidden.float().square().sum().backward()
    taken = time.process_time() - started
    model.zero_grad(set_to_none=True)
    return taken, (hidden.float() * mask.unsqueeze(-1)).detach()


if __name__ == "__main__":
    main()
