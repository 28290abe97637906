"""What the layers are made of: torch's modules or Transformer Engine's, by `model.layers`.

Both have the same parameters under the same names in checkpoints, so that a run goes on with either. Attention,
what stands between the matrices, embeddings, final norm and heads are the same ones in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
from megatron.core.transformer.attention import SelfAttention, SelfAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.mlp import MLPSubmodules
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer, TransformerLayerSubmodules

from pretrain.model.attention import LastAttention, PackedAttention, PackedPieces
from pretrain.model.pointwise import FeedForward, get_bias_dropout_add


class LayerNorm(torch.nn.LayerNorm):
    """Layer norm whose gradients are summed over the tensor ranks when each holds a part of the sequence."""

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: object) -> None:
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        for parameter in self.parameters():
            parameter.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


class LastLayer(TransformerLayer):
    """The last layer, which goes on from its attention only with positions that the heads read: no other leads to the
    loss."""

    def forward(self, hidden_states: torch.Tensor, *, packed_seq_params: PackedPieces, **_: Any) -> Any:
        attended_R1H = self.self_attention(
            self.input_layernorm(hidden_states), attention_mask=None, packed_seq_params=packed_seq_params
        )
        positions_R = packed_seq_params.read_positions
        residual_R1H = hidden_states if positions_R is None else hidden_states.index_select(0, positions_R)
        add = self.self_attn_bda(self.training, self.config.bias_dropout_fusion)
        return self._forward_mlp(add(attended_R1H, residual_R1H, self.hidden_dropout)), None


@dataclass(frozen=True)
class LayerModules:
    """The classes that a layer is built of."""

    norm: type
    """What stands before attention and before the feed-forward block."""
    columns: type
    """Products whose columns the tensor ranks share: query, key and value; the first of the feed-forward block."""
    rows: type
    """Products whose rows they share: the output of attention; the second of the feed-forward block."""
    saved_as: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of a layer's names that are others in checkpoints, and what they are there."""


TORCH = LayerModules(norm=LayerNorm, columns=ColumnParallelLinear, rows=RowParallelLinear)

NORM_IN_COLUMNS = {
    "self_attention.linear_qkv.layer_norm_": "input_layernorm.",
    "mlp.linear_fc1.layer_norm_": "pre_mlp_layernorm.",
}
"""`saved_as` where `columns` has the norm as parameters of its own and `norm` has none."""


def layer_modules(kind: str) -> LayerModules:
    """The classes for a value of `model.layers`."""
    if kind == "torch":
        return TORCH
    from pretrain.model.transformer_engine import transformer_engine_modules

    return transformer_engine_modules()


def block_submodules(
    config: TransformerConfig, modules: LayerModules, vp_stage: int | None, *, has_heads: bool
) -> TransformerBlockSubmodules:
    """The layers of one chunk of the model, the last of them `LastLayer` where the heads follow."""
    layers = [_layer(modules, TransformerLayer, PackedAttention)] * get_num_layers_to_build(config, vp_stage)
    if has_heads:
        layers[-1] = _layer(modules, LastLayer, LastAttention)
    return TransformerBlockSubmodules(layer_specs=layers, layer_norm=LayerNorm)


def _layer(modules: LayerModules, layer: type, core_attention: type) -> ModuleSpec:
    return ModuleSpec(
        module=layer,
        submodules=TransformerLayerSubmodules(
            input_layernorm=modules.norm,
            self_attention=ModuleSpec(
                module=SelfAttention,
                params={"attn_mask_type": AttnMaskType.padding},
                submodules=SelfAttentionSubmodules(
                    linear_qkv=modules.columns,
                    core_attention=core_attention,
                    linear_proj=modules.rows,
                    q_layernorm=IdentityOp,
                    k_layernorm=IdentityOp,
                ),
            ),
            self_attn_bda=get_bias_dropout_add,
            pre_mlp_layernorm=modules.norm,
            mlp=ModuleSpec(
                module=FeedForward,
                submodules=MLPSubmodules(linear_fc1=modules.columns, linear_fc2=modules.rows),
            ),
            mlp_bda=get_bias_dropout_add,
            sharded_state_dict_keys_map=dict(modules.saved_as),
        ),
    )
