"""Any tensor-parallel size and any run of elements can be read from weights that another layout wrote."""

import json
import random
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file

from launch.errors import NotemillError
from pretrain.engines.deepspeed.weights import SavedWeights, SharedShape

WHOLE = {
    "rows": (torch.arange(24 * 5.0).view(24, 5), 0),
    "columns": (torch.arange(3 * 24.0).view(3, 24), 1),
    "bias": (torch.arange(24.0), 0),
    "norm": (torch.arange(7.0), None),
}


def shard(name: str, rank: int, size: int) -> torch.Tensor:
    value, dimension = WHOLE[name]
    return value.flatten() if dimension is None else value.chunk(size, dim=dimension)[rank].flatten()


@pytest.fixture
def write(tmp_path):
    """Writes WHOLE as `tensor_size` x `data_size` ranks would, with borders between data ranks anywhere."""

    def write(tensor_size: int, data_size: int, seed: int):
        draw, runs = random.Random(seed), {name: [] for name in WHOLE}
        for tensor_rank in range(tensor_size):
            files = [{} for _ in range(data_size)]
            for name, (_, dimension) in WHOLE.items():
                if dimension is None and tensor_rank:
                    continue
                values = shard(name, tensor_rank, tensor_size)
                borders = [0, *sorted(draw.randint(0, len(values)) for _ in files[1:]), len(values)]
                for data_rank, (start, stop) in enumerate(pairwise(borders)):
                    if start == stop:
                        continue
                    file = f"rank-{data_rank * tensor_size + tensor_rank:05d}.safetensors"
                    files[data_rank][f"master/{name}"] = values[start:stop].clone()
                    runs[name].append(
                        {"file": file, "tensor_rank": tensor_rank, "start": start, "length": stop - start}
                    )
            for data_rank, tensors in enumerate(files):
                save_file(tensors, tmp_path / f"rank-{data_rank * tensor_size + tensor_rank:05d}.safetensors")
        parameters = {
            name: {"whole": list(value.shape), "dimension": dimension} for name, (value, dimension) in WHOLE.items()
        }
        index = {"version": 1, "tensor_size": tensor_size, "parameters": parameters, "runs": runs}
        (tmp_path / "index.json").write_text(json.dumps(index))
        return tmp_path

    return write


@pytest.mark.parametrize("saved_size", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_run_is_read_into_every_layout(saved_size, size, write):
    saved, draw = SavedWeights(write(saved_size, 3, seed=saved_size)), random.Random(size)
    for name in WHOLE:
        for rank in range(size):
            expected = shard(name, rank, size)
            runs = [(0, len(expected))]
            runs += [sorted(draw.sample(range(len(expected) + 1), 2)) for _ in range(10)]
            for start, stop in runs:
                assert torch.equal(saved.read("master", name, start, stop, rank, size), expected[start:stop])


def test_damage_is_told(write):
    folder = write(1, 2, seed=0)
    path = folder / "rank-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotemillError, match="cannot be read"):
        SavedWeights(folder).read("master", "rows", 0, 120, 0, 1)
    path.unlink()
    with pytest.raises(NotemillError, match="use another checkpoint"):
        SavedWeights(folder).read("master", "rows", 0, 120, 0, 1)


def test_a_lost_run_is_told(write):
    folder = write(2, 2, seed=0)
    index = json.loads((folder / "index.json").read_text())
    lost = index["runs"]["rows"].pop()
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(NotemillError, match=f"hold {120 - lost['length']} of 120|hold {60 - lost['length']} of 60"):
        SavedWeights(folder).read("master", "rows", 0, 120, 0, 1)


def test_another_model_is_told(write):
    saved = SavedWeights(write(1, 1, seed=0))
    shapes = {name: SharedShape(list(value.shape), dimension) for name, (value, dimension) in WHOLE.items()}
    saved.check_model(shapes)
    with pytest.raises(NotemillError, match="bias is 24 there and 12 here"):
        saved.check_model(shapes | {"bias": SharedShape([12], 0)})
    with pytest.raises(NotemillError, match="more is missing there"):
        saved.check_model(shapes | {"more": SharedShape([12], 0)})
