"""Layers with the norm inside the product behind it, as Transformer Engine has them, beside those of torch's modules.

Transformer Engine itself needs CUDA. What stands for it here has its parameters under its names, and its extra state.
"""

import pickle
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from launch.errors import NotemillError
from pretrain.config import PretrainConfig, load_pretrain_config
from pretrain.data.batch import Batch
from tests.pretrain.launching import TINY

VOCABULARY = 64
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("own_process_groups")


@pytest.fixture
def config(monkeypatch):
    """Of torch's modules in fp32, in its process group; a "transformer_engine" config gets the stand-ins."""
    from pretrain.model import build
    from pretrain.model.layers import layer_modules
    from pretrain.parallel import distributed

    monkeypatch.setattr(build, "layer_modules", lambda kind: layer_modules(kind) if kind == "torch" else stand_ins())
    config = load_pretrain_config(None, [*TINY])
    distributed.start(config, VOCABULARY)
    distributed.seed_dropout(1, 0)
    yield config
    distributed.stop()


def stand_ins():
    from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
    from megatron.core.transformer.identity_op import IdentityOp

    from pretrain.model.layers import NORM_IN_COLUMNS, LayerModules

    class ExtraState:
        def get_extra_state(self):
            return torch.frombuffer(bytearray(pickle.dumps({"recipe": "tensorwise"})), dtype=torch.uint8)

        def set_extra_state(self, state):
            raise AssertionError("what a checkpoint says is unpickled here")

    class Columns(ExtraState, ColumnParallelLinear):
        def __init__(self, input_size, output_size, *, config, **settings):
            super().__init__(input_size, output_size, config=config, **settings)
            self._load_state_dict_pre_hooks.clear()
            self.layer_norm_weight = torch.nn.Parameter(torch.empty(input_size, dtype=config.params_dtype))
            self.layer_norm_bias = torch.nn.Parameter(torch.empty(input_size, dtype=config.params_dtype))

        def forward(self, x):
            weight, bias = self.layer_norm_weight, self.layer_norm_bias
            return super().forward(F.layer_norm(x, weight.shape, weight, bias, self.config.layernorm_epsilon))

    class Rows(ExtraState, RowParallelLinear):
        def __init__(self, *sizes, **settings):
            super().__init__(*sizes, **settings)
            self._load_state_dict_pre_hooks.clear()

    return LayerModules(norm=IdentityOp, columns=Columns, rows=Rows, saved_as=NORM_IN_COLUMNS)


def fused(config: PretrainConfig) -> PretrainConfig:
    return replace(config, model=replace(config.model, layers="transformer_engine"))


def engine_of(config: PretrainConfig):
    from pretrain.engines.build import build_engine

    return build_engine(config, VOCABULARY, CPU)


def batch(seed: int) -> Batch:
    """Two rows of 64 tokens, each of two pieces, with 19 masked tokens: with the orders 23 positions are read."""
    random = torch.Generator().manual_seed(seed)
    starts = torch.tensor([0, 40, 64, 100])
    length = 128
    return Batch(
        input_ids=torch.randint(5, VOCABULARY, (1, length), generator=random),
        token_type_ids=torch.zeros(1, length, dtype=torch.int64),
        position_ids=torch.cat([torch.arange(40), torch.arange(24), torch.arange(36), torch.arange(28)])[None],
        cu_seqlens=torch.tensor([0, 40, 64, 100, length], dtype=torch.int32),
        max_seqlen=40,
        masked_positions=torch.tensor([p for p in range(1, length, 6) if p not in starts])[:19],
        masked_labels=torch.randint(5, VOCABULARY, (19,), generator=random),
        sequence_starts=starts,
        sop_labels=torch.tensor([0, 1, 1, 0]),
        num_real_tokens=length,
    )


def step(engine, seed: int) -> tuple[float, float, float]:
    losses = engine.accumulate([batch(seed), batch(seed + 1)])
    return losses.mlm_loss, losses.sop_loss, engine.update(1e-3).grad_norm


def save(engine, folder):
    folder.mkdir()
    saving = engine.begin_save(folder)
    saving.wait()
    saving.complete()()
    return folder


def names(folder) -> set[str]:
    from torch.distributed.checkpoint import FileSystemReader

    return set(FileSystemReader(folder).read_metadata().state_dict_metadata)


def test_the_norm_within_the_product_is_the_same_model(config):
    separate, inside = engine_of(config), engine_of(fused(config))
    ours = {name for name, _ in inside.module.named_parameters()}
    assert any(name.endswith("linear_qkv.layer_norm_weight") for name in ours)
    assert not any("input_layernorm" in name or "pre_mlp_layernorm" in name for name in ours)
    for seed in (1, 3, 5):
        assert step(inside, seed) == pytest.approx(step(separate, seed), rel=1e-6)


@pytest.mark.parametrize("first", ["torch", "transformer_engine"])
def test_a_run_goes_on_with_the_other_modules(config, first, tmp_path):
    one, other = (config, fused(config)) if first == "torch" else (fused(config), config)
    begun = engine_of(one)
    step(begun, 1)
    folder = save(begun, tmp_path / "weights")
    gone_on = engine_of(other)
    step(gone_on, 7)
    gone_on.load(folder)
    for seed in (3, 5):
        assert step(gone_on, seed) == pytest.approx(step(begun, seed), rel=1e-6)
    found = names(folder)
    assert found == names(save(gone_on, tmp_path / "again"))
    assert "encoder.layers.input_layernorm.weight" in found
    assert not any("_extra_state" in name for name in found)


def test_an_import_fills_either(config, tmp_path):
    from pretrain.engines.megatron.weights import save_model
    from pretrain.model.build import build_model

    (chunk,) = build_model(config, VOCABULARY, CPU)
    with torch.no_grad():
        for number, parameter in enumerate(chunk.parameters()):
            parameter.fill_(number / 1000)
    (tmp_path / "weights").mkdir()
    save_model(tmp_path / "weights", chunk)
    engine = engine_of(fused(config))
    engine.load_weights(tmp_path / "weights")
    ours, theirs = dict(engine.module.named_parameters()), dict(chunk.named_parameters())
    for at in ("encoder.layers.2.self_attention.linear_qkv", "encoder.layers.2.mlp.linear_fc1"):
        assert torch.equal(ours[f"module.{at}.weight"], theirs[f"{at}.weight"])
    name = "encoder.layers.2.mlp.linear_fc1.layer_norm_bias"
    assert torch.equal(ours[f"module.{name}"], theirs["encoder.layers.2.pre_mlp_layernorm.bias"])


def test_the_optimizer_is_torchs_where_another_is_installed(config, tmp_path, monkeypatch):
    from megatron.core import optimizer
    from megatron.core.optimizer import distrib_optimizer

    before = engine_of(config)
    step(before, 1)
    folder = save(before, tmp_path / "weights")
    # As it is after an import of megatron-core beside Transformer Engine.
    for module, name, value in (
        (optimizer, "Adam", None),
        (optimizer, "USING_PYTORCH_OPTIMIZER", False),
        (distrib_optimizer, "HAVE_APEX_OR_TE", True),
        (distrib_optimizer, "USING_TE_OPTIMIZER", True),
    ):
        monkeypatch.setattr(module, name, value)
    engine = engine_of(config)
    engine.load(folder)
    assert type(engine.optimizer.chained_optimizers[0].optimizer) is torch.optim.AdamW
    assert step(engine, 3) == step(before, 3)
    assert names(save(engine, tmp_path / "again")) == names(folder)


def test_in_fp8_the_last_layer_works_on_whole_multiples(config):
    """FP8 products take no other numbers of tokens. Without Transformer Engine megatron-core leaves them in fp32."""
    plain, padded = engine_of(config), engine_of(config)
    padded.models[0].config.fp8 = "hybrid"
    seen: list[int] = []
    last = padded.models[0].module.encoder.layers[-1].mlp.linear_fc1
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[0]))
    for seed in (1, 3, 5):
        assert step(padded, seed) == pytest.approx(step(plain, seed), rel=1e-5)
    assert set(seen) == {32}


def test_megatron_core_takes_the_settings_of_fp8(config):
    from megatron.core.enums import Fp8Recipe

    from pretrain.model.build import transformer_config

    megatron = transformer_config(replace(config, train=replace(config.train, precision="fp8")))
    assert megatron.fp8 == "hybrid" and megatron.fp8_recipe == Fp8Recipe.tensorwise and not megatron.fp8_param
    assert megatron.bf16 and megatron.params_dtype == megatron.pipeline_dtype == torch.bfloat16
    assert transformer_config(config).fp8 is None


def test_a_run_says_what_it_lacks(monkeypatch):
    from pretrain.model.transformer_engine import require_transformer_engine
    from pretrain.parallel import distributed

    settings = ["train.precision=fp8", "model.layers=transformer_engine", "train.device=cpu"]
    monkeypatch.setattr("megatron.core.extensions.transformer_engine.HAVE_TE", False)
    with pytest.raises(NotemillError, match=r"none is visible here; set model.layers=torch and train.precision=bf16"):
        distributed.start(load_pretrain_config(None, settings), VOCABULARY)
    with pytest.raises(
        NotemillError,
        match=r"needs Transformer Engine 2.9 or later, and it cannot be imported here; .* or set model.layers=torch\.",
    ):
        require_transformer_engine("bf16", torch.device("cuda"))
    monkeypatch.setattr("megatron.core.extensions.transformer_engine.HAVE_TE", True)
    monkeypatch.setattr("megatron.core.utils.is_te_min_version", lambda version: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    with pytest.raises(NotemillError, match=r"capability 8.9 or higher .* and NVIDIA A100 has 8.0; set train.prec"):
        require_transformer_engine("fp8", torch.device("cuda"))
    require_transformer_engine("bf16", torch.device("cuda"))
