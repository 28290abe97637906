"""Sharded checkpoints that any layout can load: RUN/checkpoints/step-%08d/.

    weights/         what the engine saved: model, fp32 masters, moments; of an import the model in fp32
    tokenizer/       the tokenizer that the tokens were built with
    config.yaml      the run's resolved configuration
    checkpoint.json  step, tokens seen, vocabulary, fingerprints; written last

All of it is written in a folder with a temporary name, which is renamed when it is complete: a kill at any moment
leaves either a whole checkpoint or none under the final name.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch.distributed as dist

from data_pipeline.files import make_private_folder, read_json, write_json, write_text
from launch.config import to_yaml
from launch.errors import NotemillError
from pretrain.config import PretrainConfig
from pretrain.engines.base import Engine

VERSION = 2
MARKER = "checkpoint.json"
_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True)
class CheckpointInfo:
    """What checkpoint.json says."""

    version: int
    step: int
    """Optimizer steps done."""
    rows_seen: int
    """Rows of the run's sequence that these steps took; the next step goes on from here."""
    tokens_seen: int
    vocab_size: int
    tokenizer_fingerprint: str
    data_fingerprint: str
    """Of the token index and of what decides the order of its rows."""
    world_size: int
    engine: str = "megatron"
    """Which engine wrote the weights."""
    window_start: dict[str, int] | None = None
    """Where the window of the next row begins, a `pretrain.data.plan.WindowStart`, so that no window before it is
    counted again; None in checkpoints that were written before they held it."""
    corpora: list[dict[str, Any]] = field(default_factory=list)
    """What was attested of each corpus that the model has seen, see `data_pipeline.gate.carried`; empty in checkpoints
    that were written before they held it."""
    origin: dict[str, Any] | None = None
    """What the run's first weights were imported from, a `pretrain.huggingface.importing.Origin`; None where they were
    drawn."""
    has_optimizer: bool = True
    """False for imported weights, from which the optimizer starts anew."""


def folder_of(run_dir: Path, step: int) -> Path:
    return run_dir / "checkpoints" / f"step-{step:08d}"


def complete_checkpoints(run_dir: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folders = [path for path in (run_dir / "checkpoints").glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(path for path in folders if (path / MARKER).is_file())


def choose(run_dir: Path, resume: str) -> Path | None:
    """The checkpoint that `checkpoint.resume` means: None to start anew.

    A run that began from a path goes on from its own newest checkpoint, as after a kill. Raises NotemillError where
    going on would write over what the run has saved.
    """
    own = complete_checkpoints(run_dir)
    if resume == "auto":
        return own[-1] if own else None
    if resume == "none":
        if own:
            raise NotemillError(
                f"{run_dir} holds checkpoints and checkpoint.resume=none would write over them; "
                "choose another run.dir or checkpoint.resume=auto."
            )
        return None
    path = Path(resume)
    if own and path.resolve().parent == own[-1].resolve().parent and path.resolve() != own[-1].resolve():
        raise NotemillError(
            f"{run_dir} holds checkpoints after {path}, which going on from there would write over; choose another "
            "run.dir."
        )
    return own[-1] if own else path


def read_info(checkpoint: Path) -> CheckpointInfo:
    """Raises NotemillError for a folder that is no complete checkpoint of this version."""
    found = read_json(checkpoint / MARKER, "checkpoint")
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise NotemillError(f"{checkpoint / MARKER} is not of checkpoint version {VERSION}.")
    try:
        return CheckpointInfo(**found)
    except TypeError:
        raise NotemillError(f"{checkpoint / MARKER} lacks keys of a checkpoint; use another one of the run.") from None


def save(
    run_dir: Path,
    engine: Engine,
    info: CheckpointInfo,
    config: PretrainConfig,
    tokenizer_dir: Path,
) -> Path:
    """Save from all ranks; returns the folder once it is complete on disk."""
    final = folder_of(run_dir, info.step)
    partial = final.with_name(f".{final.name}.partial")
    if dist.get_rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        make_private_folder(partial.parent)
        make_private_folder(partial)
        (partial / "weights").mkdir()
    dist.barrier()
    engine.save(partial / "weights")
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.copytree(tokenizer_dir, partial / "tokenizer")
        write_text(partial / "config.yaml", to_yaml(config))
        write_json(partial / MARKER, asdict(info))
        _fsync_tree(partial)
        # A save of the same step by an earlier life of this run is replaced whole.
        _remove(final)
        partial.rename(final)
        _prune(run_dir, config.checkpoint.keep)
    dist.barrier()
    return final


def write_weights(
    folder: Path, save_model: Callable[[Path], None], info: CheckpointInfo, config: str, tokenizer_dir: Path
) -> None:
    """Write `folder` as a checkpoint without an optimizer, from the one process there is; `config` is its config.yaml.

    It appears under its name when it is complete on disk.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_private_folder(partial)
    try:
        (partial / "weights").mkdir()
        save_model(partial / "weights")
        shutil.copytree(tokenizer_dir, partial / "tokenizer")
        write_text(partial / "config.yaml", config)
        write_json(partial / MARKER, asdict(info))
        _fsync_tree(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prune(run_dir: Path, keep: int) -> None:
    if keep > 0:
        for old in complete_checkpoints(run_dir)[:-keep]:
            _remove(old)


def _remove(folder: Path) -> None:
    """The marker first: a kill in between must not leave half a checkpoint that calls itself complete."""
    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _fsync_tree(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
