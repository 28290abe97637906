"""Megatron-BERT under transformers' attention interface: the same function of the same weights, however computed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel, MegatronBertConfig, MegatronBertForCausalLM

from launch.attention.interface import enable_attention_interface
from tests.eval.finetune.toys import write_model

MASKS = [torch.ones(3, 16, dtype=torch.long), torch.tensor([[1] * n + [0] * (16 - n) for n in (16, 9, 1)])]
WAYS = ["sdpa", "notemill"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _enabled() -> None:
    enable_attention_interface()
    enable_attention_interface()


def load(folder: Path, way: str | None) -> torch.nn.Module:
    model = AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation=way)
    model.config.attention_probs_dropout_prob = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def states_and_gradient(model: torch.nn.Module, mask: torch.Tensor, bf16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 40, mask.shape, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(32, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        hidden = model(ids, attention_mask=mask).last_hidden_state.float()
    # Padding positions attend to nothing useful; only real ones are compared.
    hidden = hidden * mask.unsqueeze(-1)
    (hidden @ direction).sum().backward()
    return hidden, model.encoder.layer[0].attention.self.query.weight.grad


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mask", MASKS, ids=["full", "padded"])
@pytest.mark.parametrize("bf16", [False, True])
def test_states_and_gradients_equal_the_eager_ones(folder: Path, way: str, mask: torch.Tensor, bf16: bool) -> None:
    wanted, wanted_gradient = states_and_gradient(load(folder, "eager"), mask, bf16)
    model = load(folder, way)
    assert model.config._attn_implementation == way
    found, gradient = states_and_gradient(model, mask, bf16)
    tolerance = 1e-1 if bf16 else 1e-5
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)
    scale = float(wanted_gradient.abs().max())
    torch.testing.assert_close(gradient / scale, wanted_gradient / scale, atol=tolerance, rtol=tolerance)


def test_the_product_of_the_implementation_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    load(folder, "notemill")
    # A model's own code, loaded by another test of this process, registers its copy under the same name.
    registered = ALL_ATTENTION_FUNCTIONS["notemill"].__globals__
    calls: list[torch.Size] = []
    product = registered["dot_product_attention"]

    def counted(query: torch.Tensor, *rest: object) -> torch.Tensor:
        calls.append(query.shape)
        return product(query, *rest)

    monkeypatch.setitem(registered, "dot_product_attention", counted)
    ids = torch.ones(2, 4, dtype=torch.long)
    model = load(folder, "notemill")
    model(ids)
    assert calls == [(2, 2, 4, 16)] * 2, "once a layer"
    model.set_attn_implementation("eager")
    model(ids)
    assert len(calls) == 2
    model.set_attn_implementation("notemill")
    model(ids)
    assert len(calls) == 4


def test_sdpa_is_the_default_as_for_other_encoders(folder: Path) -> None:
    assert load(folder, None).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("way", ["eager", *WAYS])
def test_attention_weights_are_given_where_asked_for(folder: Path, way: str) -> None:
    mask = MASKS[1]
    ids = torch.randint(5, 40, mask.shape, generator=torch.Generator().manual_seed(0))
    model = load(folder, way).eval()
    plain, with_weights = model(ids, attention_mask=mask), model(ids, attention_mask=mask, output_attentions=True)
    assert plain.attentions is None
    assert [tuple(layer.shape) for layer in with_weights.attentions] == [(3, 2, 16, 16)] * 2
    for layer in with_weights.attentions:
        torch.testing.assert_close(layer.sum(-1), torch.ones(3, 2, 16))
        assert not layer.mul(1 - mask[:, None, None, :]).any()
    torch.testing.assert_close(
        with_weights.last_hidden_state * mask.unsqueeze(-1), plain.last_hidden_state * mask.unsqueeze(-1)
    )


def test_a_mask_of_four_dimensions_is_taken_as_it_is(folder: Path) -> None:
    band = (torch.arange(16)[:, None] - torch.arange(16)).abs() <= 3
    added = torch.zeros(1, 1, 16, 16).masked_fill(~band, torch.finfo(torch.float32).min)
    ids = torch.randint(5, 40, (1, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = load(folder, "eager").eval()(ids, attention_mask=added).last_hidden_state
        for mask in (added, band[None, None]):
            found = load(folder, "notemill").eval()(ids, attention_mask=mask).last_hidden_state
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_a_decoder_keeps_eager_attention(folder: Path) -> None:
    config = MegatronBertConfig.from_pretrained(folder, is_decoder=True)
    decoder = MegatronBertForCausalLM(config).eval()
    assert decoder.config._attn_implementation == "eager"
    ids = torch.randint(5, 40, (1, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = decoder(ids).logits
        cached = decoder(ids[:, :5], use_cache=True)
        rest = decoder(ids[:, 5:], past_key_values=cached.past_key_values).logits
    torch.testing.assert_close(torch.cat((cached.logits, rest), dim=1), whole, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="eager"):
        decoder.set_attn_implementation("notemill")
        decoder(ids)


def test_other_encoders_can_have_the_implementation_too() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    model = BertModel(config).eval()
    ids, mask = torch.randint(5, 40, (3, 16)), MASKS[1]
    with torch.no_grad():
        wanted = model(ids, attention_mask=mask).last_hidden_state
        model.set_attn_implementation("notemill")
        found = model(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found * mask.unsqueeze(-1), wanted * mask.unsqueeze(-1), atol=1e-5, rtol=1e-5)


def test_models_built_before_follow_as_well(folder: Path) -> None:
    code = (
        "import sys, torch\n"
        "from transformers import AutoModel\n"
        "model = AutoModel.from_pretrained(sys.argv[1]).eval()\n"
        "ids, mask = torch.arange(5, 21)[None].repeat(2, 1), torch.tensor([[1] * 16, [1] * 9 + [0] * 7])\n"
        "with torch.no_grad():\n"
        "    eager = model(ids, attention_mask=mask).last_hidden_state\n"
        "    model.set_attn_implementation('sdpa')\n"
        "    assert model.config._attn_implementation == 'eager', 'transformers has the choice by now'\n"
        "    from launch.attention.interface import enable_attention_interface\n"
        "    enable_attention_interface()\n"
        "    model.set_attn_implementation('notemill')\n"
        "    ours = model(ids, attention_mask=mask).last_hidden_state\n"
        "print(((eager - ours) * mask.unsqueeze(-1)).abs().max().item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1e-5
