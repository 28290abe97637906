"""Training that starts from a published model starts from just that model, on every layout."""

import signal
import subprocess
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from tests.chaos.test_kill_and_resume import kill_after_step
from tests.pretrain.huggingface.published import POSITIONS, publish
from tests.pretrain.launching import TINY, command, environment, losses, notemill, rows, train, validations

TOLERANCE = 1e-5
SETTINGS = ("train.steps=3", "train.valid_every=3", "train.warmup_steps=1")


@pytest.fixture(scope="module")
def published(tokens_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "hf"
    publish(folder, tokens_dir / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def start(published):
    notemill("import", "--hf", str(published), "--out", str(published.with_name("start")))
    return published.with_name("start")


def go_on(start, tokens_dir, run_dir, *overrides, processes=1):
    return train(tokens_dir, run_dir, f"checkpoint.resume={start}", *SETTINGS, *overrides, processes=processes)


@pytest.fixture(scope="module")
def one_process(start, tokens_dir):
    return go_on(start, tokens_dir, start.with_name("one"))


def test_the_first_validation_is_the_published_model_s(one_process, published, tokens_dir):
    first = one_process[0]
    assert first["step"] == 0
    mlm_loss, sop_loss = published_losses(published, tokens_dir)
    assert first["valid_mlm_loss"] == pytest.approx(mlm_loss, abs=TOLERANCE)
    assert first["valid_sop_loss"] == pytest.approx(sop_loss, abs=TOLERANCE)


@torch.no_grad()
def published_losses(published, tokens_dir):
    """Stock transformers on the trainer's held-out rows, a piece at a time."""
    from transformers import MegatronBertForPreTraining

    from pretrain.data.loader import PackedLoader

    settings = dict(setting.split("=") for setting in TINY)
    model = MegatronBertForPreTraining.from_pretrained(published).eval()
    loader = PackedLoader.from_tokens(tokens_dir, seq_len=POSITIONS, seed=1234)
    mlm, sop = [], []
    for batch in loader.iter_validation(2, 0, 1, max_rows=int(settings["data.valid_rows"])):
        labels = torch.full_like(batch.input_ids[0], -100)
        labels[batch.masked_positions] = batch.masked_labels
        order = dict(zip(batch.sequence_starts.tolist(), batch.sop_labels, strict=True))
        bounds = batch.cu_seqlens.tolist()
        for begin, end in pairwise(bounds):
            ids, types = batch.input_ids[:, begin:end], batch.token_type_ids[:, begin:end]
            output = model(input_ids=ids, token_type_ids=types)
            mlm.append(F.cross_entropy(output.prediction_logits[0], labels[begin:end], reduction="none"))
            if begin in order:
                sop.append(F.cross_entropy(output.seq_relationship_logits[0], order[begin]))
    return torch.cat(mlm).sum().item() / (torch.cat(mlm) != 0).sum().item(), torch.stack(sop).mean().item()


@pytest.mark.parametrize(
    ("processes", "overrides"),
    [
        pytest.param(2, ["parallel.tensor=2", "parallel.sequence=true"], id="TP2+SP"),
        pytest.param(2, ["parallel.pipeline=2"], id="PP2"),
        pytest.param(2, ["parallel.pipeline=2", "parallel.virtual_stages=2"], id="PP2+VPP2"),
        pytest.param(2, [], id="DP2"),
        pytest.param(2, ["engine.name=deepspeed", "engine.zero_stage=3"], id="ZeRO-3"),
    ],
)
def test_every_layout_goes_on_as_one_process_does(processes, overrides, one_process, start, tokens_dir, tmp_path):
    metrics = go_on(start, tokens_dir, tmp_path / "run", *overrides, processes=processes)
    for ours, theirs in zip(losses(metrics), losses(one_process), strict=True):
        assert ours == pytest.approx(theirs, abs=TOLERANCE)
    for ours, theirs in zip(validations(metrics), validations(one_process), strict=True):
        assert ours == pytest.approx(theirs, abs=TOLERANCE)


def test_an_exported_run_goes_on_from_its_very_weights(tokens_dir, tmp_path):
    before = train(tokens_dir, tmp_path / "run", "train.steps=6", "train.valid_every=6")
    hf, start = tmp_path / "hf", tmp_path / "start"
    notemill("export", "--checkpoint", str(tmp_path / "run" / "checkpoints" / "step-00000006"), "--out", str(hf))
    notemill("import", "--hf", str(hf), "--out", str(start))
    after = go_on(start, tokens_dir, tmp_path / "on")
    assert validations(after)[0] == validations(before)[-1]


def test_its_own_config_is_enough_in_bf16_and_a_killed_run_goes_on(start, one_process, tokens_dir, tmp_path):
    """Without the test's own settings of the model: what a user types."""
    config = [f"--config={start / 'config.yaml'}", f"data.path={tokens_dir}", "train.log_every=1", "train.lr=1e-3"]
    rest = ["train.steps=4", "train.valid_every=4", "data.valid_rows=8", "train.global_batch_size=8"]
    run_dir = tmp_path / "run"
    notemill("train", *config, *rest, "train.micro_batch_size=2", f"run.dir={run_dir}")
    (first, *_) = validations(rows(run_dir))
    assert first[0] == pytest.approx(validations(one_process)[0][0], abs=0.02)

    killed = tmp_path / "killed"
    settings = (f"checkpoint.resume={start}", "train.steps=14", "checkpoint.every=4")
    kill_after_step(tokens_dir, killed, 6, *settings, processes=1, number=signal.SIGTERM)
    again = train(tokens_dir, killed, *settings)
    straight = train(tokens_dir, tmp_path / "straight", *settings)
    assert losses(again) == losses(straight)
    from pretrain.checkpoint import complete_checkpoints, read_info

    info = read_info(complete_checkpoints(killed)[-1])
    assert (info.has_optimizer, info.origin) == (True, read_info(start).origin)


def test_another_model_is_refused_in_one_sentence(start, tokens_dir, tmp_path):
    other = ["model.num_attention_heads=2", "model.max_position_embeddings=128", "model.num_layers=2"]
    settings = [*TINY, f"data.path={tokens_dir}", f"run.dir={tmp_path / 'run'}", f"checkpoint.resume={start}", *other]
    done = subprocess.run(command(1, settings), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for said in (
        "num_attention_heads is 2, there 4",
        "max_position_embeddings is 128, there 64",
        "layers is 2, there 4",
    ):
        assert said in done.stderr
