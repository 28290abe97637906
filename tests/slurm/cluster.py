"""A real SLURM of two nodes on this machine, for tests: its daemons are started here and ended with the test."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

_PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "sinfo")
_MUNGE_KEY = Path("/etc/munge/munge.key")
_START_S = 60.0
# Below the ports that systems give to whoever asks for any, which other tests do while a cluster starts.
_PORTS = range(20_000, 32_000)


def why_not() -> str | None:
    """Why no cluster can be started here; None where one can."""
    missing = [name for name in _PROGRAMS if _program(name) is None]
    if missing:
        return f"needs SLURM ({missing[0]} is not there); apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "needs root to start SLURM's daemons"


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Two nodes of one core each in the partition `debug`, whose jobs are preempted and queued again by those of the
    partition `urgent`; gives the environment that SLURM's commands need."""
    _start_munge()
    try:
        environment = _start(folder / "first")
    except RuntimeError:
        # Whoever took a port, or was slow, in the first minute is asked once more, elsewhere.
        environment = _start(folder / "second")
    try:
        yield environment
    finally:
        _end_jobs(environment)
        _end_daemons(Path(environment["SLURM_CONF"]).parent)


def _start(folder: Path) -> dict[str, str]:
    (folder / "state").mkdir(parents=True)
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder, _free_ports(3)))
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    try:
        subprocess.run([_program("slurmctld")], env=environment, check=True)
        for node in ("n1", "n2"):
            subprocess.run([_program("slurmd"), "-N", node], env=environment, check=True)
        _wait_for_nodes(environment, folder)
    except BaseException:
        _end_daemons(folder)
        raise
    return environment


def _end_daemons(folder: Path) -> None:
    for file in (*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), 15)


class Cluster:
    """What tests ask of a running cluster."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._folder = Path(environment["SLURM_CONF"]).parent

    def run(self, *command: str) -> str:
        """A command of SLURM's; what it printed."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout.strip()

    def state(self, job: str) -> str:
        """The state of a job, also a while after its end."""
        return self.run("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}")

    def wait_for(self, has_come: Callable[[], object], patience_s: float = 240.0) -> None:
        """Wait until `has_come`; AssertionError when it does not."""
        until = time.monotonic() + patience_s
        while not has_come():
            assert time.monotonic() < until, self.run("squeue", "--states=all")
            time.sleep(0.3)

    def kill_node(self, node: str) -> None:
        """Kill the node's daemon and all that runs on it, as a power cut would."""
        os.kill(int((self._folder / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
        # Another cluster of tests may run beside this one, with nodes of the same names.
        here = (node, self.environment["SLURM_CONF"])
        tasks = [process for process in psutil.process_iter() if _place_of(process) == here]
        for process in (*(psutil.Process(task.ppid()) for task in tasks), *tasks):
            if process in tasks or process.name() == "slurmstepd":
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def start_node(self, node: str) -> None:
        """Start the node's daemon again."""
        subprocess.run([str(_program("slurmd")), "-N", node], env=self.environment, check=True)


def _place_of(process: psutil.Process) -> tuple[str | None, str | None]:
    """Node and configuration of the cluster that a process was started by."""
    try:
        environment = process.environ()
    except psutil.Error:
        return None, None
    return environment.get("SLURMD_NODENAME"), environment.get("SLURM_CONF")


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _end_jobs(environment: dict[str, str]) -> None:
    """Jobs of a test that failed would go on without the daemons."""
    subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, check=False)
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        found = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True, check=False)
        if not found.stdout.strip():
            return
        time.sleep(0.3)


def _start_munge() -> None:
    """Start munged unless it answers; only one of the processes that run tests does so."""
    with (Path(tempfile.gettempdir()) / "munge-of-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _munge_answers():
            return
        if not _MUNGE_KEY.exists() or not _MUNGE_KEY.stat().st_size:
            _MUNGE_KEY.touch(0o600)
            _MUNGE_KEY.write_bytes(secrets.token_bytes(1024))
            shutil.chown(_MUNGE_KEY, "munge", "munge")
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", str(_program("munged"))], check=True)
        until = time.monotonic() + _START_S
        while not _munge_answers():
            if time.monotonic() > until:
                raise RuntimeError("munged did not come up")
            time.sleep(0.1)


def _munge_answers() -> bool:
    return subprocess.run(["munge", "--no-input"], capture_output=True, check=False).returncode == 0


def _free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody uses now. Drawn by the system: tests seed `random`, and two
    clusters that begin at once in two processes would draw the same."""
    while True:
        first = _PORTS.start + secrets.randbelow(len(_PORTS) - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for port in range(first, first + count):
                sockets.enter_context(socket.socket()).bind(("", port))
            return first


def _wait_for_nodes(environment: dict[str, str], folder: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        command = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if found.stdout.strip() == "2":
            return
        time.sleep(0.3)
    logs = (f"{file.name}:\n{file.read_text(errors='replace')[-2000:]}" for file in sorted(folder.glob("*.log")))
    raise RuntimeError("the two SLURM nodes did not come up\n" + "\n".join(logs))


def _configuration(folder: Path, port: int) -> str:
    host = socket.gethostname().partition(".")[0]
    nodes = "\n".join(
        f"NodeName=n{n} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + n} CPUs=1 RealMemory=4000 State=UNKNOWN"
        for n in (1, 2)
    )
    return f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobRequeue=1
MinJobAge=300
SlurmdTimeout=10
SchedulerParameters=sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
