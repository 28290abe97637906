"""What a run ran on and with: environment.json in its folder."""

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from launch.revision import code_revision

PACKAGES = ("torch", "megatron-core", "deepspeed", "numpy", "tokenizers", "transformers", "transformer-engine")


def describe_environment(world_size: int, device: torch.device) -> dict[str, Any]:
    """Command, code revision, package versions and hardware of this process."""
    return {
        "command": sys.argv,
        "code_revision": code_revision(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": platform.platform(),
        "device": device_name(device),
        "world_size": world_size,
        "threads": torch.get_num_threads(),
    }


def device_name(device: torch.device) -> str:
    """The GPU's marketing name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
