"""Model and optimizer state in megatron-core's torch_dist form: sharded, and loadable into any layout."""

from pathlib import Path
from typing import Any

import torch
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing import ShardedTensor
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import MegatronOptimizer

from launch.errors import NotemillError
from pretrain.checkpoint.pickles import require_harmless_index, weights_only
from pretrain.engines.megatron.shards import WritingShards
from pretrain.model.bert import MegatronBert

_EXTRA_STATE = "._extra_state"


def begin_saving_state(
    folder: Path, models: list[DistributedDataParallel], optimizer: MegatronOptimizer
) -> WritingShards:
    """Begin to write what all ranks hold into `folder`, which exists and is empty."""
    metadata = _sharding_metadata()
    state = _sharded_state(models, optimizer, metadata, is_loading=False)
    del metadata["dp_cp_group"]
    chunks = [_unwrap(model) for model in models]
    live = [tensor for chunk in chunks for tensor in (*chunk.parameters(), *chunk.buffers())]
    return WritingShards(state | {"content_metadata": metadata}, live, folder)


def load_state(folder: Path, models: list[DistributedDataParallel], optimizer: MegatronOptimizer) -> None:
    """Fill model and optimizer from a save of any layout. Raises NotemillError when shapes do not fit."""
    state = _sharded_state(models, optimizer, _sharding_metadata(), is_loading=True)
    loaded = _load_shards(state, folder)
    for key, model in zip(_model_keys(models), models, strict=True):
        _fill(_unwrap(model), loaded[key])
    optimizer.load_state_dict(loaded["optimizer"])


def load_weights(folder: Path, models: list[DistributedDataParallel], optimizer: MegatronOptimizer) -> None:
    """Fill model and fp32 masters from a save of the model alone, of any layout; there are no moments then.

    The masters take the weights as they were saved, not what bf16 leaves of them.
    """
    state: dict[str, Any] = {}
    for key, model in zip(_model_keys(models), models, strict=True):
        state[key] = _sharded_weights(_unwrap(model), _sharding_metadata())
        for entry in state[key].values():
            if isinstance(entry, ShardedTensor):
                entry.data, entry.dtype = entry.data.float(), torch.float32
    loaded = _load_shards(state, folder)
    for key, model in zip(_model_keys(models), models, strict=True):
        _fill(_unwrap(model), loaded[key])
    optimizer.reload_model_params(loaded)
    for part in optimizer.chained_optimizers:
        part.optimizer.state.clear()


def save_model(folder: Path, chunk: MegatronBert) -> None:
    """Write a bare model, without an optimizer, from the one process there is."""
    metadata = _sharding_metadata()
    state = {"model": _sharded_weights(chunk, metadata)}
    del metadata["dp_cp_group"]
    dist_checkpointing.save(state, str(folder), content_metadata=metadata)


def load_model(folder: Path, chunk: MegatronBert) -> None:
    """Fill a bare model from a save of any layout, without an optimizer."""
    state = {"model": _sharded_weights(chunk, _sharding_metadata())}
    _fill(chunk, _load_shards(state, folder)["model"])


def _unwrap(model: torch.nn.Module) -> MegatronBert:
    """The model chunk inside its data-parallel and half-precision wrappers."""
    while not isinstance(model, MegatronBert):
        model = model.module  # type: ignore[assignment]
    return model


def _sharded_weights(chunk: MegatronBert, metadata: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint has of a chunk: its tensors, without the "extra state" of its matrices.

    That of megatron-core's own is empty. Transformer Engine's is a pickle, which it would load and thereby run whatever
    a checkpoint has in its place; with current scaling it holds nothing that training goes on from.
    """
    state = chunk.sharded_state_dict(metadata=metadata)
    return {key: entry for key, entry in state.items() if not key.endswith(_EXTRA_STATE)}


def _fill(chunk: MegatronBert, weights: dict[str, Any]) -> None:
    """Take over what was loaded for `_sharded_weights`; modules keep their extra state."""
    missing, unexpected = chunk.load_state_dict(weights, strict=False)
    assert not unexpected and all(key.endswith(_EXTRA_STATE) for key in missing)


def _load_shards(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    require_harmless_index(folder / ".metadata")
    try:
        with weights_only():
            return dist_checkpointing.load(state, str(folder))
    except Exception as error:  # What a damaged file raises is for torch's readers to say: EOFError, AssertionError, …
        reason = " ".join(str(error).split())[:300]
        raise NotemillError(
            f"the weights in {folder} cannot be loaded into this model ({type(error).__name__}: {reason}); they "
            "are damaged or of another model: use the config.yaml beside that folder, or another checkpoint of the run."
        ) from None


def _model_keys(models: list[Any]) -> list[str]:
    return ["model"] if len(models) == 1 else [f"model{index}" for index in range(len(models))]


def _sharded_state(
    models: list[DistributedDataParallel], optimizer: MegatronOptimizer, metadata: dict[str, Any], *, is_loading: bool
) -> dict[str, Any]:
    state: dict[str, Any] = {
        key: _sharded_weights(_unwrap(model), metadata) for key, model in zip(_model_keys(models), models, strict=True)
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
