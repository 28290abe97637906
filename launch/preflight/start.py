"""Processes on this machine that look at one another, as those of a run would."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from data_pipeline.files import read_json
from launch.doctor import Check
from launch.process import ranks_environment

_ABOUT_LINKS = ("same ", "clocks", "shared folder", "links")


def check_ranks(folder: Path, processes: int) -> list[Check]:
    """What so many processes find between them; what each finds alone is for `launch.doctor`."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "checks.json"
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [*start, "-m", "launch.preflight.ranks", "--folder", str(folder), "--json", str(report)]
        environment = dict(os.environ) | ranks_environment()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if not report.exists():
            lines = [line for line in done.stderr.splitlines() if re.match(r"(\[rank\d+\]: )?[\w.]*Error: ", line)]
            detail = f"{processes} processes could not meet: {lines[0] if lines else 'they left no word'}"
            return [Check("processes", "problem", detail, "Start fewer, or set GLOO_SOCKET_IFNAME=lo.")]
        checks = [Check(**check) for check in read_json(report, "report of the processes")]
    return [check for check in checks if check.name.startswith(_ABOUT_LINKS) or check.name.endswith(" sum")]
