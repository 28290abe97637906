"""What a cluster asks of its jobs: a YAML file that a site writes once, `--site`, for all runs.

slurm:
  account: nlp
  partition: gpu
  time: 2-00:00:00
software:
  modules: [cuda/12.8]
  container: apptainer
  image: /images/notemill.sif
  mounts: [/data, /scratch]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from launch.config import load_config

_MAX_SIGNAL_S = 65_535
"""Of sbatch --signal."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME = re.compile(r"(\d+-\d{1,2}(:\d{1,2}){0,2}|\d+(:\d{1,2}){0,2})")


@dataclass
class SlurmConfig:
    account: str = ""
    """Account that pays."""
    partition: str = ""
    """Partition; the cluster's default when not given."""
    qos: str = ""
    """Quality of service."""
    constraint: str = ""
    """Features that nodes must have, such as a100&ib."""
    time: str = "24:00:00"
    """Limit of one job; a run that needs longer goes on in the same job, requeued."""
    save_before_limit_s: int = 600
    """Seconds before the limit at which the run saves and leaves; longer than a step, a validation and a save."""
    exclusive: bool = False
    """Take whole nodes."""
    cpus_per_node: int | None = None
    """Cores of a node for the job; SLURM's default when not given, which may be one."""
    memory: str = ""
    """Memory of a node for the job, such as 200G; 0 takes all."""
    max_failures: int = 3
    """Failed starts in a row without a new checkpoint after which the job gives up."""
    preflight: bool = True
    """Look at all nodes before each start: collectives, clocks, folders, disk (as `notemill doctor --processes`)."""
    sbatch: dict[str, str] = field(default_factory=dict)
    """More options of sbatch, such as {reservation: spring, gres: "gpu:8"}."""


@dataclass
class SoftwareConfig:
    modules: list[str] = field(default_factory=list)
    """Modules to load before anything else."""
    setup: str = ""
    """Shell lines after that."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment of the job, such as {NCCL_SOCKET_IFNAME: ib0}."""
    container: Literal["none", "apptainer", "pyxis"] = "none"
    """Run in an image by `apptainer exec`, or by Pyxis (Enroot) as options of srun; none uses this interpreter."""
    image: str = ""
    """The image: a .sif file for Apptainer, a .sqsh file or a registry's address for Pyxis."""
    mounts: list[str] = field(default_factory=list)
    """Folders of the node that the container sees, as PATH or PATH:PATH; data and runs must be among them."""


@dataclass
class SiteConfig:
    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    software: SoftwareConfig = field(default_factory=SoftwareConfig)

    def validate(self) -> list[str]:
        """What no cluster would take."""
        slurm, software = self.slurm, self.software
        problems = []
        if not _TIME.fullmatch(slurm.time):
            problems.append(f"slurm.time '{slurm.time}' is no time such as 24:00:00 or 2-00:00:00")
        if not 1 <= slurm.save_before_limit_s <= _MAX_SIGNAL_S:
            problems.append(f"slurm.save_before_limit_s is {slurm.save_before_limit_s} and not in 1 to {_MAX_SIGNAL_S}")
        elif _TIME.fullmatch(slurm.time) and seconds_of(slurm.time) <= slurm.save_before_limit_s:
            problems.append(
                f"slurm.time {slurm.time} is no longer than slurm.save_before_limit_s {slurm.save_before_limit_s}, so "
                "the run would save before it begins"
            )
        if slurm.max_failures < 1:
            problems.append(f"slurm.max_failures is {slurm.max_failures} and must be at least 1")
        if slurm.cpus_per_node is not None and slurm.cpus_per_node < 1:
            problems.append(f"slurm.cpus_per_node is {slurm.cpus_per_node} and must be at least 1")
        if software.container != "none" and not software.image:
            problems.append(f"software.container={software.container} needs software.image")
        if software.container == "none" and (software.image or software.mounts):
            problems.append("software.image and software.mounts need software.container=apptainer or pyxis")
        problems += [f"software.variables: '{name}' is no name" for name in software.variables if not _is_name(name)]
        # A line of its own in the script would be a command.
        lines = [slurm.account, slurm.partition, slurm.qos, slurm.constraint, slurm.memory, software.image]
        lines += [*software.modules, *software.mounts, *slurm.sbatch, *slurm.sbatch.values()]
        problems += [f"{text.splitlines()[0]!r} is followed by another line" for text in lines if "\n" in text]
        return problems


def load_site(file: Path | None, overrides: Sequence[str] = ()) -> SiteConfig:
    """A site from its YAML file and `section.key=value` settings over it. Raises NotemillError."""
    return load_config(SiteConfig, file, overrides)


def split_settings(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of the run and, where they begin with `slurm.` or `software.`, of the site."""
    of_site = [setting for setting in settings if setting.startswith(("slurm.", "software."))]
    return [setting for setting in settings if setting not in of_site], of_site


def seconds_of(time: str) -> int:
    """SLURM's forms of a time: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) < 3:
        hours, minutes, seconds = 0, *[*parts, 0][:2]
    else:
        hours, minutes, seconds = parts
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None
