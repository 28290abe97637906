"""Step time on paper from 8 to 992 GPUs, and the planner beside published runs: the tables of docs/scaling.md.

python -m benchmarks.scaling                              # from data sheets and shares of them
python -m benchmarks.scaling --gpu h100 --efficiency 0.42 # from an MFU that one GPU was measured to reach
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launch.errors import NotemillError
from launch.planner.cluster import GPUS, Cluster
from launch.planner.layouts import Candidate, evaluate, rank_layouts
from launch.planner.parameters import Shape
from launch.planner.step_time import calibrated, flops_per_token, layer_seconds, predicted_efficiency, step_time
from pretrain.config import PretrainConfig, load_pretrain_config
from pretrain.parallel.layout import layout_problems

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MODELS = {"345M": "gatortron-base", "3.9B": "gatortron-medium", "8.9B": "gatortron-large"}
VOCABULARY = 50176
NODES = (1, 2, 4, 8, 16, 31, 62, 124)
_LOGITS_EVERYWHERE = "data.mask_probability=0.999"
"""GPT, and Megatron-LM's BERT, compute the decoder at every position."""


@dataclass(frozen=True)
class Published:
    """A run that others measured, in our terms."""

    source: str
    settings: tuple[str, ...]
    vocab_size: int
    nodes: int
    measured: float
    """In the unit of `predicted_…` below."""


def gpt(layers: int, hidden: int, heads: int, tensor: int, pipeline: int, batch: int) -> tuple[str, ...]:
    """A GPT of Narayanan et al. 2021, with the whole layers recomputed."""
    return (
        f"model.num_layers={layers}", f"model.hidden_size={hidden}", f"model.num_attention_heads={heads}",
        f"parallel.tensor={tensor}", f"parallel.pipeline={pipeline}", f"train.global_batch_size={batch}",
        f"train.micro_batch_size={4 if tensor > 1 else 8}", "train.seq_len=2048", "train.precision=fp16",
        "train.recompute=full", "model.compile=false", _LOGITS_EVERYWHERE,
    )  # fmt: skip


NARAYANAN = (
    Published("1.7B, TP1", gpt(24, 2304, 24, 1, 1, 512), 51200, 4, 137),
    Published("3.6B, TP2", gpt(30, 3072, 32, 2, 1, 512), 51200, 8, 138),
    Published("7.5B, TP4", gpt(36, 4096, 32, 4, 1, 512), 51200, 16, 142),
    Published("18.4B, TP8", gpt(40, 6144, 48, 8, 1, 1024), 51200, 32, 135),
    Published("39.1B, TP8, PP2", gpt(48, 8192, 64, 8, 2, 1536), 51200, 64, 138),
)
"""Narayanan et al. 2021, Table 1: TFLOP/s a GPU on A100-80s, recomputation counted; micro-batches are not told."""
_LAYER = (*gpt(48, 6144, 64, 8, 1, 32), "train.recompute=none")
KORTHIKANTI = (
    Published("TP8, forward", _LAYER, 51200, 1, 7.7),
    Published("TP8, backward", _LAYER, 51200, 1, 11.9),
    Published("TP8 + SP, forward", (*_LAYER, "parallel.sequence=true"), 51200, 1, 7.2),
    Published("TP8 + SP, backward", (*_LAYER, "parallel.sequence=true"), 51200, 1, 11.8),
)
"""Korthikanti et al. 2022, Table 4: milliseconds of a layer of the 22B model, micro-batch 4, no recomputation."""
GATORTRON = Published(
    "8.9B, TP4, 992 A100-80GB",
    (
        "train.precision=fp16", "train.recompute=full", "parallel.sequence=false", "parallel.overlap=false",
        "model.compile=false", _LOGITS_EVERYWHERE,
    ),
    VOCABULARY,
    124,
    6.0,
)  # fmt: skip
"""Yang et al. 2022: days of the largest model. Steps are those of configs/gatortron-large.yaml."""


def predicted_tflops(run: Published) -> float:
    """TFLOP/s a GPU as Narayanan et al. 2021 count them (their equation 3)."""
    config = load_pretrain_config(None, list(run.settings))
    shape, cluster = Shape.of(config, run.vocab_size), Cluster(GPUS["a100-80"], nodes=run.nodes)
    layers, hidden, length = shape.num_layers, shape.hidden_size, config.train.seq_len
    flops = 96 * config.train.global_batch_size * length * layers * hidden**2
    flops *= 1 + length / (6 * hidden) + run.vocab_size / (16 * layers * hidden)
    return flops / step_time(config, shape, cluster).total / cluster.num_gpus / 1e12


def predicted_layer_ms(run: Published) -> float:
    """Milliseconds of one layer, of the pass that the source names."""
    config = load_pretrain_config(None, list(run.settings))
    passes = layer_seconds(config, Shape.of(config, run.vocab_size), Cluster(GPUS["a100-80"]))
    return 1e3 * (passes.forward if run.source.endswith("forward") else passes.backward)


def predicted_days(run: Published, *more: str) -> float:
    """Days of GatorTron's largest model."""
    config = load_pretrain_config(str(CONFIGS / "gatortron-large.yaml"), [*run.settings, *more])
    cluster = Cluster(GPUS["a100-80"], nodes=run.nodes)
    return evaluate(config, Shape.of(config, run.vocab_size), cluster).days


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", choices=list(GPUS), help="only this type")
    parser.add_argument("--efficiency", type=float, help="MFU measured on one GPU with micro-batch 4")
    parser.add_argument("--model", choices=list(MODELS), default="345M", help="the model that it was measured with")
    arguments = parser.parse_args()
    for gpu in [arguments.gpu] if arguments.gpu else ["a100-80", "h100"]:
        one = Cluster(GPUS[gpu])
        if arguments.efficiency is not None:
            one = calibrated(one, *model(arguments.model), arguments.efficiency)
        print_efficiencies(one)
        for name in MODELS:
            print_scaling(name, one)
        print_tensor(one)
        print_pipeline(one)
        print_data(one)
    if arguments.gpu is None:
        print_published()


def print_efficiencies(cluster: Cluster) -> None:
    """One GPU without parallelism, as if it had the memory."""
    rows = []
    for name in MODELS:
        cells = [name, f"{flops_per_token(*model(name)) / 1e9:.2f}"]
        for micro in (4, 8, 16, 32):
            config, shape = model(name, f"train.micro_batch_size={micro}", "train.global_batch_size=3968")
            share = predicted_efficiency(config, shape, cluster)
            speed = share * cluster.gpu.peak_16bit / flops_per_token(config, shape)
            cells.append(f"{share:.1%} ({speed:,.0f})")
        rows.append(cells)
    head = ("model", "GFLOP a token", *(f"micro-batch {micro}" for micro in (4, 8, 16, 32)))
    print_table(f"One {cluster.gpu.name}: MFU (tokens/s)", head, rows)


def print_scaling(name: str, cluster: Cluster) -> None:
    """The fastest layout that fits, by number of nodes, at the published global batch."""
    rows = []
    per_gpu_at_first = None
    for nodes in NODES:
        config, shape = model(name)
        fitting = [item for item in rank_layouts(config, shape, replace(cluster, nodes=nodes)) if item.fits]
        if not fitting:
            rows.append([str(nodes * 8), "none fits", *[""] * 7])
            continue
        best = fitting[0]
        per_gpu = tokens_per_second(best) / (nodes * 8)
        per_gpu_at_first = per_gpu_at_first or per_gpu
        rows.append(
            [
                str(nodes * 8),
                layout_name(best),
                str(best.config.train.micro_batch_size),
                f"{best.memory.total / 2**30:.0f}",
                f"{best.time.total:.3f}",
                shares(best),
                f"{best.mfu:.0%}",
                f"{per_gpu / per_gpu_at_first:.0%}",
                f"{best.days:.1f}",
            ]
        )
    head = ("GPUs", "fastest layout", "micro-batch", "GiB", "step s", "compute, TP, bubble, DP, optimizer", "MFU",
            "speed a GPU", "days for 300,000 steps")  # fmt: skip
    print_table(f"{name} on {cluster.gpu.name}, global batch 3,968 x 512", head, rows)


def print_tensor(cluster: Cluster) -> None:
    """One node by tensor ranks."""
    sizes = (1, 2, 4, 8)
    rows = []
    for name in MODELS:
        for sequence in (False, True):
            rows.append([name, "yes" if sequence else "no"])
            for tensor in sizes:
                settings = (f"parallel.tensor={tensor}", f"parallel.sequence={_flag(sequence and tensor > 1)}")
                rows[-1].append(speed_cell(name, (*settings, f"train.micro_batch_size={4 * tensor}"), cluster))
    title = f"Tensor ranks on one node of {cluster.gpu.name}: MFU, micro-batch 4 rows a tensor rank"
    print_table(title, ("model", "SP", *(f"TP{tensor}" for tensor in sizes)), rows)


def print_pipeline(cluster: Cluster) -> None:
    """Pipeline stages where there are many micro-batches a step, and where there are few."""
    sizes = (1, 2, 4, 8)
    rows = []
    for name in MODELS:
        for nodes in (1, 31):
            for virtual in (1, 3 if name == "345M" else 2):
                rows.append([name, f"{nodes * 8}", f"{virtual}"])
                for pipeline in sizes:
                    settings = (f"parallel.pipeline={pipeline}", "parallel.tensor=1", "parallel.sequence=false")
                    chunks = (f"parallel.virtual_stages={virtual if pipeline > 1 else 1}",)
                    cell = speed_cell(name, (*settings, *chunks), replace(cluster, nodes=nodes))
                    rows[-1].append(cell)
    title = f"Pipeline stages on {cluster.gpu.name}: MFU, micro-batch 4"
    print_table(title, ("model", "GPUs", "virtual stages", *(f"PP{pipeline}" for pipeline in sizes)), rows)


def print_data(cluster: Cluster) -> None:
    """Data parallelism and the configuration's tensor ranks."""
    sizes = (1, 4, 31, 62, 124)
    rows = []
    for name in MODELS:
        for overlap in (True, False):
            rows.append([name, "yes" if overlap else "no"])
            for nodes in sizes:
                setting = f"parallel.overlap={_flag(overlap)}"
                rows[-1].append(speed_cell(name, (setting,), replace(cluster, nodes=nodes)))
    title = f"Data ranks on {cluster.gpu.name}: MFU, micro-batch 4, tensor ranks as configured"
    print_table(title, ("model", "overlap", *(f"{nodes * 8} GPUs" for nodes in sizes)), rows)


def print_published() -> None:
    """The planner beside what others measured."""
    head = ("run", "published", "planner", "planner / published")
    rows = [published_row(run, predicted_layer_ms(run)) for run in KORTHIKANTI]
    print_table("A layer of 22B, A100, milliseconds (Korthikanti et al. 2022, Table 4)", head, rows)
    rows = [published_row(run, predicted_tflops(run)) for run in NARAYANAN]
    print_table("GPT on A100s, TFLOP/s a GPU (Narayanan et al. 2021, Table 1)", head, rows)
    rows = []
    for micro in (1, 2, 4, 8, 16):
        named = replace(GATORTRON, source=f"{GATORTRON.source}, micro-batch {micro}")
        rows.append(published_row(named, predicted_days(named, f"train.micro_batch_size={micro}")))
    print_table("GatorTron's largest model, days (Yang et al. 2022)", head, rows)


def published_row(run: Published, predicted: float) -> list[str]:
    return [run.source, f"{run.measured:g}", f"{predicted:.3g}", f"{predicted / run.measured:.2f}"]


def speed_cell(name: str, settings: Sequence[str], cluster: Cluster) -> str:
    """MFU of one layout; a star where it does not fit in memory, a dash where it cannot be laid out."""
    try:
        config, shape = model(name, *settings)
    except NotemillError:
        return "–"
    if layout_problems(config, world_size=cluster.num_gpus, vocab_size=shape.vocab_size):
        return "–"
    candidate = evaluate(config, shape, cluster)
    return f"{candidate.mfu:.1%}" + ("" if candidate.fits else " *")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def model(name: str, *settings: str) -> tuple[PretrainConfig, Shape]:
    """A published model in bf16 with its recipe."""
    config = load_pretrain_config(str(CONFIGS / f"{MODELS[name]}.yaml"), list(settings))
    return config, Shape.of(config, VOCABULARY)


def layout_name(candidate: Candidate) -> str:
    """As in TP2 + SP, PP4 x 2, DP16."""
    parallel = candidate.config.parallel
    parts = [f"TP{parallel.tensor}" + (" + SP" if parallel.sequence else "")] if parallel.tensor > 1 else []
    if parallel.pipeline > 1:
        chunks = f" x {parallel.virtual_stages}" if parallel.virtual_stages > 1 else ""
        parts.append(f"PP{parallel.pipeline}{chunks}")
    parts.append(f"DP{candidate.layout.data}")
    recompute = candidate.config.train.recompute
    return ", ".join(parts + ([f"recompute {recompute}"] if recompute != "none" else []))


def shares(candidate: Candidate) -> str:
    """Parts of the step in percent."""
    time = candidate.time
    parts = (time.compute, time.tensor, time.bubble, time.data, time.optimizer)
    return " ".join(f"{part / time.total:.0%}" for part in parts)


def tokens_per_second(candidate: Candidate) -> float:
    train = candidate.config.train
    return train.global_batch_size * train.seq_len / candidate.time.total


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Markdown."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
