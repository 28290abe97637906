"""Runs a command and says what it and all processes below it took: CPU time, memory, disk."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from launch.errors import NotemillError

_MEMORY_INTERVAL_S = 0.05
_DISK_INTERVAL_S = 1.0


@dataclass
class Use:
    """What a command took. Memory is resident memory; what processes share is counted in each of them."""

    cpu_seconds: float = 0.0
    """Of the process and of all children that it waited for, their start among it."""
    wall_seconds: float = 0.0
    largest_process_mb: float = 0.0
    """Peak of the largest process, as the kernel keeps it."""
    tree_mb: float = 0.0
    """Peak of the sum over all processes, looked at every 50 ms."""
    main_mb: float = 0.0
    """Peak of the process itself."""
    worker_mb: float = 0.0
    """Peak of the largest process below it, 0 where there is none."""
    disk_mb: float = 0.0
    """Peak of the watched folder, looked at every second."""


def run(command: Sequence[str], log: Path, is_watched: bool = False, folder: Path | None = None) -> Use:
    """Run to the end; memory of the tree and disk of `folder` are looked at only when `is_watched`.

    Raises NotemillError with the end of `log` when the command fails.
    """
    use = Use()
    begin = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    next_disk = begin
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG if is_watched else 0)
        if pid:
            break
        _look_at_memory(process.pid, use)
        if folder is not None and time.monotonic() >= next_disk:
            use.disk_mb = max(use.disk_mb, folder_mb(folder))
            next_disk = time.monotonic() + _DISK_INTERVAL_S
        time.sleep(_MEMORY_INTERVAL_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    use.wall_seconds = time.monotonic() - begin
    use.cpu_seconds = usage.ru_utime + usage.ru_stime
    use.largest_process_mb = usage.ru_maxrss * 1024 / 1e6
    if process.returncode:
        end = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise NotemillError(f"{' '.join(command[:5])} … ended with status {process.returncode}: {end[0]}")
    return use


def folder_mb(folder: Path) -> float:
    """Bytes of all files below `folder`, some of which may go while we look."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total / 1e6


def _look_at_memory(pid: int, use: Use) -> None:
    try:
        process = psutil.Process(pid)
        main = process.memory_info().rss / 1e6
        below = [_rss_mb(child) for child in process.children(recursive=True)]
    except psutil.Error:
        return
    use.main_mb = max(use.main_mb, main)
    use.worker_mb = max([use.worker_mb, *below])
    use.tree_mb = max(use.tree_mb, main + sum(below))


def _rss_mb(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 1e6
    except psutil.Error:
        return 0.0
