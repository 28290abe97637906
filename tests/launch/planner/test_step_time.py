"""Step time: exact where nothing but products takes time, and near published runs."""

from dataclasses import replace

import pytest

from benchmarks.scaling import (
    GATORTRON,
    KORTHIKANTI,
    NARAYANAN,
    Published,
    predicted_days,
    predicted_layer_ms,
    predicted_tflops,
)
from launch.planner.cluster import GPUS, Cluster
from launch.planner.parameters import Shape
from launch.planner.step_time import calibrated, flops_per_token, mfu, step_time
from pretrain.config import PretrainConfig, load_pretrain_config

A100 = Cluster(GPUS["a100-80"])
PERFECT = Cluster(
    replace(GPUS["h100"], memory_bandwidth=1e30, nvlink=1e30, network=1e30, matmul_share=1, attention_share=1),
    nvlink_latency=0,
    network_latency=0,
    launch_seconds=0,
)
"""Nothing takes time but FLOPs."""


def _base(*settings: str) -> tuple[PretrainConfig, Shape]:
    config = load_pretrain_config("configs/gatortron-base.yaml", ["train.global_batch_size=4096", *settings])
    return config, Shape.of(config, 50176)


def test_a_perfect_gpu_takes_the_flops_that_the_trainer_counts() -> None:
    config, shape = _base()
    alone = replace(PERFECT, gpus_per_node=1)
    seconds = step_time(config, shape, alone).total
    # The fused kernel computes the scores twice in the backward pass, which MFU does not count.
    again = 0.5 * 4 * 512 * shape.hidden_size * shape.num_layers
    counted = flops_per_token(config, shape) + again
    assert seconds * alone.gpu.peak_16bit == pytest.approx(4096 * 512 * counted, rel=0.01)
    assert mfu(config, shape, alone, seconds) == pytest.approx(flops_per_token(config, shape) / counted, rel=0.01)


@pytest.mark.parametrize("settings", [("parallel.tensor=8",), ("parallel.tensor=4", "parallel.sequence=true"), ()])
def test_a_perfect_cluster_divides_the_time_by_its_gpus(settings: tuple[str, ...]) -> None:
    config, shape = _base(*settings)
    single, of_one = _base()
    alone = step_time(single, of_one, replace(PERFECT, gpus_per_node=1)).total
    # Tensor ranks each compute the head's dense matrix, and under SP the last feed-forward block at every position.
    assert step_time(config, shape, PERFECT).total == pytest.approx(alone / 8, rel=0.03)


def test_bubble_of_a_pipeline() -> None:
    # Without heads to speak of, and with the last feed-forward block at every position, all stages take as long.
    even = ("parallel.tensor=2", "parallel.sequence=true", "parallel.pipeline=4", "data.mask_probability=0.001")
    config, shape = _base(*even, "train.micro_batch_size=4")
    # 1,024 micro-batches through 4 stages.
    time = step_time(config, shape, PERFECT)
    assert time.bubble / time.compute == pytest.approx(3 / 1024, rel=0.01)
    config, shape = _base(*even, "parallel.virtual_stages=3")
    assert step_time(config, shape, PERFECT).bubble == pytest.approx(time.bubble / 3, rel=0.01)


def test_recomputing_layers_costs_a_forward_pass() -> None:
    config, shape = _base("data.mask_probability=0.001")
    again, _ = _base("data.mask_probability=0.001", "train.recompute=full")
    once, twice = step_time(config, shape, PERFECT).total, step_time(again, shape, PERFECT).total
    assert twice / once == pytest.approx(4 / 3, rel=0.02)


def test_a_measured_efficiency_replaces_the_shares() -> None:
    config, shape = _base()
    alone = replace(A100, gpus_per_node=1)
    measured = calibrated(alone, config, shape, 0.3)
    assert mfu(config, shape, measured, step_time(config, shape, measured).total) == pytest.approx(0.3, rel=0.01)
    node = calibrated(A100, config, shape, 0.3)
    assert mfu(config, shape, node, step_time(config, shape, node).total) == pytest.approx(0.3, rel=0.02)
    # Other micro-batches are slower and faster by as much as without it.
    small, _ = _base("train.micro_batch_size=1")
    ratio = step_time(small, shape, measured).total / step_time(config, shape, measured).total
    assert ratio == pytest.approx(
        step_time(small, shape, alone).total / step_time(config, shape, alone).total, rel=0.01
    )
    assert calibrated(A100, config, shape, None) == A100


def test_more_data_ranks_than_a_network_carries_do_not_pay() -> None:
    config, shape = _base("train.global_batch_size=3968", "train.micro_batch_size=4")
    speeds = [
        mfu(config, shape, cluster, step_time(config, shape, cluster).total)
        for cluster in (replace(A100, nodes=nodes) for nodes in (1, 4, 31, 124))
    ]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] < 0.6 * speeds[0]


def test_overlap_hides_the_reduction_of_gradients() -> None:
    hidden, shape = _base("train.micro_batch_size=16", "parallel.overlap=true")
    seen, _ = _base("train.micro_batch_size=16", "parallel.overlap=false")
    assert step_time(hidden, shape, A100).data < 0.2 * step_time(seen, shape, A100).data


@pytest.mark.parametrize("run", KORTHIKANTI, ids=lambda run: run.source)
def test_a_layer_takes_what_korthikanti_et_al_measured(run: Published) -> None:
    assert predicted_layer_ms(run) == pytest.approx(run.measured, rel=0.15)


@pytest.mark.parametrize("run", NARAYANAN, ids=lambda run: run.source)
def test_gpt_runs_of_narayanan_et_al(run: Published) -> None:
    """Their attention was not fused and reads and writes its weights, which the smallest model pays most for."""
    assert 1 <= predicted_tflops(run) / run.measured < 1.35


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 8, 16])
def test_gatortrons_published_run_within_a_factor_of_one_and_a_half(micro_batch: int) -> None:
    days = predicted_days(GATORTRON, f"train.micro_batch_size={micro_batch}")
    assert GATORTRON.measured / 1.5 < days < GATORTRON.measured * 1.5
