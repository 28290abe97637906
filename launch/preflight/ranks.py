"""A look at all nodes of a run, by as many processes as the run has: `torchrun -m launch.preflight.ranks RUN`.

Every node is looked at by `launch.doctor`. Then its processes meet and compare versions, clocks and what they see of
the run's folders, and time a sum over all ranks and the link of every pair. Rank 0 tells it; the exit status is 1 for
all when something would stop the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from data_pipeline.files import write_json
from launch import process
from launch.doctor import Check, Status, run_checks
from launch.jobs.run_folder import read_config
from launch.planner.disk import checkpoint_bytes
from launch.planner.parameters import Shape
from launch.preflight import storage
from launch.preflight.pairs import members_of, rounds, slow_links
from launch.revision import code_revision
from pretrain.config import PretrainConfig

MAX_CLOCK_SKEW_S = 1.0
_TIMEOUT = datetime.timedelta(seconds=120)
_VISIBLE_WITHIN_S = 30.0
"""Shared file systems remember for some seconds that a file was not there."""
_REPEATS = 3


@dataclass(frozen=True)
class Facts:
    """What a rank finds on its own."""

    host: str
    problems: list[Check]
    versions: dict[str, str | None]
    device: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m launch.preflight.ranks", description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="run folder; without it only the nodes are looked at")
    parser.add_argument("--folder", type=Path, default=Path(), help="where output would go, without a run")
    parser.add_argument("--json", type=Path, help="also write the checks here")
    options = parser.parse_args()
    process.prepare_process()
    config = read_config(options.run) if options.run else None
    folder = options.run or options.folder
    device = _device(config)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        checks = look(folder, config, device)
    finally:
        dist.destroy_process_group()
    if int(os.environ["RANK"]) == 0:
        for check in checks:
            print(f"{check.status:8} {check.name}: {check.detail}" + (f" → {check.remedy}" if check.remedy else ""))
        if options.json:
            write_json(options.json, [asdict(check) for check in checks])
    sys.exit(any(check.status == "problem" for check in checks))


def look(folder: Path, config: PretrainConfig | None, device: torch.device) -> list[Check]:
    """All checks, the same list on every rank, which all call it."""
    local = _facts(folder, device)
    everyone = [Facts(**json.loads(text) | {"problems": _checks(text)}) for text in _gather(json.dumps(asdict(local)))]
    hosts = [facts.host for facts in everyone]
    checks = [
        *_of_nodes(everyone),
        *_differences(everyone),
        _clocks(hosts),
        *_visibility(folder, config, hosts),
        *_collectives(hosts, device),
    ]
    # Only rank 0 writes, and all are to know what it found.
    own = list(_storage(folder, config)) if dist.get_rank() == 0 else []
    return [*_checks_of_rank_0(own), *checks]


# ---- one node --------------------------------------------------------------------------------------------------------


def _facts(folder: Path, device: torch.device) -> Facts:
    # Once a host is enough, and it is slow.
    is_first = int(os.environ.get("LOCAL_RANK", "0")) == 0
    problems = [check for check in run_checks(folder) if check.status != "ok"] if is_first else []
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    versions = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "code": code_revision(),
    }
    return Facts(
        os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        problems,
        versions,
        name,
    )


def _of_nodes(everyone: list[Facts]) -> Iterator[Check]:
    """What the doctor found on some node, with the nodes, each thing once."""
    found: dict[Check, list[str]] = {}
    for facts in everyone:
        for check in facts.problems:
            found.setdefault(check, []).append(facts.host)
    for check, hosts in found.items():
        yield Check(check.name, check.status, f"{check.detail} (on {_some(hosts)})", check.remedy)
    names = sorted({facts.host for facts in everyone})
    yield Check("nodes", "ok", f"{len(everyone)} processes on {_some(names)}")


def _differences(everyone: list[Facts]) -> Iterator[Check]:
    """Versions and GPUs that are not the same everywhere."""
    kinds: dict[str, Callable[[Facts], Any]] = {
        **{name: (lambda facts, name=name: facts.versions[name]) for name in everyone[0].versions},  # type: ignore[misc]
        "GPU": lambda facts: facts.device,
    }
    for name, value_of in kinds.items():
        by_value: dict[Any, list[str]] = {}
        for facts in everyone:
            by_value.setdefault(value_of(facts), []).append(facts.host)
        if len(by_value) > 1:
            told = "; ".join(f"{value} on {_some(hosts)}" for value, hosts in by_value.items())
            status: Status = "warning" if name == "GPU" else "problem"
            yield Check(f"same {name}", status, told, f"Give all nodes the same {name}.")
    yield Check("versions", "ok", ", ".join(f"{name} {value}" for name, value in everyone[0].versions.items() if value))


# ---- between nodes ---------------------------------------------------------------------------------------------------


def _clocks(hosts: list[str]) -> Check:
    """Clocks are read when a barrier opens, which it does everywhere within milliseconds."""
    best: list[float] = []
    for _ in range(_REPEATS):
        dist.barrier()
        times = [float(text) for text in _gather(repr(time.time()))]
        offsets = [seconds - times[0] for seconds in times]
        if not best or max(offsets) - min(offsets) < max(best) - min(best):
            best = offsets
    worst = max(range(len(best)), key=lambda rank: abs(best[rank]))
    detail = f"within {max(best) - min(best):.3f} s"
    if max(best) - min(best) > MAX_CLOCK_SKEW_S:
        return Check(
            "clocks",
            "warning",
            f"{hosts[worst]} is {best[worst]:+.1f} s from {hosts[0]}",
            "Let both follow one time server: logs and file times are out of order.",
        )
    return Check("clocks", "ok", detail)


def _visibility(folder: Path, config: PretrainConfig | None, hosts: list[str]) -> Iterator[Check]:
    """Whether all nodes see what rank 0 writes into the folder, and the tokens."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    shared, name = _gather(f"{nearest}")[0], _gather(uuid.uuid4().hex)[0]
    mark, was_written = Path(shared) / f".notemill-seen-{name}", False
    if dist.get_rank() == 0:
        # Where it cannot be written, `check_disk` tells why.
        with contextlib.suppress(OSError):
            mark.touch(0o600)
            was_written = True
    if _gather(str(was_written))[0] == "True":
        seen = _gather(str(_appears(mark)))
        if dist.get_rank() == 0:
            mark.unlink(missing_ok=True)
        blind = sorted({hosts[rank] for rank, text in enumerate(seen) if text == "False"})
        yield _judge_sight("shared folder", Path(shared), blind)
    if config is not None:
        tokens = Path(config.data.path)
        missing = _gather(str((tokens / "manifest.json").is_file()))
        blind = sorted({hosts[rank] for rank, text in enumerate(missing) if text == "False"})
        yield _judge_sight("tokens", tokens, blind)


def _judge_sight(name: str, folder: Path, blind: list[str]) -> Check:
    if blind:
        remedy = "Use a file system that all nodes mount; in a container, mount it (software.mounts)."
        return Check(name, "problem", f"{folder} is not seen by {_some(blind)}", remedy)
    return Check(name, "ok", f"all nodes see {folder}")


def _appears(path: Path) -> bool:
    until = time.monotonic() + _VISIBLE_WITHIN_S
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _collectives(hosts: list[str], device: torch.device) -> Iterator[Check]:
    """A sum over all ranks, and the link of every pair."""
    world, backend = dist.get_world_size(), dist.get_backend()
    if world == 1:
        return
    numbers = torch.ones((64 if device.type == "cuda" else 4) * 2**20 // 4, device=device)
    seconds = _timed(lambda: dist.all_reduce(numbers.fill_(1.0)), device)
    if float(numbers[0]) != world:
        yield Check(
            f"{backend} sum", "problem", f"{world} ones make {float(numbers[0])}", "Set NCCL_DEBUG=INFO and look."
        )
        return
    # What each link has to carry in a ring.
    speed = 2 * (world - 1) / world * numbers.nbytes / seconds
    yield Check(f"{backend} sum", "ok", f"{numbers.nbytes / 2**20:.0f} MiB over {world} ranks: {_told(speed)}")
    links = _links(members_of(hosts), numbers[: 16 * 2**20 // 4 if device.type == "cuda" else 2**18], device)
    pair = min(links, key=lambda pair: links[pair])
    name = " and ".join(f"rank {rank} on {hosts[rank]}" for rank in pair)
    detail = f"slowest of {len(links)} pairs: {name}, {_told(links[pair])}"
    slow = slow_links(links, hosts)
    if slow:
        told = "; ".join(
            f"{hosts[a]} (rank {a}) and {hosts[b]} (rank {b}): {_told(rate)}" for (a, b), rate in slow.items()
        )
        remedy = "Look at the cards and cables of these hosts, or leave them out (slurm.sbatch: {exclude: HOST})."
        yield Check("links", "warning", f"{detail}; far below the others: {told}", remedy)
    else:
        yield Check("links", "ok", detail)


def _links(members: list[int], numbers: torch.Tensor, device: torch.device) -> dict[tuple[int, int], float]:
    """Bytes a second between the two of each pair, there and back."""
    rank, own = dist.get_rank(), {}
    for pairs in rounds(members):
        for a, b in pairs:
            if rank in (a, b):
                seconds = _timed(lambda a=a, b=b: _there_and_back(numbers, a, b), device)  # type: ignore[misc]
                own[(a, b)] = 2 * numbers.nbytes / seconds
        dist.barrier()
    told = [json.loads(text) for text in _gather(json.dumps([[a, b, speed] for (a, b), speed in own.items()]))]
    return {(a, b): speed for of_rank in told for a, b, speed in of_rank}


def _there_and_back(numbers: torch.Tensor, a: int, b: int) -> None:
    if dist.get_rank() == a:
        dist.send(numbers, b)
        dist.recv(numbers, b)
    else:
        dist.recv(numbers, a)
        dist.send(numbers, a)


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    """The best of some tries; the first also sets up connections and does not count."""
    tries = []
    for _ in range(1 + _REPEATS):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        tries.append(time.perf_counter() - begin)
    return min(tries[1:])


# ---- the run's disk --------------------------------------------------------------------------------------------------


def _storage(folder: Path, config: PretrainConfig | None) -> Iterator[Check]:
    if config is None:
        return
    from pretrain.data.index import read_tokens_manifest

    if not (Path(config.data.path) / "manifest.json").is_file():
        return
    shape = Shape.of(config, read_tokens_manifest(Path(config.data.path)).vocab_size)
    yield storage.check_room(folder, config, shape)
    yield storage.check_speed(folder, checkpoint_bytes(config, shape))


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _device(config: PretrainConfig | None) -> torch.device:
    if torch.cuda.is_available() and (config is None or config.train.device != "cpu"):
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def _gather(text: str) -> list[str]:
    """Every rank's text, by rank."""
    found: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(found, text)
    return found


def _checks(text: str) -> list[Check]:
    return [Check(**check) for check in json.loads(text)["problems"]]


def _checks_of_rank_0(own: list[Check]) -> list[Check]:
    return [Check(**check) for check in json.loads(_gather(json.dumps([asdict(check) for check in own]))[0])]


def _some(hosts: list[str], most: int = 5) -> str:
    names = sorted(set(hosts))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _told(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.2f} GB/s"


if __name__ == "__main__":
    main()
