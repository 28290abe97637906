"""The batch scripts as text: short, ShellCheck clean, and to be read without this program.

    train      one srun task a node, torchrun inside; saves before the limit and queues itself again
    stage      one command on one node, for the other stages of a pipeline

Before the limit SLURM signals the batch shell alone (`--signal=B:`), because whoever queues the job again must know
that this is why the run stopped; the shell passes the signal to srun, and srun to the task of each node. SIGTERM, which
SLURM sends when it preempts and when it cancels, goes to the tasks as well, and SLURM knows which of the two it is.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.jobs.run_folder import FOLDER
from launch.jobs.site import SiteConfig
from launch.revision import CHECKOUT

_OPTIONS = ("account", "partition", "qos", "constraint")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PORTS_FROM, _PORTS = 15_000, 15_000
"""Below what Linux hands out by itself."""

_TRAIN = """\
run={run}
python=({python})
task=({srun})
read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=$(scontrol show node "$first" | grep -o 'NodeAddr=[^ ]*' | cut -d = -f 2)
echo "$(date +%FT%T) job $SLURM_JOB_ID, start $((${{SLURM_RESTART_COUNT:-0}} + 1)), on $SLURM_JOB_NODELIST"

asked='' step=''
trap 'asked=limit; kill -USR2 $step || true' USR2
trap 'asked=end; kill -TERM $step || true' TERM

port=$(({ports_from} + SLURM_JOB_ID % {ports}))
find_port() {{
    # The first that nobody listens on here, on the first node.
    while (: >"/dev/tcp/$address/$port") 2>/dev/null; do port=$((port + 1)); done
}}
on_all_nodes() {{
    find_port
    "${{task[@]}}" "${{python[@]}}" -m launch.jobs.node "$1" --run "$run" --endpoint "$address:$port" \\
        --nodes {nodes} --processes {processes} --patience {patience} &
    step=$!
    # A signal ends a wait, and not what it waits for.
    while kill -0 "$step" 2>/dev/null; do wait "$step" || true; done
    wait "$step"
}}
leave_if_asked() {{
    if [[ $asked == limit ]]; then exec scontrol requeue "$SLURM_JOB_ID"; fi
    if [[ $asked == end ]]; then exit 143; fi
}}
newest() {{ readlink "$run/checkpoints/latest" || true; }}
{preflight}
failures=0
until ((failures == {max_failures})); do
    before=$(newest)
    if on_all_nodes train; then exit 0; fi
    leave_if_asked
    if [[ $(newest) == "$before" ]]; then failures=$((failures + 1)); else failures=0; fi
    echo "$(date +%FT%T) the run failed; failures without a new checkpoint: $failures of {max_failures}"
done
exit 1
"""

_PREFLIGHT = """
if ! on_all_nodes check; then
    leave_if_asked
    echo "these nodes are not fit for the run, see above"
    exit 1
fi
"""


def train_script(run_dir: Path, site: SiteConfig, *, nodes: int, gpus_per_node: int, processes: int) -> str:
    """The batch script of a run."""
    slurm = site.slurm
    name = "notemill-" + _NO_NAME.sub("-", run_dir.name)
    header = _header(site, name, run_dir / FOLDER, nodes=nodes, gpus=gpus_per_node)
    signal = [f"#SBATCH --signal=B:USR2@{slurm.save_before_limit_s}", "#SBATCH --requeue"]
    about = [
        "# Trains what config.yaml in the run folder says, and goes on from its newest checkpoint at every start.",
        "#   the limit is near          the run saves, and the job queues itself again",
        "#   preempted, or a node lost  SLURM queues it again; a preempted run saves first",
        "#   scancel                    the run saves and ends",
        "#   the run fails              it is started again here, unless that brings no new checkpoint",
    ]
    body = _TRAIN.format(
        run=shlex.quote(str(run_dir)),
        python=_python(site, gpus_per_node),
        srun=_words(["srun", "--kill-on-bad-exit=1", "--cpu-bind=none", *_pyxis(site)]),
        ports_from=_PORTS_FROM,
        ports=_PORTS,
        nodes=nodes,
        processes=processes,
        patience=slurm.save_before_limit_s,
        max_failures=slurm.max_failures,
        preflight=_PREFLIGHT if slurm.preflight else "",
    )
    return "\n".join([*header, *signal, *about, *_environment(site), body])


def stage_script(name: str, folder: Path, commands: Sequence[Sequence[str]], site: SiteConfig, *, gpus: int = 0) -> str:
    """The batch script of a stage that one node does: notemill's commands one after another, each without the word
    `notemill`. A job that is queued again does them again, and they skip what is done."""
    header = _header(site, f"notemill-{name}", folder, nodes=1, gpus=gpus)
    start = ["srun", "--cpu-bind=none", *_pyxis(site)] if site.software.container == "pyxis" else []
    python = " ".join(part for part in (_words(start), _python(site, gpus)) if part)
    lines = [f"{python} -m launch.main {shlex.join(command)}" for command in commands]
    return "\n".join([*header, "#SBATCH --requeue", *_environment(site), *lines, ""])


def _header(site: SiteConfig, name: str, folder: Path, *, nodes: int, gpus: int) -> list[str]:
    slurm = site.slurm
    options = {"job-name": name, "nodes": str(nodes), "ntasks-per-node": "1", "time": slurm.time}
    options |= {key: getattr(slurm, key) for key in _OPTIONS if getattr(slurm, key)}
    if gpus:
        options["gpus-per-node"] = str(gpus)
    if slurm.cpus_per_node:
        options["cpus-per-task"] = str(slurm.cpus_per_node)
    if slurm.memory:
        options["mem"] = slurm.memory
    options |= {"output": _log(folder), "open-mode": "append", **slurm.sbatch}
    flags = ["#SBATCH --exclusive"] if slurm.exclusive else []
    return ["#!/usr/bin/env bash", *(f"#SBATCH --{key}={_quoted(value)}" for key, value in options.items()), *flags]


def environment_lines(site: SiteConfig) -> list[str]:
    """Shell lines that load the site's software."""
    software = site.software
    lines = []
    if software.modules:
        # Lmod's functions read variables that are not set.
        lines += ["set +u", f"module load {shlex.join(software.modules)}", "set -u"]
    lines += [software.setup.rstrip("\n")] if software.setup else []
    lines += [f"export {name}={shlex.quote(value)}" for name, value in software.variables.items()]
    return lines


def _environment(site: SiteConfig) -> list[str]:
    lines = ["set -euo pipefail", "umask 077", *environment_lines(site)]
    if site.software.container == "none":
        lines.append(f"export PYTHONPATH={shlex.quote(str(CHECKOUT))}${{PYTHONPATH:+:$PYTHONPATH}}")
    return lines


def _python(site: SiteConfig, gpus: int) -> str:
    """The interpreter as words of a shell."""
    software = site.software
    if software.container == "none":
        return shlex.quote(sys.executable)
    if software.container == "pyxis":
        return "python"
    binds = [f"--bind={mount}" for mount in software.mounts]
    return _words(["apptainer", "exec", *(["--nv"] if gpus else []), *binds, software.image, "python"])


def _pyxis(site: SiteConfig) -> list[str]:
    software = site.software
    if software.container != "pyxis":
        return []
    # Pyxis wants both sides of a mount.
    mounts = ",".join(mount if ":" in mount else f"{mount}:{mount}" for mount in software.mounts)
    return [f"--container-image={software.image}", *([f"--container-mounts={mounts}"] if mounts else [])]


def _words(words: Sequence[str]) -> str:
    """As `shlex.join`; a comma is quoted too, as ShellCheck takes it for one between the elements of an array."""
    return " ".join(f"'{word}'" if "," in word and shlex.quote(word) == word else shlex.quote(word) for word in words)


def _log(folder: Path) -> str:
    """One file a job over all its starts; a percent sign of the folder is no pattern of SLURM's."""
    return str(folder).replace("%", "%%") + "/job-%j.log"


def _quoted(value: str) -> str:
    """As sbatch reads a script's options: in double quotes where anything else than a plain word stands."""
    plain = all(character.isalnum() or character in "-_./:%,+@=&" for character in value)
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
