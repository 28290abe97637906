"""Options that must not change what is learned, and those that must change it as they say."""

import math

import pytest

from tests.pretrain.launching import losses, rows, train

DROPOUT = ("train.steps=3", "train.valid_every=0", "model.hidden_dropout=0.1", "model.attention_dropout=0.1")


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_computing_again_in_the_backward_pass_changes_nothing(recompute, tokens_dir, tmp_path):
    kept = train(tokens_dir, tmp_path / "kept", *DROPOUT)
    again = train(tokens_dir, tmp_path / "again", *DROPOUT, f"train.recompute={recompute}")
    assert losses(again) == losses(kept)


def test_fp16_lowers_its_scale_until_gradients_fit_and_then_learns(tokens_dir, tmp_path):
    settings = ("train.precision=fp16", "train.initial_loss_scale=1099511627776", "train.steps=34")
    metrics = [row for row in train(tokens_dir, tmp_path / "run", *settings) if "mlm_loss" in row]
    overflowed = [row["grad_norm"] is None for row in metrics]
    fitted = overflowed.index(False)
    assert 0 < fitted < 30
    # Gradients that just fit may overflow once or twice more as they grow.
    assert sum(overflowed[fitted:]) <= 2
    assert metrics[0]["loss_scale"] > metrics[fitted]["loss_scale"]
    # Steps whose gradients overflow leave the weights alone: the same rows would give the same loss.
    assert metrics[-1]["mlm_loss"] < metrics[fitted]["mlm_loss"]


def test_fp16_goes_on_with_its_loss_scale(tokens_dir, tmp_path):
    settings = ("train.precision=fp16", "train.initial_loss_scale=1099511627776", "train.warmup_steps=1")
    straight = train(tokens_dir, tmp_path / "straight", *settings, "train.min_lr=1e-3", "train.steps=12")
    train(tokens_dir, tmp_path / "run", *settings, "train.min_lr=1e-3", "train.steps=6")
    resumed = train(tokens_dir, tmp_path / "run", *settings, "train.min_lr=1e-3", "train.steps=12")
    scales = [[row["loss_scale"] for row in metrics if "loss_scale" in row] for metrics in (straight, resumed)]
    assert scales[0] == scales[1]
    assert losses(resumed) == losses(straight)


def test_without_sentence_order_only_masked_tokens_are_learned(tokens_dir, tmp_path):
    metrics = train(tokens_dir, tmp_path / "run", "train.sentence_order=false", "train.steps=4", "train.valid_every=4")
    assert all(row["sop_loss"] == 0 for row in metrics if "sop_loss" in row)
    assert metrics[-1]["valid_sop_loss"] is None
    assert metrics[-1]["valid_loss"] == metrics[-1]["valid_mlm_loss"]
    assert metrics[-1]["valid_mlm_loss"] > 0


def test_the_batch_grows_and_the_masking_rate_falls_alike_on_one_and_two_processes(tokens_dir, tmp_path):
    settings = (
        "train.start_batch_size=4",
        "train.global_batch_size=16",
        "train.batch_ramp_rows=24",
        "data.mask_probability=0.3",
        "data.final_mask_probability=0.1",
        "train.steps=6",
    )
    one = train(tokens_dir, tmp_path / "one", *settings)
    two = train(tokens_dir, tmp_path / "two", *settings, processes=2)
    for ours, theirs in zip(losses(two), losses(one), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    seen = [row["tokens_seen"] for row in one if "mlm_loss" in row]
    growth = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    # Rows of 64 tokens, nearly full.
    assert [round(tokens / 64 / 4) * 4 for tokens in growth] == [4, 4, 8, 12, 16, 16]


def test_held_out_numbers_of_the_sources_make_up_those_of_all(tokens_of_two_sources, tmp_path):
    metrics = train(tokens_of_two_sources, tmp_path / "run", "train.steps=2", "data.valid_rows=0")
    for row in rows(tmp_path / "run"):
        if "valid_mlm_loss" not in row:
            continue
        parts = [row["valid_mlm_loss/noteevents"], row["valid_mlm_loss/omop"]]
        assert all(math.isfinite(part) and part > 0 for part in parts)
        assert min(parts) < row["valid_mlm_loss"] < max(parts)
    assert metrics[-1]["valid_mlm_accuracy/omop"] >= 0


def test_weights_of_sources_decide_what_is_seen(tokens_of_two_sources, tmp_path):
    both = train(tokens_of_two_sources, tmp_path / "both", "train.steps=2")
    one = train(tokens_of_two_sources, tmp_path / "one", "train.steps=2", "data.weights={omop: 0}")
    assert losses(both) != losses(one)
