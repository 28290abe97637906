"""Memory arithmetic: within a tenth of what real runs took, and the rules of the papers where these say one."""

from dataclasses import replace

import pytest

from benchmarks.memory import MODEL, RESULTS
from data_pipeline.files import read_json
from launch.planner.activations import Activations
from launch.planner.memory import chunks_in_flight, rank_memory
from launch.planner.parameters import Shape, layer, whole_model
from launch.planner.rows import Rows
from pretrain.config import load_pretrain_config

MIB = 2**20
MEASURED = read_json(RESULTS, "results file")["layouts"]


@pytest.mark.parametrize("layout", MEASURED)
def test_within_a_tenth_of_measured_runs(layout: str) -> None:
    measured = MEASURED[layout]
    config = load_pretrain_config(None, [*MODEL, *measured["settings"]])
    for rank in measured["ranks"]:
        memory = rank_memory(
            config,
            Shape.of(config, 16384),
            world_size=len(measured["ranks"]),
            stage=rank["stage"],
            device="cpu",
            rows=Rows(**rank["rows"]),
        )
        assert memory.total / MIB == pytest.approx(rank["measured_mib"], rel=0.1)


def _layer_bytes_a_token(*settings: str) -> float:
    """Bytes a token and unit of width that a layer keeps on CUDA, without attention's log-sums."""
    config = load_pretrain_config("configs/gatortron-base.yaml", ["train.precision=bf16", *settings])
    shape, rows = Shape.of(config, 50176), Rows.of(config)
    kept = Activations(config, shape, rows, "cuda").layer()
    if config.train.recompute != "full":
        kept -= 4 * rows.tokens * shape.num_attention_heads / config.parallel.tensor
    return kept / (rows.tokens * shape.hidden_size)


def test_a_layer_keeps_what_korthikanti_et_al_count() -> None:
    # Equations 1, 2 and 4 of the paper, less the attention weights that a fused kernel does not keep.
    assert _layer_bytes_a_token() == 34
    assert _layer_bytes_a_token("parallel.tensor=4") == 10 + 24 / 4
    assert _layer_bytes_a_token("parallel.tensor=4", "parallel.sequence=true") == 34 / 4
    assert _layer_bytes_a_token("train.recompute=full") == 2
    # No masks without dropout.
    assert _layer_bytes_a_token("model.hidden_dropout=0") == 32


@pytest.mark.parametrize(("precision", "static"), [("bf16", 2 + 4 + 12), ("fp16", 2 + 4 + 12), ("fp32", 4 + 4 + 8)])
def test_static_bytes_a_parameter(precision: str, static: int) -> None:
    config = load_pretrain_config("configs/gatortron-base.yaml", [f"train.precision={precision}"])
    shape = Shape.of(config, 50176)
    memory = rank_memory(config, shape, world_size=1, stage=0)
    assert memory.weights + memory.gradients + memory.optimizer == static * whole_model(shape)
    shared = rank_memory(config, shape, world_size=8, stage=0)
    assert shared.optimizer == memory.optimizer / 8
    assert shared.weights + shared.gradients == memory.weights + memory.gradients


def test_zero_2_and_3_share_gradients_and_weights_too() -> None:
    config = load_pretrain_config("configs/gatortron-base.yaml", [])
    shape = Shape.of(config, 50176)
    stages = {}
    for stage in (1, 2, 3):
        config.engine.zero_stage = stage
        stages[stage] = rank_memory(config, shape, world_size=8, stage=0)
    assert stages[2].gradients == stages[1].gradients / 8 == stages[3].gradients
    assert stages[3].weights == stages[2].weights / 8 == stages[1].weights / 8
    # DeepSpeed's buckets of 500 million 16-bit gradients; at stage 3 one in fp32, its copy and the gathered weights.
    assert stages[2].buffers - stages[1].buffers == 2 * 10**9
    assert stages[3].buffers - stages[1].buffers == 2 * 10**9 + (4 + 2) * whole_model(shape)


@pytest.mark.parametrize(
    ("pipeline", "virtual", "num_micro_batches", "in_flight"),
    [
        (1, 1, 8, [1]),
        (4, 1, 8, [4, 3, 2, 1]),
        # Never more than there are micro-batches.
        (4, 1, 2, [2, 2, 2, 1]),
        # 2 (p - s - 1) + (v - 1) p in warm-up, and the next.
        (2, 2, 8, [5, 3]),
        (4, 3, 8, [15, 13, 11, 9]),
        (2, 2, 2, [4, 3]),
    ],
)
def test_chunks_in_flight(pipeline: int, virtual: int, num_micro_batches: int, in_flight: list[int]) -> None:
    stages = range(pipeline)
    assert [chunks_in_flight(pipeline, virtual, stage, num_micro_batches) for stage in stages] == in_flight


def test_the_first_stage_of_a_full_pipeline_keeps_about_as_much_as_a_single_stage() -> None:
    config = load_pretrain_config("configs/gatortron-base.yaml", [])
    shape = Shape.of(config, 50176)
    alone = rank_memory(config, shape, world_size=1, stage=0)
    staged = load_pretrain_config("configs/gatortron-base.yaml", ["parallel.pipeline=4"])
    first = rank_memory(staged, shape, world_size=4, stage=0)
    assert first.activations == pytest.approx(alone.activations, rel=0.1)
    assert first.weights < alone.weights / 2


def test_fp8_adds_two_copies_of_the_layers_in_a_byte_each() -> None:
    settings = ["model.layers=transformer_engine", "parallel.tensor=2", "parallel.pipeline=2"]
    bf16, fp8 = (
        load_pretrain_config("configs/gatortron-base.yaml", [*settings, f"train.precision={precision}"])
        for precision in ("bf16", "fp8")
    )
    shape = Shape.of(bf16, 50176)
    plain, copied = (rank_memory(config, shape, world_size=4, stage=0) for config in (bf16, fp8))
    assert copied.weights - plain.weights == 2 * shape.num_layers / 2 * layer(shape, 2)
    assert replace(copied, weights=plain.weights) == plain
