"""One node's task of a run: torchrun with a process a GPU, and a request to stop passed on to it once.

    python -m launch.jobs.node train --run RUN --nodes 2 --processes 8 --endpoint 10.0.0.7:23456

SLURM sends one signal several ways (to all processes of a step, and through srun), and torchrun abandons its processes
amid a save when it gets a signal while it waits for them to end. So torchrun runs in this process with this module's
handlers in place of its own: the first of SIGTERM, SIGUSR2, SIGHUP and Ctrl-C lets all ranks save and leave, and those
that follow change nothing, but for a second Ctrl-C.

Exit status: 0 the run is finished, 75 (EX_TEMPFAIL) it was asked to stop, 130 a second Ctrl-C cut the save short,
anything else a failure.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Literal

import psutil

from launch.jobs import binding
from launch.jobs.run_folder import CONFIG, is_finished, read_config
from launch.process import ranks_environment

STOPPED = os.EX_TEMPFAIL
CUT_SHORT = 128 + signal.SIGINT
_SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT)


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
    # A thread a core over all processes, each bound to its own, where the user set nothing else.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    os.environ.setdefault(binding.VARIABLE, "1")
    for name, value in ranks_environment().items():
        os.environ.setdefault(name, value)
    arguments = _place(nodes, node, endpoint)
    arguments += [f"--nproc-per-node={processes}", "--max-restarts=0", f"--shutdown-timeout={patience_s}", "-m"]
    if action == "check":
        return _torchrun([*arguments, "launch.preflight.ranks", str(run_dir)])
    status = _torchrun([*arguments, "pretrain.train", "--config", str(run_dir / CONFIG)])
    if status in (0, STOPPED):
        return 0 if is_finished(run_dir, read_config(run_dir)) else STOPPED
    return status


def _place(nodes: int, node: int, endpoint: str) -> list[str]:
    if nodes == 1:
        return ["--standalone"]
    address, _, port = endpoint.rpartition(":")
    return [f"--nnodes={nodes}", f"--node-rank={node}", f"--master-addr={address}", f"--master-port={port}"]


def _torchrun(arguments: list[str]) -> int:
    """Run the processes to their end. The status of the first that failed, STOPPED where a signal ended them."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    was_asked = was_cut_short = False

    def stop_once(number: int, _: FrameType | None) -> None:
        nonlocal was_asked, was_cut_short
        if was_asked:
            if number == signal.SIGINT:
                was_cut_short = True
                for process in psutil.Process().children(recursive=True):
                    process.kill()
            return
        was_asked = True
        # What torchrun's own handlers do.
        raise SignalException(f"got signal {number}", sigval=signal.SIGTERM)

    before = {number: signal.signal(number, stop_once) for number in _SIGNALS}
    try:
        # It would put its own handlers over these.
        run(parse_args(["--signals-to-handle=SIGQUIT", *arguments]))
    except SignalException:
        return CUT_SHORT if was_cut_short else STOPPED
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"notemill launch: rank {rank} ended first, with status {failure.exitcode}.", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


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
