"""Masters and moments on disk, by parameter and element rather than by rank, so that every layout can read them.

    index.json                parameters with shape and sharded dimension, and which file holds which run of elements
    rank-00000.safetensors    what rank 0 kept: "master/NAME", "exp_avg/NAME" and "exp_avg_sq/NAME", flat fp32 runs
    …

A run is counted in the elements of one tensor rank's shard, flattened. A rank that loads reads just the runs that it
needs, whatever ZeRO stage, data-parallel or tensor-parallel size wrote them: what DeepSpeed calls a universal
checkpoint, without converting first. Parameters are their masters, rounded, and not kept apart. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import Any, TypedDict

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from data_pipeline.files import read_json, write_json
from launch.errors import NotemillError
from pretrain.engines.base import Saving
from pretrain.engines.deepspeed.optimizer import MASTER, Part
from pretrain.model.bert import MegatronBert
from pretrain.model.initialise import sharded_dimension

_VERSION = 1
_INDEX = "index.json"


@dataclass(frozen=True)
class SharedShape:
    """A parameter of the whole model and how tensor ranks share it."""

    whole: list[int]
    dimension: int | None
    """Cut into equal chunks along this one; None where every tensor rank holds all of it."""

    @classmethod
    def of(cls, parameter: torch.nn.Parameter, tensor_size: int) -> SharedShape:
        """Of this rank's shard, before ZeRO-3 empties it."""
        whole, dimension = list(parameter.shape), sharded_dimension(parameter)
        if dimension is not None:
            whole[dimension] *= tensor_size
        return cls(whole, dimension)

    def shard_numel(self, tensor_size: int) -> int:
        return prod(self.whole) // (1 if self.dimension is None else tensor_size)


class Run(TypedDict):
    """Where elements [start, start + length) of one tensor rank's shard lie."""

    file: str
    tensor_rank: int
    start: int
    length: int


class WritingState(Saving):
    """A save of what all ranks keep into a folder that exists and is empty, in a thread of each rank."""

    def __init__(
        self,
        folder: Path,
        parts: Iterable[Part],
        shapes: dict[str, SharedShape],
        *,
        updates: int,
        loss_scaler: dict[str, Any] | None,
    ) -> None:
        """`updates` is AdamW's count of them, `loss_scaler` the state of fp16's."""
        self._folder, self._shapes = folder, shapes
        tensor_rank = parallel_state.get_tensor_model_parallel_rank()
        # What all tensor ranks hold alike is written by the first.
        mine = [part for part in parts if tensor_rank == 0 or shapes[part.name].dimension is not None]
        self._file = f"rank-{dist.get_rank():05d}.safetensors"
        self._runs = {
            part.name: Run(file=self._file, tensor_rank=tensor_rank, start=part.start, length=part.length)
            for part in mine
        }
        self._index = {
            "version": _VERSION,
            "tensor_size": parallel_state.get_tensor_model_parallel_world_size(),
            "updates": updates,
            "loss_scaler": loss_scaler,
            "parameters": {name: asdict(shape) for name, shape in shapes.items()},
        }
        # Copied, as training goes on to change them.
        copies = {
            f"{kind}/{part.name}": value.to("cpu", copy=True) for part in mine for kind, value in part.state.items()
        }
        thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written = thread.submit(self._write, copies)
        thread.shutdown(wait=False)

    def is_done(self) -> bool:
        return self._written.done()

    def wait(self) -> None:
        self._written.result()

    def complete(self) -> Callable[[], object]:
        gathered: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
        dist.gather_object(self._runs, gathered, dst=0)
        runs = {name: [each[name] for each in gathered or [] if name in each] for name in self._shapes}
        return partial(write_json, self._folder / _INDEX, self._index | {"runs": runs})

    def _write(self, copies: dict[str, torch.Tensor]) -> None:
        try:
            save_file(copies, self._folder / self._file)
        except SafetensorError as error:  # Its way of telling that a disk is full.
            raise OSError(str(error)) from None
        (self._folder / self._file).chmod(0o600)


def load_state(folder: Path, parts: Iterable[Part], shapes: dict[str, SharedShape]) -> SavedWeights:
    """Fill this rank's parts from a save of any layout and give what else it says.

    Raises NotemillError when it is damaged or of another model.
    """
    saved = SavedWeights(folder)
    saved.check_model(shapes)
    tensor_rank = parallel_state.get_tensor_model_parallel_rank()
    tensor_size = parallel_state.get_tensor_model_parallel_world_size()
    with torch.no_grad():
        for part in parts:
            for kind, value in part.state.items():
                stop = part.start + part.length
                value.copy_(saved.read(kind, part.name, part.start, stop, tensor_rank, tensor_size))
    return saved


def load_weights(folder: Path, parts: Iterable[Part], chunk: MegatronBert) -> None:
    """Fill this rank's masters from an import, which is in megatron-core's form; the moments are zero then.

    `chunk` is a model in fp32 on the CPU in this run's layout, to read into.
    """
    from pretrain.engines.megatron.weights import load_model as load_megatron_model

    load_megatron_model(folder, chunk)
    parameters = dict(chunk.named_parameters())
    with torch.no_grad():
        for part in parts:
            for value in part.state.values():
                value.zero_()
            part.state[MASTER].copy_(parameters[part.name].flatten()[part.start : part.start + part.length])


def load_model(folder: Path, chunk: MegatronBert) -> None:
    """Fill a whole model in one process from a save of any layout. Raises NotemillError as `load_state` does."""
    saved = SavedWeights(folder)
    saved.check_model({name: SharedShape.of(parameter, 1) for name, parameter in chunk.named_parameters()})
    with torch.no_grad():
        for name, parameter in chunk.named_parameters():
            parameter.copy_(saved.read(MASTER, name, 0, parameter.numel(), 0, 1).view_as(parameter))


class SavedWeights:
    """What `WritingState` wrote, read run by run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open_files: dict[str, Any] = {}

    @cached_property
    def _index(self) -> dict[str, Any]:
        found = read_json(self._folder / _INDEX, "weights")
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            raise NotemillError(f"{self._folder / _INDEX} is not of version {_VERSION} of DeepSpeed weights.")
        return found

    @property
    def updates(self) -> int:
        return int(self._index["updates"])

    @property
    def loss_scaler(self) -> dict[str, Any] | None:
        state: dict[str, Any] | None = self._index["loss_scaler"]
        return state

    @cached_property
    def _shapes(self) -> dict[str, SharedShape]:
        return {name: SharedShape(**shape) for name, shape in self._index["parameters"].items()}

    def check_model(self, shapes: dict[str, SharedShape]) -> None:
        """Raises NotemillError when these are not the parameters of the saved model."""
        for name in sorted(self._shapes.keys() | shapes.keys()):
            ours, theirs = shapes.get(name), self._shapes.get(name)
            if ours != theirs:
                raise NotemillError(
                    f"the weights in {self._folder} are of another model: {name} is {_told(theirs)} there and "
                    f"{_told(ours)} here; use the config.yaml beside that folder."
                )

    def read(self, kind: str, name: str, start: int, stop: int, tensor_rank: int, tensor_size: int) -> torch.Tensor:
        """Elements [start, stop) of the shard that `tensor_rank` of `tensor_size` holds of a parameter. Flat, fp32."""
        shape, saved_size = self._shapes[name], int(self._index["tensor_size"])
        if shape.dimension is None:
            return self._read_run(kind, name, 0, start, stop)
        if tensor_size == saved_size:
            return self._read_run(kind, name, tensor_rank, start, stop)
        if shape.dimension == 0:
            offset = tensor_rank * shape.shard_numel(tensor_size)
            return self._read_rows(kind, name, start + offset, stop + offset)
        return self._read_columns(kind, name, start, stop, tensor_rank, tensor_size)

    def _read_rows(self, kind: str, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements of the whole parameter, flattened, where each shard has some rows: its shards one after another."""
        size = self._shapes[name].shard_numel(int(self._index["tensor_size"]))
        ranks = range(start // size, (stop - 1) // size + 1)
        borders = [(max(start - rank * size, 0), min(stop - rank * size, size)) for rank in ranks]
        return torch.cat(
            [self._read_run(kind, name, rank, *border) for rank, border in zip(ranks, borders, strict=True)]
        )

    def _read_columns(
        self, kind: str, name: str, start: int, stop: int, tensor_rank: int, tensor_size: int
    ) -> torch.Tensor:
        """`read` where each shard has some columns of every row: whole rows are read and cut again."""
        num_columns, saved_size = self._shapes[name].whole[1], int(self._index["tensor_size"])
        width, saved_width = num_columns // tensor_size, num_columns // saved_size
        first, last = start // width, (stop - 1) // width + 1
        shards = [
            self._read_run(kind, name, rank, first * saved_width, last * saved_width).view(-1, saved_width)
            for rank in range(saved_size)
        ]
        block = torch.cat(shards, dim=1)[:, tensor_rank * width : (tensor_rank + 1) * width]
        return block.flatten()[start - first * width : stop - first * width]

    def _read_run(self, kind: str, name: str, shard: int, start: int, stop: int) -> torch.Tensor:
        """Elements [start, stop) of a shard as it was saved, put together from the files that hold them."""
        values = torch.empty(stop - start)
        filled = 0
        for run in self._index["runs"][name]:
            first, last = max(start, run["start"]), min(stop, run["start"] + run["length"])
            if run["tensor_rank"] == shard and first < last:
                piece = self._read_file(run["file"], f"{kind}/{name}", first - run["start"], last - run["start"])
                values[first - start : last - start] = piece
                filled += last - first
        if filled != stop - start:
            raise NotemillError(
                f"the weights in {self._folder} hold {filled} of {stop - start} elements of {name} ({kind}); they are "
                "damaged: use another checkpoint of the run."
            )
        return values

    def _read_file(self, file: str, key: str, start: int, stop: int) -> torch.Tensor:
        path = self._folder / file
        try:
            if file not in self._open_files:
                self._open_files[file] = safe_open(path, framework="pt")
            piece: torch.Tensor = self._open_files[file].get_slice(key)[start:stop]
        except (SafetensorError, OSError) as error:
            raise NotemillError(
                f"{path} cannot be read ({type(error).__name__}: {error}); it is damaged or incomplete: use another "
                "checkpoint of the run."
            ) from None
        return piece


def _told(shape: SharedShape | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape.whole))
