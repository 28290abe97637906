"""DeepSpeed itself: imported late, quietly, and without the parts that it would compile at the start."""

import logging
import os
import sys
from types import ModuleType

import torch

from launch.errors import NotemillError


def import_deepspeed() -> ModuleType:
    """The package, told which device there is. Raises NotemillError when it is not installed."""
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        # Without it DeepSpeed asks every vendor's package in turn.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
    except ImportError as error:
        raise NotemillError(
            f"engine.name=deepspeed needs the package deepspeed, which cannot be imported here ({error}); install it "
            "with pip or set engine.name=megatron."
        ) from None
    _quieten()
    if on_cpu:
        _keep_to_torch(deepspeed)
    return deepspeed


def _quieten() -> None:
    from deepspeed.runtime import bf16_optimizer

    # It prints six reports of memory, each after a collection of garbage, whatever the level of logging.
    bf16_optimizer.see_memory_usage = lambda message, force=False: None
    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.ERROR)
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            # Standard output is for results that scripts read.
            handler.setStream(sys.stderr)


def _keep_to_torch(deepspeed: ModuleType) -> None:
    from deepspeed.accelerator import get_accelerator

    # It would compile a shared-memory collective of its own in every process; gloo has what is needed.
    deepspeed.ops.__compatible_ops__ = {}
    # torch computes in fp16 on any CPU, slowly: enough to try out what will run on GPUs.
    get_accelerator().is_fp16_supported = lambda: True
