"""Transformer Engine's layers, and FP8 products in them.

Written after the sources of megatron-core 0.16.1 and Transformer Engine 2.11, and never run: neither the package nor a
GPU was at hand. What can be is tested on a CPU with modules that have the same parameters.

`train.precision=fp8` is bf16 throughout, parameters, gradients and optimizer too, but for the products of the layers:
Transformer Engine casts what goes into them to E4M3, and gradients to E5M2, with one factor a tensor that it takes from
the tensor itself ("current scaling"). With "delayed scaling" the factors would follow from the largest values of past
steps, and a checkpoint would have to hold these for a resume to be exact.
"""

import torch
from megatron.core.transformer.identity_op import IdentityOp

from launch.errors import NotemillError
from pretrain.model.layers import NORM_IN_COLUMNS, LayerModules

_OLDEST = "2.9.0a0"
"""What megatron-core 0.16.1 asks for; it takes versions below 2.12."""
_FP8_CAPABILITY = (8, 9)
"""Compute capability of Ada, the first with products in FP8; Hopper's is 9.0."""


def transformer_engine_modules() -> LayerModules:
    """Norm and product behind it in one module, which keeps the norm's output in FP8 only."""
    from megatron.core.extensions.transformer_engine import TELayerNormColumnParallelLinear, TERowParallelLinear

    return LayerModules(
        norm=IdentityOp,
        columns=TELayerNormColumnParallelLinear,
        rows=TERowParallelLinear,
        saved_as=NORM_IN_COLUMNS,
    )


def require_transformer_engine(precision: str, device: torch.device) -> None:
    """Raises NotemillError where these layers cannot run, or not in `train.precision`."""
    instead = "set model.layers=torch" + (" and train.precision=bf16" if precision == "fp8" else "")
    if device.type != "cuda":
        raise NotemillError(
            f"model.layers=transformer_engine needs a CUDA device, and none is visible here; {instead}."
        )
    from megatron.core.extensions.transformer_engine import HAVE_TE
    from megatron.core.utils import get_te_version, is_te_min_version

    if not HAVE_TE or not is_te_min_version(_OLDEST):
        found = f"version {get_te_version()} is here" if HAVE_TE else "it cannot be imported here"
        raise NotemillError(
            f"model.layers=transformer_engine needs Transformer Engine 2.9 or later, and {found}; install it (pip "
            f"install --no-build-isolation 'transformer-engine[pytorch]>=2.9,<2.12') or {instead}."
        )
    capability = torch.cuda.get_device_capability(device)
    if precision == "fp8" and capability < _FP8_CAPABILITY:
        raise NotemillError(
            f"train.precision=fp8 needs a GPU of compute capability 8.9 or higher (Ada, Hopper, Blackwell), and "
            f"{torch.cuda.get_device_name(device)} has {'.'.join(map(str, capability))}; set train.precision=bf16."
        )
