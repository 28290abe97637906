"""One node's task of a run: torchrun with a process a GPU, and signals passed on to it once.

    python -m launch.jobs.node train --run RUN --nodes 2 --processes 8 --endpoint 10.0.0.7:23456

SLURM may send one signal several ways (to the step, and through srun), and torchrun abandons its processes amid a save
when signals reach it faster than it ends. So torchrun stands in a session of its own, where no signal to this task's
group finds it, and gets the first one from here; SIGTERM, SIGUSR2 and Ctrl-C let all ranks save and leave.

Exit status: 0 the run is finished, 75 (EX_TEMPFAIL) it was asked to stop, anything else a failure.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Literal

import psutil

from launch.jobs import binding
from launch.jobs.run_folder import CONFIG, is_finished, read_config

STOPPED = os.EX_TEMPFAIL
_SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)


class Node:
    """torchrun on this node."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._torchrun: subprocess.Popen[bytes] | None = None
        self.was_asked = False

    def run(self) -> int:
        """Start torchrun and wait for its end; its exit status."""
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        self._torchrun = subprocess.Popen(self._command, env=environment(self._command), start_new_session=True)
        if self.was_asked:
            # Asked between the two lines above.
            self._torchrun.terminate()
        return self._torchrun.wait()

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if self._torchrun is not None and not self.was_asked:
            self._torchrun.send_signal(number)
        elif self._torchrun is not None and number == signal.SIGINT:
            # A second Ctrl-C is no mistake.
            for process in psutil.Process(self._torchrun.pid).children(recursive=True):
                process.kill()
        self.was_asked = True


def torchrun(*, nodes: int, node: int, processes: int, endpoint: str, patience_s: int) -> list[str]:
    """The command up to the module; `patience_s` is how long a save after a signal may take."""
    address, _, port = endpoint.rpartition(":")
    place = (
        ["--standalone"]
        if nodes == 1
        else [f"--nnodes={nodes}", f"--node-rank={node}", f"--master-addr={address}", f"--master-port={port}"]
    )
    return [
        *(sys.executable, "-m", "torch.distributed.run", *place, f"--nproc-per-node={processes}", "--max-restarts=0"),
        *(f"--shutdown-timeout={patience_s}", "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR2", "-m"),
    ]


def environment(command: list[str]) -> dict[str, str]:
    """The task's, with a thread a core over all processes, each bound to its own, where the user set nothing else."""
    processes = next(int(word.partition("=")[2]) for word in command if word.startswith("--nproc-per-node="))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = {"OMP_NUM_THREADS": str(max(1, cores // processes)), binding.VARIABLE: "1"}
    return chosen | dict(os.environ)


def run_node(
    action: Literal["train", "check"],
    run_dir: Path,
    *,
    nodes: int,
    processes: int,
    node: int = 0,
    endpoint: str = "127.0.0.1:0",
    patience_s: int = 600,
) -> int:
    """This node's part of the run in `run_dir`, to its end, or of the look at all nodes; the exit status of the task.

    `patience_s` is how long a save after a signal may take.
    """
    command = torchrun(nodes=nodes, node=node, processes=processes, endpoint=endpoint, patience_s=patience_s)
    if action == "check":
        return _status(Node([*command, "launch.preflight.ranks", "--run", str(run_dir)]).run())
    task = Node([*command, "pretrain.train", "--config", str(run_dir / CONFIG)])
    status = task.run()
    if is_finished(run_dir, read_config(run_dir)):
        return 0
    return STOPPED if task.was_asked or status == 0 else _status(status)


def _status(returned: int) -> int:
    """As a shell tells it."""
    return returned if returned >= 0 else 128 - returned


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m launch.jobs.node", description="One node's task of a run.")
    parser.add_argument("action", choices=["train", "check"], help="train the run, or look whether the nodes can")
    parser.add_argument("--run", type=Path, required=True, help="run folder, whose config.yaml is trained")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--processes", type=int, required=True, help="processes on this node")
    parser.add_argument("--endpoint", default="127.0.0.1:0", help="HOST:PORT of the first node")
    parser.add_argument("--patience", type=int, default=600, help="seconds that a save after a signal may take")
    options = parser.parse_args()
    status = run_node(
        options.action,
        options.run,
        nodes=options.nodes,
        processes=options.processes,
        # srun tells each task.
        node=int(os.environ.get("SLURM_NODEID", "0")),
        endpoint=options.endpoint,
        patience_s=options.patience,
    )
    sys.exit(status)


if __name__ == "__main__":
    main()
