"""What results say of the machine and the code they were measured on, and how they are written."""

import datetime
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, read_json, write_json


def machine(packages: Sequence[str], module: str) -> dict[str, Any]:
    """CPU, cores, load over 15 minutes, versions, revision and the command `python -m benchmarks.MODULE …`."""
    cpu_info = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next((line.split(":", 1)[1].strip() for line in cpu_info if line.startswith("model name")), "unknown"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2], 1),
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in packages},
        "revision": _revision(),
        "date": datetime.date.today().isoformat(),
        "command": " ".join((f"python -m benchmarks.{module}", *without_folders(sys.argv[1:]))),
    }


def save_result(path: Path, name: str, result: dict[str, Any]) -> None:
    """Replace the part `name` of a results file."""
    results = read_json(path, "results file") if path.exists() else {}
    make_private_folder(path.parent)
    write_json(path, results | {name: result})
    print(f"{path} has it under {name}.", flush=True)


def versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    """Versions of packages in another environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    peer = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True)
    return dict(zip(packages, peer.stdout.split(), strict=False))


def rounded(value: Any) -> Any:
    """Floats to four digits that count, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def without_folders(arguments: Sequence[str]) -> list[str]:
    """A path says where a user keeps notes."""
    return [re.sub(r"[^:=]*/", "", argument) for argument in arguments]


def _revision() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
