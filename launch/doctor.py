"""What a machine has, and what on it would make a stage fail later: the checks behind `notemill doctor`.

Each check looks and changes nothing. A *problem* stops some stage for certain; a *warning* may slow or surprise.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from launch.errors import NotemillError
from launch.revision import CHECKOUT

Status = Literal["ok", "warning", "problem"]

PACKAGES = ("data_pipeline", "tokenizer", "pretrain", "launch", "eval")
"""The top-level names of this project: common words, so that another installed package may take one."""
LITTLE_DISK_BYTES, TOO_LITTLE_DISK_BYTES = 20 * 2**30, 2**30
_COUPLED = (
    "torch",
    "megatron-core",
    "deepspeed",
    "transformers",
    "tokenizers",
    "datasets",
    "datatrove",
    "numpy",
    "pyarrow",
)
"""Packages whose versions depend on one another: their own requirements are compared with what is installed."""
_TRANSFORMER_ENGINE = Requirement("transformer-engine>=2.9,<2.12")
"""What megatron-core 0.16 names among its own development requirements."""


@dataclass(frozen=True)
class Check:
    name: str
    status: Status
    detail: str
    remedy: str = ""
    """What to do; empty when nothing is to be done."""


def run_checks(folder: Path) -> list[Check]:
    """All checks; `folder` is where output would go, for the disk."""
    installed = installed_versions()
    return [
        check_python(installed),
        *check_versions(installed),
        check_transformer_engine(installed),
        *check_shadowing(CHECKOUT, sys.path),
        *check_torch(),
        check_disk(folder),
        check_threads(),
    ]


def require_no_problem(folder: Path) -> None:
    """Look at this machine before something is started. Raises NotemillError that tells the first problem."""
    problems = [check for check in run_checks(folder) if check.status == "problem"]
    if problems:
        first, more = problems[0], f" ({len(problems) - 1} more)" if problems[1:] else ""
        raise NotemillError(
            f"{first.name}: {first.detail}{more}; {first.remedy.rstrip('.')}. `notemill doctor` tells all."
        )


def installed_versions() -> dict[str, str]:
    """Version by normalised distribution name, of everything this interpreter sees."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on the path is the one that an import gets.
            found.setdefault(_normalise(name), distribution.version)
    return found


def check_python(installed: Mapping[str, str]) -> Check:
    """megatron-core 0.17 and later need Python 3.12, which pip does not tell when it is forced."""
    version = platform.python_version()
    detail = f"{version} at {sys.executable}"
    core = installed.get("megatron-core", "")
    if sys.version_info < (3, 12) and core and Requirement("x>=0.17").specifier.contains(core, prereleases=True):
        return Check(
            "python", "problem", f"{detail} with megatron-core {core}", "Install 'megatron-core>=0.16.1,<0.17'."
        )
    return Check("python", "ok", detail)


def check_versions(installed: Mapping[str, str]) -> Iterator[Check]:
    """One check a requirement of notemill, and one for each coupled package whose own requirements are not met."""
    if "notemill" not in installed:
        yield Check("notemill", "problem", "not installed here", "Run pip install -e . in the checkout.")
    for requirement in _requirements_of("notemill"):
        yield compare(requirement, installed, wanted_by="notemill")
    for name in _COUPLED:
        if name in installed:
            broken = (compare(r, installed, wanted_by=f"{name} {installed[name]}") for r in _requirements_of(name))
            yield from (check for check in broken if check.status != "ok")


def check_transformer_engine(installed: Mapping[str, str]) -> Check:
    """Optional, and only for some settings; whether it can be imported shows when such a run starts."""
    if "transformer-engine" not in installed:
        detail = "not installed; only model.layers=transformer_engine and train.precision=fp8 need it"
        return Check("transformer-engine", "ok", detail)
    check = compare(_TRANSFORMER_ENGINE, installed, wanted_by="megatron-core 0.16")
    return check if check.status == "ok" else replace(check, status="warning")


def compare(requirement: Requirement, installed: Mapping[str, str], wanted_by: str) -> Check:
    """Whether what is installed meets one requirement."""
    name = _normalise(requirement.name)
    version = installed.get(name)
    command = f"Run pip install '{name}{requirement.specifier}'."
    if version is None:
        return Check(name, "problem", f"not installed; {wanted_by} needs {name}{requirement.specifier}", command)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name, "problem", f"{version}, but {wanted_by} needs {requirement.specifier}", command)
    return Check(name, "ok", version)


def check_shadowing(checkout: Path, path: Sequence[str]) -> Iterator[Check]:
    """Whether each of our top-level names is found in this checkout first, and whether others claim it too."""
    providers = importlib.metadata.packages_distributions()
    for name in PACKAGES:
        # The path is searched afresh: the import system remembers what it found before somebody installed more.
        spec = importlib.machinery.PathFinder.find_spec(name, list(path))
        place = _place(spec)
        others = sorted({d for d in providers.get(name, ()) if _normalise(d) != "notemill"})
        if place is None:
            # An editable installation resolves names by a finder of its own, past the path.
            yield _judge_import(name, checkout, others)
        elif place != checkout / name:
            yield Check(
                f"package {name}",
                "problem",
                f"found at {place}, not in {checkout}" + (f" (from {', '.join(others)})" if others else ""),
                "Uninstall what put it there, or use a virtual environment of its own.",
            )
        else:
            yield _claimed_by(name, place, others)


def check_torch() -> Iterator[Check]:
    """CUDA, the collective back ends and what they run on."""
    try:
        import torch
    except Exception as error:
        yield Check(
            "torch import", "problem", f"{type(error).__name__}: {error}", "Install torch again for this machine."
        )
        return
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Check("cuda", "ok", f"{len(devices)} × {devices[0]}, CUDA {torch.version.cuda}")
        has_nccl = torch.distributed.is_available() and torch.distributed.is_nccl_available()
        remedy = "" if has_nccl else "Training on several GPUs needs a torch built with NCCL."
        yield Check("nccl", "ok" if has_nccl else "problem", "available" if has_nccl else "missing", remedy)
    elif torch.version.cuda and Path("/proc/driver/nvidia").exists():
        remedy = "Compare nvidia-smi's driver version with what this torch needs."
        yield Check(
            "cuda", "problem", f"a driver is there, but torch for CUDA {torch.version.cuda} sees no GPU", remedy
        )
    else:
        yield Check("cuda", "ok", "no GPU: everything runs on the CPU, for trials and tests")
    has_gloo = torch.distributed.is_available() and torch.distributed.is_gloo_available()
    remedy = "" if has_gloo else "Training with several processes on a CPU needs a torch built with gloo."
    yield Check("gloo", "ok" if has_gloo else "problem", "available" if has_gloo else "missing", remedy)


def check_disk(folder: Path) -> Check:
    """Free space where `folder` is, or will be."""
    existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 2**30:.1f} GiB free at {existing}"
    if not os.access(existing, os.W_OK):
        return Check(
            "disk",
            "problem",
            f"{existing} is not writable",
            "Make it writable, or choose another folder: run.dir, out, or --folder of notemill doctor.",
        )
    if free < TOO_LITTLE_DISK_BYTES:
        return Check("disk", "problem", detail, "Free some space: a stage that fills the disk stops.")
    if free < LITTLE_DISK_BYTES:
        return Check("disk", "warning", detail, "Enough for the demo; a corpus and its checkpoints need more.")
    return Check("disk", "ok", detail)


def check_threads() -> Check:
    """Cores this process may use, and the threads a process would start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None and threads.isdigit() and int(threads) > cores:
        detail = f"OMP_NUM_THREADS={threads} on {cores} cores"
        return Check("threads", "warning", detail, f"Set OMP_NUM_THREADS to {cores} or less.")
    return Check("threads", "ok", f"{cores} cores, OMP_NUM_THREADS={threads or 'unset'}")


def _requirements_of(name: str) -> Iterator[Requirement]:
    """The requirements of an installed distribution that hold on this machine, extras left out."""
    try:
        lines: Iterable[str] = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _judge_import(name: str, checkout: Path, others: list[str]) -> Check:
    place = _place(importlib.util.find_spec(name))
    if place == checkout / name:
        return _claimed_by(name, place, others)
    where = "nowhere" if place is None else f"at {place}"
    return Check(
        f"package {name}", "problem", f"found {where}, not in {checkout}", "Run pip install -e . in the checkout."
    )


def _claimed_by(name: str, place: Path, others: list[str]) -> Check:
    if others:
        detail = f"{place}; {', '.join(others)} installs a package of this name too"
        return Check(
            f"package {name}",
            "warning",
            detail,
            f"From another folder the other one may win: pip uninstall {others[0]}.",
        )
    return Check(f"package {name}", "ok", str(place))


def _place(spec: importlib.machinery.ModuleSpec | None) -> Path | None:
    """The folder or file a name is imported from."""
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None


def _normalise(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
