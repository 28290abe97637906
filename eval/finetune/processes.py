"""The processes that torchrun started for one fine-tuning; one process needs no launcher.

Each works on its share of every update's windows and of every prediction's batches. gloo on a CPU, NCCL on CUDA.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from launch.errors import NotemillError

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Processes:
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> None:
        """Replace `tensor` by its sum over the processes."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def gather(self, value: ValueT) -> list[ValueT]:
        """What each process gave, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Processes()


def started_processes() -> Processes:
    """What torchrun says of this process."""
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextlib.contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes of this run, joined for as long as the context lasts; `device` is `cpu`, `cuda` or `cuda:N`.

    Raises NotemillError where several processes would share the GPU that `cuda:N` names.
    """
    processes = started_processes()
    is_cuda = device.startswith("cuda")
    is_named = torch.device(device).index is not None
    if processes.size == 1:
        if is_cuda and is_named:
            # What is said of the current device, such as bf16, is then said of this one.
            torch.cuda.set_device(device)
        yield processes
        return
    if is_cuda and is_named:
        raise NotemillError(
            f"device={device} names one GPU for {processes.size} processes and each takes its own; use device=cuda."
        )
    if is_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if is_cuda else "gloo")
    try:
        yield processes
    finally:
        dist.destroy_process_group()
