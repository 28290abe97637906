"""Start and end of the process groups: NCCL with CUDA, gloo without; one process needs no launcher."""

import datetime
import hashlib
import os
import socket
import time
import uuid
from dataclasses import dataclass

import torch
import torch.distributed as dist

from launch.errors import NotemillError
from pretrain.config import PretrainConfig
from pretrain.memory import keep_freed_memory
from pretrain.parallel.layout import layout_problems

_LEAST_TIMEOUT_S = 600.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Ranks:
    """Where this process stands."""

    world_rank: int
    world_size: int
    data_rank: int
    data_size: int
    stage: int
    """Of the pipeline."""
    device: torch.device
    store: dist.Store
    """Where the ranks met; for a thread, `clone` makes a connection of its own."""

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


def overlaps(config: PretrainConfig) -> bool:
    """Whether gradients are reduced during the backward and weights gathered during the forward pass."""
    if config.parallel.overlap is not None:
        return config.parallel.overlap
    return torch.cuda.is_available()


def start(config: PretrainConfig, vocab_size: int) -> Ranks:
    """Join the process group and split it into tensor, pipeline and data ranks.

    Raises NotemillError when model, vocabulary, batch, layout and world size do not fit together, with all reasons, and
    when Transformer Engine is asked for and cannot run here.
    """
    device = choose_device(config)
    if config.train.deterministic:
        # cuBLAS reads it when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    problems = layout_problems(config, world_size=world_size, vocab_size=vocab_size)
    if problems:
        raise NotemillError("the layout does not fit: " + "; ".join(problems) + ".")
    if config.model.layers == "transformer_engine":
        from pretrain.model.transformer_engine import require_transformer_engine

        require_transformer_engine(config.train.precision, device)
    if world_size == 1 and "MASTER_ADDR" not in os.environ:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(_free_port()), RANK="0", WORLD_SIZE="1")
        # DeepSpeed asks for it.
        os.environ.setdefault("LOCAL_RANK", "0")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    # Beyond the watchdog's patience: it names the rank that hangs, which a collective that gives up does not.
    timeout = datetime.timedelta(seconds=max(_LEAST_TIMEOUT_S, 2 * config.train.hang_timeout_s))
    store, rank, world_size = next(dist.rendezvous("env://", timeout=timeout))
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = _of_this_life(store, rank, world_size)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=world_size, timeout=timeout
    )

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
        stage=parallel_state.get_pipeline_model_parallel_rank(),
        device=device,
        store=store,
    )


def stop() -> None:
    """Leave the process groups."""
    from megatron.core import parallel_state

    parallel_state.destroy_model_parallel()
    if dist.is_initialized():
        dist.destroy_process_group()


def host_name() -> str:
    """What SLURM calls this node, by which a job can leave it out; else the machine's own name."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def first_problem(problem: str | None) -> str | None:
    """The problem of the lowest rank that has one, told to all ranks; None when none has. All ranks call it."""
    found: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(found, problem)
    return next((told for told in found if told is not None), None)


def seed_dropout(seed: int, step: int) -> None:
    """Make this step's dropout a function of (seed, step, ranks): nothing to save, so nothing to restore."""
    from megatron.core import parallel_state, tensor_parallel

    place = (parallel_state.get_data_parallel_rank(), parallel_state.get_pipeline_model_parallel_rank())
    digest = hashlib.sha256(repr((seed, step, place)).encode()).digest()
    tensor_parallel.model_parallel_cuda_manual_seed(int.from_bytes(digest[:4], "big"))


def _of_this_life(store: dist.Store, rank: int, world_size: int) -> dist.Store:
    """The part of torchrun's store that belongs to this start of the ranks.

    torchrun keeps its store when it starts ranks again, and they would find the addresses of dead ones in it
    (https://github.com/pytorch/pytorch/issues/135712). Its counts of restarts differ between nodes, so rank 0 numbers
    the lives and tells each rank that asks in this one.
    """
    store = dist.PrefixStore("notemill", store)
    if rank:
        asked = uuid.uuid4().hex
        store.set(f"asked/{rank}", asked)
        life = int(store.get(f"answer/{asked}"))
        store.add(f"joined/{life}", 1)
    else:
        life = store.add("lives", 1)
        while store.add(f"joined/{life}", 0) < world_size - 1:
            # What a dead rank asked is answered as well, until the living one asks.
            for other in range(1, world_size):
                if store.check([f"asked/{other}"]):
                    store.set(f"answer/{store.get(f'asked/{other}').decode()}", str(life))
            time.sleep(_POLL_S)
    return dist.PrefixStore(f"life-{life}", store)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
