"""DeepSpeed trains as megatron-core does in one process, at every stage: ten steps over gloo, losses and gradient norms
within 1e-5 in fp32. Its checkpoints go on in any other layout and stage, and export.

NOTEMILL_DEEPSPEED=all also runs what takes more than the tests have time for.
"""

import json
import os
import subprocess

import pytest

from tests.pretrain.launching import TINY, environment, losses, notemill, torchrun, train, train_many, validations

TOLERANCE = 1e-5
DEEPSPEED = "engine.name=deepspeed"

DP2 = {
    # name: overrides; four rows a rank and step, so two micro-batches unless said otherwise
    "ZeRO-1": ["engine.zero_stage=1"],
    "ZeRO-2": ["engine.zero_stage=2"],
    "ZeRO-3": ["engine.zero_stage=3"],
    "ZeRO-2 in one micro-batch": ["engine.zero_stage=2", "train.micro_batch_size=4"],
    "ZeRO-2 offload": ["engine.zero_stage=2", "engine.offload=optimizer"],
    "ZeRO-3 offload": ["engine.zero_stage=3", "engine.offload=parameters"],
}
MORE_DP2 = {
    "ZeRO-1 offload": ["engine.zero_stage=1", "engine.offload=optimizer"],
    "ZeRO-3 offload of the optimizer": ["engine.zero_stage=3", "engine.offload=optimizer"],
    "ZeRO-1 overlap": ["engine.zero_stage=1", "parallel.overlap=true"],
    "ZeRO-2 overlap": ["engine.zero_stage=2", "parallel.overlap=true"],
    "ZeRO-3 overlap": ["engine.zero_stage=3", "parallel.overlap=true"],
    "ZeRO-2 selective recomputation": ["engine.zero_stage=2", "train.recompute=selective"],
    "ZeRO-3 full recomputation": ["engine.zero_stage=3", "train.recompute=full"],
}
TP2_DP2 = {
    "TP2 x ZeRO-2": ["engine.zero_stage=2", "parallel.tensor=2"],
    "TP2+SP x ZeRO-3": ["engine.zero_stage=3", "parallel.tensor=2", "parallel.sequence=true"],
}
MORE_TP2_DP2 = {
    "TP2 x ZeRO-1": ["engine.zero_stage=1", "parallel.tensor=2"],
    "TP2 x ZeRO-3": ["engine.zero_stage=3", "parallel.tensor=2"],
    "TP2+SP x ZeRO-1": ["engine.zero_stage=1", "parallel.tensor=2", "parallel.sequence=true"],
    "TP2+SP x ZeRO-2": ["engine.zero_stage=2", "parallel.tensor=2", "parallel.sequence=true"],
    "TP2 x ZeRO-2 offload": ["engine.zero_stage=2", "parallel.tensor=2", "engine.offload=optimizer"],
}
HALF = {
    # name: (precision, overrides); compared with megatron-core in the same precision, whose gradients meet in fp32 too
    "ZeRO-1 bf16": ("bf16", ["engine.zero_stage=1"]),
    "ZeRO-3 fp16": ("fp16", ["engine.zero_stage=3"]),
}
MORE_HALF = {
    "ZeRO-2 bf16": ("bf16", ["engine.zero_stage=2"]),
    "ZeRO-3 bf16": ("bf16", ["engine.zero_stage=3"]),
    "ZeRO-1 fp16": ("fp16", ["engine.zero_stage=1"]),
    "ZeRO-2 fp16": ("fp16", ["engine.zero_stage=2"]),
    "ZeRO-1 bf16 offload": ("bf16", ["engine.zero_stage=1", "engine.offload=optimizer"]),
    "ZeRO-2 fp16 offload": ("fp16", ["engine.zero_stage=2", "engine.offload=optimizer"]),
    "ZeRO-3 bf16 offload": ("bf16", ["engine.zero_stage=3", "engine.offload=parameters"]),
}
if os.environ.get("NOTEMILL_DEEPSPEED") == "all":
    DP2 |= MORE_DP2
    TP2_DP2 |= MORE_TP2_DP2
    HALF |= MORE_HALF

FP16 = ("train.initial_loss_scale=1024",)
# The schedule depends on the number of steps, which grows at a resume; a constant rate does not.
CONSTANT = ("train.warmup_steps=1", "train.min_lr=1e-3", "train.valid_every=0")


@pytest.fixture(scope="module")
def run_dirs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def megatron(tokens_dir, run_dirs):
    """Rows of metrics of one process under megatron-core, by precision and of a constant rate."""
    runs = {precision: [f"train.precision={precision}", *FP16] for precision in ("fp32", "bf16", "fp16")}
    runs["constant"] = [*CONSTANT, "train.steps=9"]
    return train_many(tokens_dir, run_dirs, runs)


@pytest.fixture(scope="module")
def on_two(tokens_dir, run_dirs):
    runs = {name: [DEEPSPEED, *overrides] for name, overrides in DP2.items()}
    runs |= {
        name: [DEEPSPEED, f"train.precision={precision}", *FP16, *overrides]
        for name, (precision, overrides) in HALF.items()
    }
    return train_many(tokens_dir, run_dirs, runs, processes=2)


@pytest.fixture(scope="module")
def on_four(tokens_dir, run_dirs):
    runs = {name: [DEEPSPEED, *overrides] for name, overrides in TP2_DP2.items()}
    return train_many(tokens_dir, run_dirs, runs, processes=4)


@pytest.mark.parametrize("name", DP2)
def test_two_data_ranks_train_as_one_process_does(name, on_two, megatron):
    _equal(on_two[name], megatron["fp32"], TOLERANCE)


@pytest.mark.parametrize("name", TP2_DP2)
def test_tensor_ranks_train_as_one_process_does(name, on_four, megatron):
    _equal(on_four[name], megatron["fp32"], TOLERANCE)


@pytest.mark.parametrize("name", HALF)
def test_half_precision_trains_as_megatron_does(name, on_two, megatron):
    precision, _ = HALF[name]
    _equal(on_two[name], megatron[precision], 5e-3)


def test_one_process_goes_on_from_two_and_from_tensor_ranks(tokens_dir, tmp_path, megatron):
    """TP2, then ZeRO-2 on two data ranks, then ZeRO-3 in one process, in one run: the losses of one process throughout.

    The next global batch takes the next rows, so equal losses also say that none is lost or seen twice.
    """
    run_dir, deepspeed = tmp_path / "run", (*CONSTANT, DEEPSPEED)
    train(tokens_dir, run_dir, "train.steps=3", *deepspeed, "parallel.tensor=2", processes=2)
    train(tokens_dir, run_dir, "train.steps=6", *deepspeed, "engine.zero_stage=2", processes=2)
    resumed = train(tokens_dir, run_dir, "train.steps=9", *deepspeed, "engine.zero_stage=3")
    _equal(resumed, megatron["constant"], TOLERANCE)


def test_export_of_a_sharded_run_matches_the_training_model(on_two, run_dirs, tmp_path):
    checkpoint = run_dirs / "ZeRO-3" / "checkpoints" / "step-00000010"
    notemill("export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "hf"))
    assert json.loads((tmp_path / "hf" / "parity.json").read_text())["max_abs_logit_difference"] <= 1e-4


def test_megatron_does_not_go_on_from_deepspeed(on_two, run_dirs, tokens_dir, tmp_path):
    checkpoint = run_dirs / "ZeRO-3" / "checkpoints" / "step-00000010"
    settings = [*TINY, f"data.path={tokens_dir}", f"run.dir={tmp_path}", f"checkpoint.resume={checkpoint}"]
    done = notemill("train", *settings, status=2)
    assert "was saved by engine.name=deepspeed" in done.stderr


def test_bad_gradients_leave_nothing_behind(tokens_dir):
    done = subprocess.run(
        [*torchrun(2), "tests.parity.deepspeed_checks", str(tokens_dir)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _equal(ours, theirs, tolerance):
    assert len(losses(theirs)) == len(losses(ours))
    for step, (mine, other) in enumerate(zip(losses(ours), losses(theirs), strict=True), start=1):
        assert mine == pytest.approx(other, abs=tolerance), f"step {step}"
    for mine, other in zip(validations(ours), validations(theirs), strict=True):
        assert mine == pytest.approx(other, abs=tolerance)
