"""Sharded checkpoints that any layout can load: RUN/checkpoints/step-%08d/.

    weights/         megatron-core's torch_dist shards: model, fp32 masters, moments; of an import the model in fp32
    tokenizer/       the tokenizer that the tokens were built with
    config.yaml      the run's resolved configuration
    checkpoint.json  step, tokens seen, vocabulary, fingerprints; written last

All of it is written in a folder with a temporary name, which is renamed when it is complete: a kill at any moment
leaves either a whole checkpoint or none under the final name.
"""

import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing import ShardedTensor
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import MegatronOptimizer

from data_pipeline.files import make_private_folder, read_json, write_json, write_text
from launch.config import to_yaml
from launch.errors import NotemillError
from pretrain.config import PretrainConfig
from pretrain.model.bert import MegatronBert

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


def unwrap(model: torch.nn.Module) -> MegatronBert:
    """The model chunk inside its data-parallel and half-precision wrappers."""
    while not isinstance(model, MegatronBert):
        model = model.module  # type: ignore[assignment]
    return model


def save(
    run_dir: Path,
    models: list[DistributedDataParallel],
    optimizer: MegatronOptimizer,
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
    metadata = _sharding_metadata()
    state = _sharded_state(models, optimizer, metadata, is_loading=False)
    del metadata["dp_cp_group"]
    dist_checkpointing.save(state, str(partial / "weights"), content_metadata=metadata)
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


def load(checkpoint: Path, models: list[DistributedDataParallel], optimizer: MegatronOptimizer) -> None:
    """Fill model and optimizer from a checkpoint of any layout. Raises NotemillError when shapes do not fit."""
    state = _sharded_state(models, optimizer, _sharding_metadata(), is_loading=True)
    loaded = _load_shards(state, checkpoint)
    for key, model in zip(_model_keys(models), models, strict=True):
        unwrap(model).load_state_dict(loaded[key])
    optimizer.load_state_dict(loaded["optimizer"])


def load_model(checkpoint: Path, chunk: MegatronBert) -> None:
    """Fill a bare model from a checkpoint of any layout, without an optimizer."""
    state = {"model": chunk.sharded_state_dict(metadata=_sharding_metadata())}
    chunk.load_state_dict(_load_shards(state, checkpoint)["model"])


def save_weights(folder: Path, chunk: MegatronBert, info: CheckpointInfo, config: str, tokenizer_dir: Path) -> None:
    """Write `folder` as a checkpoint without an optimizer, from the one process there is; `config` is its config.yaml.

    It appears under its name when it is complete on disk.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_private_folder(partial)
    try:
        (partial / "weights").mkdir()
        metadata = _sharding_metadata()
        state = {"model": chunk.sharded_state_dict(metadata=metadata)}
        del metadata["dp_cp_group"]
        dist_checkpointing.save(state, str(partial / "weights"), content_metadata=metadata)
        shutil.copytree(tokenizer_dir, partial / "tokenizer")
        write_text(partial / "config.yaml", config)
        write_json(partial / MARKER, asdict(info))
        _fsync_tree(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_weights(checkpoint: Path, models: list[DistributedDataParallel], optimizer: MegatronOptimizer) -> None:
    """Fill model and fp32 masters from the weights of a checkpoint of any layout; the moments stay as they are.

    The masters take the weights as they were saved, not what bf16 leaves of them.
    """
    state: dict[str, Any] = {}
    for key, model in zip(_model_keys(models), models, strict=True):
        state[key] = unwrap(model).sharded_state_dict(metadata=_sharding_metadata())
        for entry in state[key].values():
            if isinstance(entry, ShardedTensor):
                entry.data, entry.dtype = entry.data.float(), torch.float32
    loaded = _load_shards(state, checkpoint)
    for key, model in zip(_model_keys(models), models, strict=True):
        unwrap(model).load_state_dict(loaded[key])
    optimizer.reload_model_params(loaded)


def _load_shards(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    try:
        return dist_checkpointing.load(state, str(checkpoint / "weights"))
    except Exception as error:  # What a damaged file raises is for torch's readers to say: EOFError, AssertionError, …
        reason = " ".join(str(error).split())[:300]
        raise NotemillError(
            f"the weights in {checkpoint} cannot be loaded into this model ({type(error).__name__}: {reason}); they "
            "are damaged or of another model: use the config.yaml beside them, or another checkpoint of the run."
        ) from None


def _model_keys(models: list[Any]) -> list[str]:
    return ["model"] if len(models) == 1 else [f"model{index}" for index in range(len(models))]


def _sharded_state(
    models: list[DistributedDataParallel], optimizer: MegatronOptimizer, metadata: dict[str, Any], *, is_loading: bool
) -> dict[str, Any]:
    state: dict[str, Any] = {
        key: unwrap(model).sharded_state_dict(metadata=metadata)
        for key, model in zip(_model_keys(models), models, strict=True)
    }
    state["optimizer"] = optimizer.sharded_state_dict(state, is_loading=is_loading, metadata=metadata)
    return state


def _sharding_metadata() -> dict[str, Any]:
    return {
        # The default form cannot be loaded into another layout.
        "distrib_optim_sharding_type": "fully_reshardable",
        "singleton_local_shards": False,
        "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True),
    }


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
