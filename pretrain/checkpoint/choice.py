"""All ranks agree on the checkpoint to load: the newest one that is whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist

from launch.console import say
from launch.errors import NotemillError
from pretrain.checkpoint.checksums import damage_in
from pretrain.checkpoint.folder import set_aside
from pretrain.checkpoint.info import read_info
from pretrain.parallel.distributed import first_problem


def first_undamaged(candidates: Callable[[], list[Path]], run_dir: Path) -> Path | None:
    """The first undamaged one of what the main rank finds, None when it finds none.

    The main rank alone looks, as others may see an older listing of a shared folder; all ranks hash, each a part of the
    files. Damaged checkpoints of the run are named and set aside. Raises NotemillError on every rank when all are
    damaged or the main rank raises it.
    """
    shared: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            shared = [candidates(), None]
        except NotemillError as error:
            shared = [[], str(error)]
    dist.broadcast_object_list(shared, src=0)
    found, problem = shared
    for path in found:
        damage = first_problem(_damage_in_part(path))
        if damage is None:
            return path
        problem = f"{path} is damaged ({damage})"
        if dist.get_rank() == 0:
            is_own = path.parent == run_dir / "checkpoints"
            say(f"{problem} and is left out" + (f"; it is kept as {set_aside(path).name}" if is_own else ""))
        problem = f"{problem} and there is no other to go on from; restore one or choose another run.dir."
    if problem is not None:
        raise NotemillError(problem)
    return None


def _damage_in_part(path: Path) -> str | None:
    try:
        return damage_in(path, read_info(path), dist.get_rank(), dist.get_world_size())
    except NotemillError as error:
        return str(error).rstrip(".")
