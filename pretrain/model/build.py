"""From the run's configuration to model chunks with initial weights."""

from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.transformer.transformer_config import TransformerConfig

from pretrain.config import PretrainConfig
from pretrain.model.bert import MegatronBert
from pretrain.model.initialise import initialise
from pretrain.model.layers import layer_modules
from pretrain.model.pointwise import ACTIVATIONS

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "fp8": torch.bfloat16}
"""What parameters and activations are kept in, by `train.precision`."""

_FP8 = {"fp8": "hybrid", "fp8_recipe": "tensorwise"}
"""megatron-core's terms for E4M3 forward, E5M2 backward and current scaling."""

_RECOMPUTE: dict[str, dict[str, Any]] = {
    "none": {},
    # "mlp" cannot be among them: megatron-core's checkpoint turns the bias that the block returns into an inner node of
    # the graph, and the backward pass never ends. "layernorm" needs Transformer Engine.
    "selective": {"recompute_granularity": "selective", "recompute_modules": ["core_attn"]},
    "full": {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1},
}
"""megatron-core's terms for `train.recompute`."""


def transformer_config(config: PretrainConfig) -> TransformerConfig:
    """The keys of megatron-core's TransformerConfig in terms of ours."""
    parallel, model = config.parallel, config.model
    dtype = DTYPES[config.train.precision]
    interleaved = parallel.virtual_stages > 1
    return TransformerConfig(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        num_attention_heads=model.num_attention_heads,
        ffn_hidden_size=config.ffn_hidden_size,
        hidden_dropout=model.hidden_dropout,
        attention_dropout=model.attention_dropout,
        layernorm_epsilon=model.layernorm_epsilon,
        init_method_std=model.init_std,
        activation_func=ACTIVATIONS[model.activation],
        # Fused, the layers' GELU would be the tanh form whatever the head has; pointwise.FeedForward fuses both forms.
        bias_activation_fusion=False,
        bias_dropout_fusion=torch.cuda.is_available() if model.compile is None else model.compile,
        # megatron-core counts either side.
        window_size=None if model.attention_window is None else (model.attention_window // 2,) * 2,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
        use_cpu_initialization=True,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        **(_FP8 if config.train.precision == "fp8" else {}),
        **_RECOMPUTE[config.train.recompute],
        tensor_model_parallel_size=parallel.tensor,
        pipeline_model_parallel_size=parallel.pipeline,
        virtual_pipeline_model_parallel_size=parallel.virtual_stages if interleaved else None,
        sequence_parallel=parallel.sequence,
        # The default point-to-point settings give wrong gradients, silently, with virtual stages.
        overlap_p2p_comm=interleaved,
        batch_p2p_comm=not interleaved,
    )


def build_model(config: PretrainConfig, vocab_size: int, device: torch.device) -> list[MegatronBert]:
    """This rank's chunks of the model, one a virtual stage, on `device` with initial weights."""
    megatron, layers = transformer_config(config), layer_modules(config.model.layers)
    chunks = []
    for stage in range(config.parallel.virtual_stages):
        vp_stage = stage if config.parallel.virtual_stages > 1 else None
        chunk = MegatronBert(
            megatron,
            vocab_size=vocab_size,
            max_position_embeddings=config.max_position_embeddings,
            layers=layers,
            pre_process=parallel_state.is_pipeline_first_stage(ignore_virtual=False, vp_stage=vp_stage),
            post_process=parallel_state.is_pipeline_last_stage(ignore_virtual=False, vp_stage=vp_stage),
            vp_stage=vp_stage,
        )
        initialise(chunk, config)
        chunks.append(chunk.to(device))
    return chunks
