"""DeepSpeed's settings in terms of ours."""

from typing import Any

from pretrain.config import PretrainConfig

_HYSTERESIS = 2
"""Overflows before the loss scale is halved, as under megatron-core."""


def deepspeed_settings(config: PretrainConfig, *, overlap: bool, pin_memory: bool) -> dict[str, Any]:
    """What `deepspeed.initialize` takes as `config`.

    `overlap`: reduce gradients during the backward pass. `pin_memory`: page-lock what is offloaded, for GPUs.
    """
    train, precision = config.train, config.train.precision
    return {
        "train_micro_batch_size_per_gpu": train.micro_batch_size,
        # The engine says itself which micro-batch is the last: their number changes while the batch grows.
        "gradient_accumulation_steps": 1,
        "gradient_clipping": train.clip_grad,
        # torch's AdamW rather than DeepSpeed's, which it compiles at the start.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "data_types": {"grad_accum_dtype": "fp32"},
        "communication_data_type": "fp32",
        # Without immediate updates, later micro-batches would count the earlier ones again.
        "bf16": {"enabled": precision == "bf16", "immediate_grad_update": True},
        "fp16": {
            "enabled": precision == "fp16",
            "loss_scale_window": train.loss_scale_window,
            "hysteresis": _HYSTERESIS,
            "min_loss_scale": 1,
        },
        "zero_optimization": {
            "stage": config.engine.zero_stage,
            "overlap_comm": overlap,
            **_offload(config, pin_memory),
            # Biases and norms stay whole on every rank: to gather them one by one costs more than they hold.
            "stage3_param_persistence_threshold": 10 * config.model.hidden_size,
        },
    }


def _offload(config: PretrainConfig, pin_memory: bool) -> dict[str, Any]:
    place = {"device": "cpu", "pin_memory": pin_memory}
    keys = {"none": [], "optimizer": ["offload_optimizer"], "parameters": ["offload_optimizer", "offload_param"]}
    return dict.fromkeys(keys[config.engine.offload], place)
