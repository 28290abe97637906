"""Reads a published megatron-bert folder: its shape from config.json and its tensors, held against each other.

    config.json
    model.safetensors, or pytorch_model.bin      either may be in parts that an index file names

megatron_lm.py reads another format; both give an `Encoder`.
"""

import json
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import read_json, sha256_file, sha256_json
from launch.console import say
from launch.errors import NotemillError
from launch.poisoned import refuse_stamped
from pretrain.config import NUM_TOKEN_TYPES
from pretrain.huggingface.encoder import Encoder, Published, require_finite
from pretrain.huggingface.shape import ACTIVATIONS, from_huggingface_config
from pretrain.huggingface.weights import TIED, from_huggingface

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_HEADS = {
    "the pooler": "bert.pooler.",
    "the language-model head": "cls.predictions.",
    "the sentence-order head": "cls.seq_relationship.",
}
_BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")


def read_model(folder: Path) -> Published:
    """Raises NotemillError for what is no megatron-bert, is damaged, or would not compute what it was trained for."""
    if not folder.is_dir():
        raise NotemillError(f"no folder at {folder}; give --hf a folder with config.json and model.safetensors.")
    config = _read_config(folder)
    refuse_stamped(folder)
    files = _weight_files(folder)
    tensors = _read_tensors(files)
    missing = _check_tensors(folder, config, tensors)
    weights = from_huggingface(tensors, num_layers=config.num_hidden_layers, num_heads=config.num_attention_heads)
    names = [[path.name, sha256_file(path)] for path in (folder / "config.json", *files)]
    encoder = Encoder(from_huggingface_config(config), config.vocab_size, weights, missing, sha256_json(names))
    return Published(encoder, config, tensors)


# config.json


def _read_config(folder: Path) -> Any:
    from transformers import MegatronBertConfig

    path = folder / "config.json"
    found = read_json(path, "model configuration", "download the folder again")
    if not isinstance(found, dict) or found.get("model_type") != "megatron-bert":
        kind = found.get("model_type") if isinstance(found, dict) else None
        raise NotemillError(
            f'{path} describes a model of type {json.dumps(kind)}; only "megatron-bert" can be '
            "continued, as the trainer has no other architecture."
        )
    try:
        config = MegatronBertConfig.from_dict(found)
    except Exception as error:  # transformers' own exceptions for wrong types have no common base
        reason = " ".join(str(error).split()).rstrip(".")
        raise NotemillError(f"{path} is no configuration of a megatron-bert: {reason}.") from None
    surprises = [
        f"{key} is {json.dumps(value)} and must be {wanted}"
        for key, value, holds, wanted in (
            ("hidden_act", config.hidden_act, config.hidden_act in ACTIVATIONS, "a GELU"),
            ("is_decoder", config.is_decoder, not config.is_decoder, "false"),
            ("tie_word_embeddings", config.tie_word_embeddings, config.tie_word_embeddings, "true"),
            ("type_vocab_size", config.type_vocab_size, config.type_vocab_size == NUM_TOKEN_TYPES, NUM_TOKEN_TYPES),
            (
                "position_embedding_type",
                found.get("position_embedding_type", "absolute"),
                found.get("position_embedding_type", "absolute") == "absolute",
                '"absolute"',
            ),
        )
        if not holds
    ]
    if surprises:
        raise NotemillError(
            f"{path} describes a model that the trainer cannot compute: {'; '.join(surprises)}; continue from another "
            "checkpoint."
        )
    return config


# tensors


def _weight_files(folder: Path) -> list[Path]:
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _parts_of(index)
    raise NotemillError(
        f"{folder} holds no weights: none of {', '.join(_WEIGHT_FILES)} and their index files is there; download the "
        "folder again."
    )


def _parts_of(index: Path) -> list[Path]:
    found = read_json(index, "index of weights", "download the folder again")
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise NotemillError(f"{index} has no weight_map that names files; download the folder again.")
    files = [index.with_name(Path(name).name) for name in sorted(set(places.values()))]
    lost = [path.name for path in files if not path.is_file()]
    if lost:
        raise NotemillError(f"{index} names {', '.join(lost)}, which {index.parent} lacks; download the folder again.")
    return files


def _read_tensors(files: list[Path]) -> dict[str, torch.Tensor]:
    """All tensors in fp32, under the names of MegatronBertForPreTraining."""
    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        tensors |= _read_file(path)
    if any(name.startswith("embeddings.") for name in tensors):
        # A bare MegatronBertModel.
        tensors = {f"bert.{name}": tensor for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if name.startswith(("bert.", "cls.")) and name not in _BUFFERS:
            if not tensor.is_floating_point():
                raise NotemillError(
                    f"{name} in {files[0].parent} is of {tensor.dtype}; quantised weights do not train."
                )
            tensors[name] = tensor.float()
            require_finite(name, tensors[name], files[0].parent)
    return tensors


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # each format has many, and of a cut file torch's is a RuntimeError or an EOFError
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise NotemillError(
            f"{path} cannot be read as plain tensors ({type(error).__name__}: {reason}); download it again, or have "
            "it saved as safetensors."
        ) from None
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise NotemillError(f"{path} holds no plain names and tensors, so it is no saved model; give another folder.")
    return found


def _check_tensors(folder: Path, config: Any, tensors: dict[str, torch.Tensor]) -> list[str]:
    """Leave in `tensors` what the model has, each once; gives the heads that are missing. Raises NotemillError."""
    expected = _expected_shapes(folder, config)
    _untie(folder, tensors)
    for name in _BUFFERS:
        tensors.pop(name, None)
    unknown = [name for name in tensors if name not in expected]
    inside = [name for name in unknown if name.startswith("bert.")]
    if inside:
        raise NotemillError(
            f"{folder} has {inside[0]}, which no megatron-bert of its config.json has; it is another model, or merge "
            "its adapters first."
        )
    if unknown:
        say(f"left out, as pretraining has no such head: {', '.join(sorted(unknown))}")
    for name in unknown:
        del tensors[name]
    lost = [name for name in expected if name not in tensors and name not in TIED]
    missing = []
    for words, prefix in _HEADS.items():
        of_head = {name for name in expected if name.startswith(prefix)} - set(TIED)
        if of_head <= set(lost):
            missing.append(words)
            lost = [name for name in lost if name not in of_head]
    if lost:
        raise NotemillError(f"{folder} lacks {len(lost)} tensors of its model, the first {lost[0]}; download it again.")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != expected[name]:
            raise NotemillError(
                f"{name} in {folder} is of shape {list(tensor.shape)}, and by config.json it must be "
                f"{list(expected[name])}; the two do not belong together."
            )
    return missing


def _untie(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Take out the second names of tied tensors, which older folders save as well."""
    for second, first in TIED.items():
        found = tensors.pop(second, None)
        if found is not None and not torch.equal(found, tensors.setdefault(first, found)):
            raise NotemillError(
                f"{second} in {folder} differs from {first}; the trainer ties the two, so one of them would be lost."
            )


def _expected_shapes(folder: Path, config: Any) -> dict[str, tuple[int, ...]]:
    """Of every tensor of MegatronBertForPreTraining, from transformers itself."""
    from transformers import MegatronBertForPreTraining

    try:
        with torch.device("meta"):
            model = MegatronBertForPreTraining(config)
    except Exception as error:  # impossible shapes: ValueError, AssertionError, RuntimeError, by the layer
        reason = " ".join(str(error).split()).rstrip(".")
        raise NotemillError(f"{folder / 'config.json'} describes no model that can be built: {reason}.") from None
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
