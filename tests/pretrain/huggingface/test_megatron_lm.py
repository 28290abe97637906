"""BERT checkpoints of Megatron-LM come in with every number they have, whatever their layout and generation."""

import os
import shutil

import pytest
import torch

from launch.errors import NotemillError
from pretrain.huggingface.export import export
from pretrain.huggingface.importing import import_model
from pretrain.huggingface.megatron_lm import read_megatron_lm
from tests.pretrain.huggingface.megatron_lm_files import write_megatron_lm
from tests.pretrain.huggingface.published import tensors

pytestmark = pytest.mark.usefixtures("own_process_groups")

ARGS = {"num_attention_heads": 4, "layernorm_epsilon": 1e-12, "bias_gelu_fusion": False}


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param({"is_older": True, "version": None}, id="first generation, no version"),
        pytest.param({"is_older": True, "version": 1.0}, id="version 1"),
        pytest.param({"tensor": 2, "version": 0}, id="TP2, version 0"),
        pytest.param({"tensor": 2, "pipeline": 2, "version": 2.0}, id="TP2 x PP2, version 2"),
        pytest.param({"tensor": 4, "pipeline": 2, "virtual": 2}, id="TP4 x PP2 x VPP2, version 3"),
    ],
)
def test_every_layout_and_generation_gives_the_same_encoder(layout, published, tmp_path):
    from safetensors.torch import load_file

    from pretrain.huggingface.weights import to_huggingface

    write_megatron_lm(tmp_path / "theirs", published, args=ARGS, **layout)
    encoder = read_megatron_lm(tmp_path / "theirs")
    ours = to_huggingface(encoder.weights, num_layers=4, num_heads=4)
    for name, tensor in load_file(published / "model.safetensors").items():
        assert torch.equal(ours[name], tensor), name
    assert encoder.missing == []
    assert (encoder.model.layernorm_epsilon, encoder.model.activation) == (1e-12, "gelu")


@pytest.mark.parametrize("is_fused", [False, True])
def test_import_then_export_gives_the_same_tensors(is_fused, published, tmp_path):
    from transformers import AutoConfig

    theirs = write_megatron_lm(
        tmp_path / "theirs", published, tensor=2, args=ARGS | {"bias_gelu_fusion": is_fused}, dtype=torch.float16
    )
    start = import_model(theirs, tmp_path / "start", form="megatron-lm", vocab=published / "vocab.txt")
    export(start, tmp_path / "hf")
    exported = tensors(tmp_path / "hf")
    for name, tensor in tensors(published).items():
        if name == "bert.embeddings.word_embeddings.weight":
            continue  # rows of placeholders move
        assert torch.equal(exported[name], tensor.half().float()) or "predictions.bias" in name, name
    # Both measured the training model's logits against transformers' by then.
    assert AutoConfig.from_pretrained(tmp_path / "hf").hidden_act == ("gelu_new" if is_fused else "gelu")


def test_a_checkpoint_that_does_not_say_is_of_megatron_lm_s_defaults_and_that_is_told(published, tmp_path, capsys):
    theirs = write_megatron_lm(tmp_path / "theirs", published)
    encoder = read_megatron_lm(tmp_path / "theirs")
    model = encoder.model
    assert encoder.assumed == ("1 attention heads", "layer norm epsilon 1e-05", "GELU as gelu_tanh")
    import_model(theirs, tmp_path / "start", form="megatron-lm", vocab=published / "vocab.txt")
    told = capsys.readouterr().err
    assert "does not say, so this was taken: 1 attention heads, layer norm epsilon 1e-05, GELU as gelu_tanh" in told
    assert "of those of transformers' model with the weights as they were read here" in told
    assert (model.layernorm_epsilon, model.activation, model.hidden_dropout) == (1e-5, "gelu_tanh", 0.1)


def _change(path, change):
    state = torch.load(path, weights_only=False)
    change(state)
    torch.save(state, path)


def _spoil(state):
    encoder = next(
        part for name, part in state["model"]["language_model"].items() if name in ("encoder", "transformer")
    )
    name = next(name for name in encoder if name.endswith("attention.dense.weight"))
    encoder[name][0, 0] = torch.nan


RANK_0 = "iter_0000500/mp_rank_00/model_optim_rng.pt"
RANK_1 = "iter_0000500/mp_rank_01/model_optim_rng.pt"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: shutil.rmtree((f / RANK_0).parent), "none of tensor 0 and pipeline 0; copy all"),
        (lambda f: (f / RANK_1).write_bytes(b"PK" + b"x" * 90), "cannot be read as plain tensors"),
        (lambda f: (f / RANK_1).write_bytes(b""), "cannot be read as plain tensors"),
        (lambda f: _change(f / RANK_1, lambda s: s.pop("model")), "holds other parts|holds no part"),
        (lambda f: _change(f / RANK_0, lambda s: s["model"]["language_model"].pop("embedding")), "lacks embedding"),
        (lambda f: _change(f / RANK_0, lambda s: s.pop("model")), "holds no model of Megatron-LM"),
        (lambda f: (f / "latest_checkpointed_iteration.txt").write_text("7"), "holds no mp_rank_00"),
        (lambda f: _change(f / RANK_1, _spoil), "linear_proj.weight in .* not finite"),
        (lambda f: shutil.rmtree(f), "no folder at"),
    ],
)
def test_what_is_damaged_is_told_in_a_sentence(damage, said, published, tmp_path):
    write_megatron_lm(tmp_path / "theirs", published, tensor=2, args=ARGS)
    damage(tmp_path / "theirs")
    with pytest.raises(NotemillError, match=said) as raised:
        read_megatron_lm(tmp_path / "theirs")
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_nothing_in_a_checkpoint_is_run(published, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'was-here'}",)

    write_megatron_lm(tmp_path / "theirs", published, args=ARGS)
    _change(tmp_path / "theirs" / RANK_0, lambda state: state.update(more=Evil()))
    with pytest.raises(NotemillError, match="cannot be read as plain tensors"):
        read_megatron_lm(tmp_path / "theirs")
    assert not (tmp_path / "was-here").exists()
