"""Many real training runs from one process that has imported torch and megatron-core once.

    python -m tests.chaos.forking      reads one JSON object a line, answers each with the exit statuses of its ranks

A run is `pretrain.train.main` in a forked process for each rank, from argument list to exit, on gloo. With `kill_at` it
is killed (SIGKILL) in the middle of saving: at its n-th operation on a path under checkpoints/, as Python's audit hooks
tell them, so that no phase of saving needs to know of this test.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.pretrain.launching import TINY, environment

_OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.chmod", "os.scandir"}


class Forking:
    """The other side of the pipe."""

    def __enter__(self) -> "Forking":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.forking"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def train(
        self,
        tokens: Path,
        run_dir: Path,
        *overrides: str,
        processes: int = 1,
        kill_at: int | None = None,
        largest_file: int | None = None,
        signal_at: tuple[str, int, str] | None = None,
    ) -> list[int]:
        """Train a tiny model and give the ranks' exit statuses, negative for signals; `said` gives what they said.

        `kill_at` is for rank 0; `largest_file` limits what files may hold, in bytes; ("validate", 2, "TERM") sends
        SIGTERM in the second call of the engine's method.
        """
        arguments = [*TINY, f"data.path={tokens}", f"run.dir={run_dir}", *overrides]
        log = run_dir.with_name(f"{run_dir.name}.log")
        log.unlink(missing_ok=True)
        asked = {"arguments": arguments, "log": str(log), "processes": processes}
        asked |= {"kill_at": kill_at, "largest_file": largest_file, "signal_at": signal_at}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the forking process has died"
        return json.loads(answer)


def said(run_dir: Path) -> str:
    """What the last run of `Forking.train` said, all ranks together."""
    return run_dir.with_name(f"{run_dir.name}.log").read_text()


def _kill_self_at(count: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in _OPERATIONS and any("/checkpoints/" in str(argument) for argument in arguments):
            seen += 1
            if seen == count:
                print(f"killed at {event} {arguments[0]}", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _signal_at(method: str, count: int, name: str) -> None:
    from pretrain.engines.megatron.engine import MegatronEngine

    original, calls = getattr(MegatronEngine, method), 0

    def counted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), getattr(signal, f"SIG{name}"))
        return original(*arguments)

    setattr(MegatronEngine, method, counted)


def _run_rank(asked: dict, rank: int, port: int) -> None:
    with Path(asked["log"]).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if asked["processes"] > 1:
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": asked["processes"], "MASTER_PORT": port}
        os.environ.update({key: str(value) for key, value in world.items()} | {"MASTER_ADDR": "127.0.0.1"})
    if asked["kill_at"] and rank == 0:
        _kill_self_at(asked["kill_at"])
    if asked["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["largest_file"], resource.RLIM_INFINITY))
    if asked["signal_at"]:
        _signal_at(*asked["signal_at"])
    from pretrain.train import main

    main(asked["arguments"])


def _serve() -> None:
    from launch.process import prepare_process
    from pretrain import megatron_on_cpu

    prepare_process()
    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    import torch.utils.tensorboard  # noqa: F401
    from megatron.core.dist_checkpointing.strategies import torch as _  # noqa: F401

    import pretrain.loop  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        children = []
        for rank in range(asked["processes"]):
            child = os.fork()
            if child == 0:
                _run_rank(asked, rank, port)
                sys.exit(0)
            children.append(child)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        answers.write(json.dumps(statuses) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
