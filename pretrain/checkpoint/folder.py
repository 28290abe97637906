"""RUN/checkpoints/: which are complete, which one to go on from, which are kept."""

import re
import shutil
from pathlib import Path

from launch.errors import NotemillError
from pretrain.checkpoint.info import MARKER, read_info
from pretrain.config import CheckpointConfig

LATEST, BEST = "latest", "best"
_NAME = re.compile(r"step-(\d{8,})")


def folder_of(run_dir: Path, step: int) -> Path:
    return run_dir / "checkpoints" / f"step-{step:08d}"


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name."""
    found = _NAME.fullmatch(checkpoint.name)
    assert found is not None
    return int(found[1])


def complete_checkpoints(run_dir: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first; whether they are undamaged is for their checksums to tell."""
    folders = [path for path in (run_dir / "checkpoints").glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted((path for path in folders if (path / MARKER).is_file()), key=step_of)


def candidates(run_dir: Path, resume: str) -> list[Path]:
    """The checkpoints that `checkpoint.resume` allows to go on from, best first; empty to start anew.

    A run that began from a path goes on from its own newest checkpoint, as after a kill. Raises NotemillError where
    going on would write over what the run has saved.
    """
    own = complete_checkpoints(run_dir)[::-1]
    if resume == "auto":
        return own
    if resume == "none":
        if own:
            raise NotemillError(
                f"{run_dir} holds checkpoints and checkpoint.resume=none would write over them; "
                "choose another run.dir or checkpoint.resume=auto."
            )
        return []
    path = Path(resume)
    if own and path.resolve().parent == own[0].resolve().parent and path.resolve() != own[0].resolve():
        raise NotemillError(
            f"{run_dir} holds checkpoints after {path}, which going on from there would write over; choose another "
            "run.dir."
        )
    if not own and not (path / MARKER).exists():
        raise NotemillError(
            f"checkpoint.resume={resume} is no checkpoint; name a folder such as RUN/checkpoints/latest, or bring a "
            "Hugging Face folder in with `notemill import --hf`."
        )
    return own or [path]


def set_aside(checkpoint: Path) -> Path:
    """Give a damaged checkpoint a name under which it is neither chosen nor counted."""
    aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint.rename(aside)


def partial_of(checkpoint: Path) -> Path:
    """Where a checkpoint is until it is whole."""
    return checkpoint.with_name(f".{checkpoint.name}.partial")


def tidy(run_dir: Path, config: CheckpointConfig) -> None:
    """Remove what a kill left unfinished, and `retain`."""
    for left in (run_dir / "checkpoints").glob(".step-*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    retain(run_dir, config)


def retain(run_dir: Path, config: CheckpointConfig) -> None:
    """Bring `latest` and `best` up to date and remove what is not to be kept."""
    complete = complete_checkpoints(run_dir)
    if not complete:
        return
    _point(run_dir / "checkpoints" / LATEST, complete[-1])
    kept = set(complete[-config.keep :] if config.keep else complete)
    if config.keep_every:
        kept.update(path for path in complete if step_of(path) % config.keep_every == 0)
    best = _best(complete) if config.keep_best else None
    if best is not None:
        kept.add(best)
        _point(run_dir / "checkpoints" / BEST, best)
    for path in complete:
        if path not in kept:
            remove(path)


def remove_after(run_dir: Path, step: int) -> None:
    """Remove the checkpoints of later steps, from which a run that goes back to `step` comes no more."""
    for path in complete_checkpoints(run_dir):
        if step_of(path) > step:
            remove(path)


def remove(checkpoint: Path) -> None:
    """At one stroke it is none any more; a kill behind that leaves what `tidy` removes."""
    if checkpoint.is_dir():
        gone = checkpoint.with_name(f".{checkpoint.name}.removed.partial")
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(checkpoint.rename(gone), ignore_errors=True)


def _point(link: Path, checkpoint: Path) -> None:
    """Make `link` name `checkpoint`, at one stroke; it takes no room, so it works on a full disk."""
    temporary = link.with_name(f".{link.name}.partial")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(checkpoint.name)
    temporary.replace(link)


def _best(complete: list[Path]) -> Path | None:
    """The checkpoint with the lowest held-out loss, the newest of equals."""
    losses = {path: read_info(path).valid_loss for path in complete}
    scored = [path for path in complete if losses[path] is not None]
    return min(reversed(scored), key=lambda path: losses[path] or 0.0, default=None)
