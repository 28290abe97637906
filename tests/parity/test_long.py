"""A long model is the same function in transformers and in the trainer, before and after training, on any layout."""

import json
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from launch.errors import NotemillError
from pretrain.config import load_pretrain_config
from pretrain.huggingface.extend import extend
from tests.pretrain.huggingface.published import publish
from tests.pretrain.huggingface.test_extend import texts
from tests.pretrain.launching import TINY, losses, notemill, train

LONG, WINDOW = 256, 32
ROWS = ("train.seq_len=256", "train.micro_batch_size=1", "train.global_batch_size=4")
SETTINGS = (*ROWS, "train.steps=2", "train.valid_every=2", "train.warmup_steps=1", "data.valid_rows=4")


@pytest.fixture(scope="module")
def extended(tokens_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    publish(folder / "hf", tokens_dir / "tokenizer")
    return extend(folder / "hf", folder / "hf-long", LONG, WINDOW)


@pytest.fixture(scope="module")
def start(extended):
    notemill("import", "--hf", str(extended), "--out", str(extended.with_name("start")))
    return extended.with_name("start")


def go_on(start, tokens_dir, run_dir, *overrides, processes=1):
    overrides = (f"checkpoint.resume={start}", f"model.attention_window={WINDOW}", *SETTINGS, *overrides)
    return train(tokens_dir, run_dir, f"model.max_position_embeddings={LONG}", *overrides, processes=processes)


@pytest.fixture(scope="module")
def one_process(start, tokens_dir):
    return go_on(start, tokens_dir, start.with_name("one"))


def test_the_import_keeps_window_and_positions(start):
    config = load_pretrain_config(str(start / "config.yaml"), [])
    assert config.model.attention_window == WINDOW
    assert config.model.max_position_embeddings == LONG
    origin = json.loads((start / "checkpoint.json").read_text())["origin"]
    assert origin["parity"]["max_abs_logit_difference"] <= origin["parity"]["tolerance"]


@torch.no_grad()
def test_the_first_validation_is_the_extended_model_s(one_process, extended, tokens_dir):
    """Long pieces, by stock attention under a mask of four dimensions: no code of the window's has a part in it."""
    from transformers import MegatronBertForPreTraining

    from launch.attention.sliding_window import window_mask
    from pretrain.data.loader import PackedLoader

    model = MegatronBertForPreTraining.from_pretrained(extended, attn_implementation="eager").eval()
    loader = PackedLoader.from_tokens(tokens_dir, seq_len=LONG, seed=1234)
    total, count, longest = 0.0, 0, 0
    for batch in loader.iter_validation(1, 0, 1, max_rows=4):
        labels = torch.full_like(batch.input_ids[0], -100)
        labels[batch.masked_positions] = batch.masked_labels
        for begin, end in pairwise(batch.cu_seqlens.tolist()):
            seen = window_mask(end - begin, WINDOW, 1, torch.device("cpu"))
            added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]
            ids, types = batch.input_ids[:, begin:end], batch.token_type_ids[:, begin:end]
            logits = model(input_ids=ids, token_type_ids=types, attention_mask=added).prediction_logits[0]
            total += F.cross_entropy(logits, labels[begin:end], reduction="sum").item()
            count += int((labels[begin:end] != -100).sum())
            longest = max(longest, end - begin)
    assert longest > 3 * WINDOW // 2, "some pieces are read in chunks"
    assert one_process[0]["step"] == 0
    assert one_process[0]["valid_mlm_loss"] == pytest.approx(total / count, abs=1e-5)


@pytest.mark.parametrize(
    ("processes", "overrides"),
    [
        pytest.param(2, ["parallel.tensor=2", "parallel.sequence=true"], id="TP2+SP"),
        pytest.param(1, ["train.recompute=selective"], id="recompute"),
    ],
)
def test_the_layout_changes_nothing(processes, overrides, one_process, start, tokens_dir, tmp_path):
    found = go_on(start, tokens_dir, tmp_path / "run", *overrides, processes=processes)
    for ours, wanted in zip(losses(found), losses(one_process), strict=True):
        assert ours == pytest.approx(wanted, abs=1e-5, rel=1e-5)


def test_the_window_is_part_of_the_model(start, tokens_dir, tmp_path):
    with pytest.raises(AssertionError, match=r"model\.attention_window is 16, there 32"):
        go_on(start, tokens_dir, tmp_path / "run", "model.attention_window=16")


def test_the_export_is_a_long_folder_again(one_process, extended, start, tmp_path):
    checkpoint = start.with_name("one") / "checkpoints" / "step-00000002"
    notemill("export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "hf"))
    parity = json.loads((tmp_path / "hf" / "parity.json").read_text())
    assert parity["max_abs_logit_difference"] <= 1e-4
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    wanted = json.loads((extended / "config.json").read_text())
    for key in ("attention_window", "num_global_tokens", "auto_map", "max_position_embeddings", "model_type"):
        assert config[key] == wanted[key]
    assert "16 tokens on either side" in (tmp_path / "hf" / "README.md").read_text()

    from launch.attention.modeling_sliding_window import SlidingWindowMegatronBertModel

    ids, mask = texts([250, 100])
    model = SlidingWindowMegatronBertModel.from_pretrained(tmp_path / "hf").eval()
    seen_by_stock = SlidingWindowMegatronBertModel.from_pretrained(tmp_path / "hf", attn_implementation="sdpa").eval()
    with torch.no_grad():
        ours, full = (one(ids, attention_mask=mask).last_hidden_state for one in (model, seen_by_stock))
    assert not torch.allclose(ours[0], full[0], atol=1e-3)


@pytest.mark.parametrize("window", [0, 7, -2])
def test_a_window_that_cannot_be_is_told(window):
    with pytest.raises(NotemillError, match=rf"model\.attention_window is {window} and must be even"):
        load_pretrain_config(None, [*TINY, f"model.attention_window={window}"])


def test_flops_count_what_is_attended_to():
    assert load_pretrain_config(None, [*TINY, "train.seq_len=256", "model.attention_window=32"]).attended_tokens == 34
    assert load_pretrain_config(None, [*TINY, "train.seq_len=16", "model.attention_window=32"]).attended_tokens == 16
