"""Writes megatron-core's torch_dist form beside training, in threads of the training process.

megatron-core's own asynchronous save forks a process that holds CUDA, NCCL and the loader's threads, or ships all
tensors to a second one. Here its planner says which rank writes what, and a thread writes a copy in host memory.
Everything that communicates happens on the main thread: gathering the optimizer's state and planning before, the list
of what was written after.

`.metadata` is a pickle, as torch's distributed checkpoints have it; `pretrain.checkpoint.pickles` looks at it before
it is loaded.
"""

import io
import os
import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.dist_checkpointing.core import CheckpointingConfig, save_config
from megatron.core.dist_checkpointing.state_dict_utils import save_preprocess
from megatron.core.dist_checkpointing.strategies import filesystem_async
from megatron.core.dist_checkpointing.strategies.common import COMMON_STATE_FNAME
from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy
from torch.distributed.checkpoint.filesystem import SerializationFormat, _StorageWriterTransforms, _write_item

from pretrain.engines.base import Saving

_FILES_PER_RANK = 2


class WritingShards(Saving):
    """A save of one sharded state dict that goes on until `complete`."""

    def __init__(self, state: dict[str, Any], live: list[torch.Tensor], folder: Path) -> None:
        """`live` are the tensors that training goes on to change; what `state` holds of them is copied."""
        # Results come from threads of this process; megatron-core would start another process to hold the queue.
        filesystem_async._results_queue = queue.Queue()
        self._folder = folder
        sharded, common = save_preprocess(state)
        planner = _Planner("torch_dist", 1, thread_count=_FILES_PER_RANK)
        self._writer, self._metadata = planner.async_save(sharded, folder)
        storages = {tensor.untyped_storage().data_ptr() for tensor in live}
        buckets = [_in_host_memory(bucket, storages) for bucket in self._writer.write_buckets or []]
        self._writer.write_buckets = None
        threads = ThreadPoolExecutor(_FILES_PER_RANK, thread_name_prefix="checkpoint")
        self._parts: list[Future[Any]] = [threads.submit(_write, bucket) for bucket in buckets]
        if dist.get_rank() == 0:
            # It holds the optimizer's live parameter groups, so it is turned to bytes here.
            pickled = io.BytesIO()
            torch.save(common, pickled)
            self._parts.append(threads.submit((folder / COMMON_STATE_FNAME).write_bytes, pickled.getvalue()))
        # Nothing more is handed in, so its threads end when they have written.
        threads.shutdown(wait=False)

    def is_done(self) -> bool:
        return all(part.done() for part in self._parts)

    def wait(self) -> None:
        for part in self._parts:
            part.result()

    def complete(self) -> Callable[[], object]:
        written = [record for part in self._parts if isinstance(part.result(), list) for record in part.result()]
        of_ranks: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
        dist.gather_object(written, of_ranks)
        return partial(self._write_metadata, of_ranks)

    def _write_metadata(self, of_ranks: list[Any] | None) -> None:
        self._writer.finish(self._metadata, of_ranks)
        save_config(CheckpointingConfig("torch_dist", 1), str(self._folder))


class _Planner(TorchDistSaveShardedStrategy):
    """megatron-core's planning without its way of writing."""

    def _get_save_and_finalize_callbacks(self, writer: Any, save_state_dict_ret: Any) -> Any:
        return writer, save_state_dict_ret[1]


def _in_host_memory(bucket: Any, live: set[int]) -> Any:
    """What is to be written into one file, without anything that training changes."""
    path, storage_key, (bytes_data, tensor_data) = bucket
    copied = []
    for item, tensor in tensor_data:
        is_live = tensor.untyped_storage().data_ptr() in live
        copied.append((item, tensor.clone() if tensor.is_cpu and is_live else tensor.to("cpu")))
    return path, storage_key, bytes_data + copied


def _write(bucket: Any) -> list[Any]:
    """Write one file; returns torch's record of what lies where in it."""
    path, storage_key, items = bucket
    transforms = _StorageWriterTransforms()
    with Path(path).open("wb") as stream:
        written = [
            _write_item(transforms, stream, data, item, storage_key, SerializationFormat.TORCH_SAVE)
            for item, data in items
        ]
        os.fsync(stream.fileno())
    return written
