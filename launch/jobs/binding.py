"""Which cores a rank runs on: an equal share of those that its node gives the job, next to its GPU where it has one.

Without, the system moves ranks between cores and sockets, and their memory is on the wrong one.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "NOTEMILL_BIND"
"""Set to 1 by the launcher."""


def bind_rank(environment: Mapping[str, str] = os.environ) -> None:
    """Bind this process, before it starts threads, as torchrun's variables say; nothing where nobody asked for it."""
    if environment.get(VARIABLE) != "1" or not hasattr(os, "sched_setaffinity"):
        return
    rank, size = int(environment.get("LOCAL_RANK", "0")), int(environment.get("LOCAL_WORLD_SIZE", "1"))
    # A container may forbid it.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(
            0, share_of(rank, sorted(os.sched_getaffinity(0)), _nodes_of_gpus(rank, size), _cores_of_nodes())
        )


def share_of(
    rank: int, cores: Sequence[int], nodes: Sequence[int | None], cores_of_nodes: Mapping[int, set[int]]
) -> set[int]:
    """The cores of one local rank out of `cores`, those of the job.

    `nodes` holds for each local rank the NUMA node of its GPU, None where that is unknown. Ranks of a node share its
    cores; with more ranks than cores all have all.
    """
    node = nodes[rank]
    near = [core for core in cores if core in cores_of_nodes.get(node, ())] if node is not None else []
    ranks = [other for other, its_node in enumerate(nodes) if its_node == node] if near else list(range(len(nodes)))
    near = near or list(cores)
    if len(ranks) > len(near):
        return set(near)
    place = ranks.index(rank)
    return set(near[place * len(near) // len(ranks) : (place + 1) * len(near) // len(ranks)])


def _nodes_of_gpus(rank: int, num_ranks: int) -> list[int | None]:
    import torch

    if torch.cuda.device_count() < num_ranks:
        return [None] * num_ranks
    # Or asking would begin to use the first GPU.
    torch.cuda.set_device(rank)
    return [_node_of_gpu(torch.cuda.get_device_properties(index)) for index in range(num_ranks)]


def _node_of_gpu(properties: object) -> int | None:
    try:
        place = [getattr(properties, f"pci_{part}_id") for part in ("domain", "bus", "device")]
        address = "{:04x}:{:02x}:{:02x}.0".format(*place)
        node = int(Path(f"/sys/bus/pci/devices/{address}/numa_node").read_text(encoding="ascii"))
    except (AttributeError, OSError, ValueError):
        return None
    return node if node >= 0 else None


def _cores_of_nodes() -> dict[int, set[int]]:
    found = {}
    for folder in Path("/sys/devices/system/node").glob("node[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            found[int(folder.name.removeprefix("node"))] = cores_in((folder / "cpulist").read_text(encoding="ascii"))
    return found


def cores_in(text: str) -> set[int]:
    """The kernel's form of a set of cores, as in 0-3,8."""
    bounds = [part.split("-") for part in text.strip().split(",") if part]
    return {core for part in bounds for core in range(int(part[0]), int(part[-1]) + 1)}
