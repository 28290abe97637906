"""Start and end of the process groups: NCCL with CUDA, gloo without; one process needs no launcher."""

import datetime
import hashlib
import os
import socket
from dataclasses import dataclass

import torch
import torch.distributed as dist

from launch.errors import NotemillError
from pretrain.config import PretrainConfig
from pretrain.memory import keep_freed_memory

_TIMEOUT = datetime.timedelta(minutes=10)


@dataclass(frozen=True)
class Ranks:
    """Where this process stands."""

    world_rank: int
    world_size: int
    data_rank: int
    data_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.world_rank == 0


def choose_device(config: PretrainConfig) -> torch.device:
    """The device of this process. Raises NotemillError when CUDA is asked for and there is none."""
    wanted = config.train.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise NotemillError("train.device=cuda, but no CUDA device is visible here; use train.device=cpu or auto.")
    if wanted == "cpu" and torch.cuda.is_available():
        raise NotemillError(
            "train.device=cpu on a machine with CUDA is not supported by megatron-core; hide the GPUs with "
            "CUDA_VISIBLE_DEVICES= (empty)."
        )
    if torch.cuda.is_available():
        if config.model.attention_dropout > 0:
            raise NotemillError(
                f"model.attention_dropout={config.model.attention_dropout}, but torch's packed attention on CUDA has "
                "no dropout; set it to 0."
            )
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def start(config: PretrainConfig) -> Ranks:
    """Join the process group and split it into tensor, pipeline and data ranks.

    Raises NotemillError when the world size, the batch and the layout do not fit together; all reasons are listed.
    """
    device = choose_device(config)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    check_layout(config, world_size)
    if world_size == 1 and "MASTER_ADDR" not in os.environ:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(_free_port()), RANK="0", WORLD_SIZE="1")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)

    from megatron.core import parallel_state

    virtual = config.parallel.virtual_stages
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=config.parallel.tensor,
        pipeline_model_parallel_size=config.parallel.pipeline,
        virtual_pipeline_model_parallel_size=virtual if virtual > 1 else None,
        create_gloo_process_groups=True,
    )
    return Ranks(
        world_rank=dist.get_rank(),
        world_size=world_size,
        data_rank=parallel_state.get_data_parallel_rank(),
        data_size=parallel_state.get_data_parallel_world_size(),
        device=device,
    )


def stop() -> None:
    """Leave the process groups."""
    from megatron.core import parallel_state

    parallel_state.destroy_model_parallel()
    if dist.is_initialized():
        dist.destroy_process_group()


def check_layout(config: PretrainConfig, world_size: int) -> None:
    """Raises NotemillError listing every way in which layout, batch and world size do not fit."""
    model_size = config.parallel.tensor * config.parallel.pipeline
    problems = []
    if world_size % model_size:
        problems.append(
            f"{world_size} process(es) is no multiple of parallel.tensor x parallel.pipeline = {model_size}; "
            f"start with torchrun --nproc-per-node {model_size}"
        )
    else:
        rows = config.train.micro_batch_size * (world_size // model_size)
        if config.train.global_batch_size % rows:
            problems.append(
                f"train.global_batch_size {config.train.global_batch_size} is no multiple of micro_batch_size x "
                f"data-parallel size = {rows}"
            )
        else:
            micro_batches = config.train.global_batch_size // rows
            if config.parallel.virtual_stages > 1 and micro_batches % config.parallel.pipeline:
                problems.append(
                    f"{micro_batches} micro-batches a step is no multiple of parallel.pipeline "
                    f"{config.parallel.pipeline}, which virtual stages need"
                )
    if problems:
        raise NotemillError("the layout does not fit: " + "; ".join(problems) + ".")


def seed_dropout(seed: int, step: int) -> None:
    """Make this step's dropout a function of (seed, step, ranks): nothing to save, so nothing to restore."""
    from megatron.core import parallel_state, tensor_parallel

    place = (parallel_state.get_data_parallel_rank(), parallel_state.get_pipeline_model_parallel_rank())
    digest = hashlib.sha256(repr((seed, step, place)).encode()).digest()
    tensor_parallel.model_parallel_cuda_manual_seed(int.from_bytes(digest[:4], "big"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
