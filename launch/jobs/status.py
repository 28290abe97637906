"""How a run is, read from its folder, the ranks' report and SLURM."""

import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from launch.jobs import run_folder, slurm
from pretrain.metrics import read_metrics
from pretrain.ranks_report import RanksReport, read_report

_RECENT_ROWS = 20
SILENT_S = 60.0
"""Ranks report every few seconds while they live."""


@dataclass(frozen=True)
class Status:
    """What `notemill status --json` prints."""

    run: str
    health: str
    """finished, starting, running, waiting, silent, hanging, stopped or unknown, with the reason."""
    step: int
    steps: int
    loss: float | None
    valid_loss: float | None
    tokens_per_second: float | None
    step_seconds: float | None
    eta_seconds: float | None
    """At the pace of the last logged steps; None before there are any, 0 when finished."""
    last_checkpoint: int | None
    checkpoint_age_seconds: float | None
    skipped_steps: int
    slow_hosts: dict[str, float]
    """Hosts that the others wait for, with how much longer they take for a step."""
    jobs: dict[str, str]
    """SLURM's jobs and their states."""
    started_as: dict[str, Any] | None
    """launch.json."""


def status_of(run_dir: Path) -> Status:
    """Raises NotemillError where there is no run."""
    config, record = run_folder.read_config(run_dir), run_folder.read_record(run_dir)
    rows = read_metrics(run_dir)
    trained, scored = [row for row in rows if "loss" in row], [row for row in rows if "valid_loss" in row]
    last: dict[str, Any] = trained[-1] if trained else {}
    saved, report = run_folder.last_saved_step(run_dir), read_report(run_dir)
    step = max(last.get("step", 0), saved or 0, report.step if report else 0)
    times = [row["step_seconds"] for row in trained[-_RECENT_ROWS:] if row.get("step_seconds") is not None]
    pace = median(times) if times else None
    jobs = slurm.states(record.jobs[-1:]) if record and record.jobs else {}
    checkpoint = run_dir / "checkpoints" / "latest"
    return Status(
        run=str(run_dir),
        health=_health(run_dir, run_folder.is_finished(run_dir, config), jobs, report, config.train.hang_timeout_s),
        step=step,
        steps=config.train.steps,
        loss=last.get("loss"),
        valid_loss=scored[-1]["valid_loss"] if scored else None,
        tokens_per_second=last.get("tokens_per_second"),
        step_seconds=pace,
        eta_seconds=None if pace is None else pace * max(0, config.train.steps - step),
        last_checkpoint=saved,
        checkpoint_age_seconds=max(0.0, time.time() - checkpoint.stat().st_mtime) if checkpoint.exists() else None,
        skipped_steps=last.get("skipped_steps") or 0,
        slow_hosts=report.slow_hosts if report else {},
        jobs=jobs or {},
        started_as=asdict(record) if record else None,
    )


def lines(status: Status) -> list[str]:
    """For people."""
    told = [
        f"{status.run}: {status.health}",
        f"step {status.step} of {status.steps}" + (f", loss {status.loss:.4f}" if status.loss is not None else ""),
    ]
    if status.valid_loss is not None:
        told.append(f"held-out loss {status.valid_loss:.4f}")
    if status.tokens_per_second is not None and status.step_seconds is not None:
        told.append(f"{status.tokens_per_second:,.0f} tokens/s, {status.step_seconds:.3f} s a step")
    if status.eta_seconds:
        told.append(f"about {_duration(status.eta_seconds)} to go at this pace")
    told.append(
        f"last checkpoint: step {status.last_checkpoint}, {_duration(status.checkpoint_age_seconds)} ago"
        if status.last_checkpoint is not None and status.checkpoint_age_seconds is not None
        else "no checkpoint yet"
    )
    if status.skipped_steps:
        told.append(f"{status.skipped_steps} steps left out, see skipped.jsonl")
    told += [
        f"slow host: {host}, a step takes it {ratio:.2f} times as long" for host, ratio in status.slow_hosts.items()
    ]
    return told + [f"job {job}: {state}" for job, state in status.jobs.items()]


def _health(
    run_dir: Path, is_finished: bool, jobs: dict[str, str] | None, report: RanksReport | None, hang_timeout_s: float
) -> str:
    if is_finished:
        return "finished"
    alive = {job: state for job, state in (jobs or {}).items() if not slurm.is_over(state)}
    age = time.time() - report.written_at if report else None
    if any(not state.startswith("RUNNING") for state in alive.values()):
        return f"waiting: job {', '.join(f'{job} is {state}' for job, state in alive.items())}"
    is_held = run_folder.is_held(run_dir)
    # Its lock shows on the main rank's machine only, and there at once.
    is_gone = not is_held and report is not None and report.ranks[0].host == socket.gethostname()
    if report is not None and age is not None and not report.has_ended and age < SILENT_S and not is_gone:
        idle = max((rank.idle_seconds for rank in report.ranks), default=0.0)
        return f"hanging: no progress for {_duration(idle)}" if idle > hang_timeout_s / 2 else "running"
    if alive or is_held:
        return "starting" if age is None or report is None or report.has_ended else f"silent for {_duration(age)}"
    if jobs is None:
        return "unknown: squeue gives no answer; look again where jobs are submitted"
    ended = next((f": job {job} is {state}" for job, state in jobs.items()), "")
    return f"stopped{ended}; `notemill resume {run_dir}` goes on"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} seconds"
