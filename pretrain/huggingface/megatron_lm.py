"""Reads a BERT checkpoint of NVIDIA's Megatron-LM, of any tensor and pipeline ranks, as published before megatron-core.

    FOLDER/latest_checkpointed_iteration.txt      says which iter_XXXXXXX or release folder
           release/mp_rank_00/model_optim_rng.pt  one a tensor rank; mp_rank_TT_PPP where there are pipeline ranks

Two generations of names are about (`transformer` and `attention`, later `encoder` and `self_attention`; `layernorm`,
later `norm`), and three orders of the attention input projection, which `checkpoint_version` tells apart:

    none, 0    [(query, key, value), heads, head width]
    1          [heads, head width, (query, key, value)]
    2, 3       [heads, (query, key, value), head width], as megatron-core has it
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import sha256_file, sha256_json
from launch.errors import NotemillError
from pretrain.checkpoint.pickles import load_plain
from pretrain.config import ModelConfig
from pretrain.huggingface.encoder import HEADS, Encoder, require_finite

_FILES = ("model_optim_rng.pt", "model_rng.pt", "model.pt")
_RANK = re.compile(r"mp_rank_(\d+)(?:_(\d+))?")
_HEAD_WIDTH = 64
"""Of every BERT that NVIDIA published; for checkpoints that do not say how many heads they have."""
_EPSILON = 1e-5
"""Megatron-LM's default, for checkpoints that do not say."""

_NEWER = (
    (re.compile(r"^transformer\."), "encoder."),
    (re.compile(r"\.attention\."), ".self_attention."),
    (re.compile(r"\b(input|post_attention|final)_norm\b"), r"\1_layernorm"),
)
_OF_ENCODER = {
    "self_attention.query_key_value": ("self_attention.linear_qkv", 0),
    "self_attention.dense": ("self_attention.linear_proj", 1),
    "mlp.dense_h_to_4h": ("mlp.linear_fc1", 0),
    "mlp.dense_4h_to_h": ("mlp.linear_fc2", 1),
    "input_layernorm": ("input_layernorm", None),
    "post_attention_layernorm": ("pre_mlp_layernorm", None),
}
"""A layer's module: megatron-core's name, and which dimension of its weight the tensor ranks share."""


@dataclass(frozen=True)
class _Stage:
    """What one pipeline rank, or one of its virtual stages, holds: tensors of each tensor rank by dotted name."""

    ranks: tuple[dict[str, torch.Tensor], ...]

    def merged(self, name: str, dim: int | None) -> torch.Tensor:
        """One tensor in fp32 of all tensor ranks; each of them holds all of it where `dim` is None."""
        parts = [rank[name].float() for rank in self.ranks]
        return parts[0] if dim is None else torch.cat(parts, dim)


def read_megatron_lm(folder: Path) -> Encoder:
    """Raises NotemillError for what is no such checkpoint, lacks ranks, or cannot be loaded without running code."""
    files = _rank_files(_iteration(folder))
    loaded = {rank: load_plain(path) for rank, path in files.items()}
    first = loaded[0, 0]
    if not isinstance(first, dict) or not _chunks(first):
        raise NotemillError(f"{files[0, 0]} holds no model of Megatron-LM; give another folder.")
    stages = _stages(loaded, files)
    try:
        weights = _weights(stages, _settings(first), float(first.get("checkpoint_version") or 0))
    except KeyError as error:
        raise NotemillError(
            f"the checkpoint in {folder} lacks {error.args[0]}, so it is no BERT of Megatron-LM, or not all of one."
        ) from None
    except RuntimeError as error:  # shapes that do not go together
        reason = " ".join(str(error).split())
        raise NotemillError(f"the parts of the checkpoint in {folder} do not fit together: {reason}.") from None
    for name, tensor in weights.items():
        require_finite(name, tensor, folder)
    missing = [words for words, prefixes in HEADS.items() if not any(name.startswith(prefixes) for name in weights)]
    names = [[path.parent.name, sha256_file(path)] for _, path in sorted(files.items())]
    vocab_size = weights["embedding.word_embeddings.weight"].shape[0]
    shape = _shape(weights, _settings(first))
    return Encoder(shape, vocab_size, weights, missing, sha256_json(names), _assumed(shape, _settings(first)))


# files


def _iteration(folder: Path) -> Path:
    """The folder that holds mp_rank_… folders."""
    if folder.is_file():
        folder = folder.parent.parent
    if not folder.is_dir():
        raise NotemillError(f"no folder at {folder}; give --megatron-lm a folder with mp_rank_00 or an iter_XXXXXXX.")
    tracker = folder / "latest_checkpointed_iteration.txt"
    if tracker.is_file():
        name = tracker.read_text().strip()
        return folder / (f"iter_{int(name):07d}" if name.isdecimal() else name)
    return folder / "release" if (folder / "release").is_dir() else folder


def _rank_files(folder: Path) -> dict[tuple[int, int], Path]:
    """File by (tensor rank, pipeline rank), of a full grid."""
    found = {}
    for path in folder.glob("mp_rank_*") if folder.is_dir() else ():
        named = _RANK.fullmatch(path.name)
        file = next((path / name for name in _FILES if (path / name).is_file()), None)
        if named and file:
            found[int(named[1]), int(named[2] or 0)] = file
    if not found:
        raise NotemillError(f"{folder} holds no mp_rank_00/{_FILES[0]}, so it is no checkpoint of Megatron-LM.")
    tensor, pipeline = (1 + max(place) for place in zip(*found, strict=True))
    for rank in ((t, p) for t in range(tensor) for p in range(pipeline)):
        if rank not in found:
            raise NotemillError(
                f"{folder} has ranks up to tensor {tensor - 1} and pipeline {pipeline - 1}, but none of tensor "
                f"{rank[0]} and pipeline {rank[1]}; copy all of its mp_rank_ folders."
            )
    return found


def _stages(loaded: dict[tuple[int, int], Any], files: dict[tuple[int, int], Path]) -> list[_Stage]:
    """In the order of their layers: the virtual stages of all pipeline ranks in turn."""
    tensor, pipeline = (1 + max(place) for place in zip(*loaded, strict=True))
    chunks = {rank: _chunks(state) if isinstance(state, dict) else [] for rank, state in loaded.items()}
    virtual = len(chunks[0, 0])
    for rank, found in chunks.items():
        if len(found) != virtual:
            raise NotemillError(
                f"{files[rank]} holds no part of the model that mp_rank_00 does; copy the folder again."
            )
    return [
        _Stage(tuple(_flat(chunks[t, p][chunk]) for t in range(tensor)))
        for chunk in range(virtual)
        for p in range(pipeline)
    ]


def _chunks(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The model, or its virtual stages `model0`, `model1`, …"""
    if isinstance(state.get("model"), dict):
        return [state["model"]]
    chunks: list[dict[str, Any]] = []
    while isinstance(state.get(f"model{len(chunks)}"), dict):
        chunks.append(state[f"model{len(chunks)}"])
    return chunks


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors by dotted name, in the newer generation's terms and without the enclosing `language_model`."""
    tensors: dict[str, torch.Tensor] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            tensors |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor):
            name = f"{prefix}{key}".removeprefix("language_model.")
            for older, newer in _NEWER:
                name = older.sub(newer, name)
            tensors[name] = value
    return tensors


# tensors


def _weights(stages: Sequence[_Stage], settings: dict[str, Any], version: float) -> dict[str, torch.Tensor]:
    """fp32, unsharded, under megatron-core's names."""
    first, last = stages[0], stages[-1]
    weights = {
        "embedding.word_embeddings.weight": first.merged("embedding.word_embeddings.weight", 0),
        "embedding.position_embeddings.weight": first.merged("embedding.position_embeddings.weight", None),
        "embedding.tokentype_embeddings.weight": first.merged("embedding.tokentype_embeddings.weight", None),
    }
    hidden = weights["embedding.word_embeddings.weight"].shape[1]
    heads = settings.get("num_attention_heads") or max(1, hidden // _HEAD_WIDTH)
    layer = 0
    for stage in stages:
        here = 0
        while f"encoder.layers.{here}.input_layernorm.weight" in stage.ranks[0]:
            weights |= _layer(stage, f"encoder.layers.{here}", f"encoder.layers.{layer}", heads, version)
            here, layer = here + 1, layer + 1
    for kind in ("weight", "bias"):
        weights[f"encoder.final_layernorm.{kind}"] = last.merged(f"encoder.final_layernorm.{kind}", None)
    return weights | _heads(last)


def _layer(stage: _Stage, source: str, target: str, heads: int, version: float) -> dict[str, torch.Tensor]:
    weights = {}
    for theirs, (ours, dim) in _OF_ENCODER.items():
        for kind in ("weight", "bias"):
            name = f"{source}.{theirs}.{kind}"
            if ours.endswith("linear_qkv"):
                ranks = [_ordered(rank[name].float(), heads // len(stage.ranks), version) for rank in stage.ranks]
                weights[f"{target}.{ours}.{kind}"] = torch.cat(ranks)
            else:
                # A bias is shared out with the rows of its matrix and whole where its columns are.
                weights[f"{target}.{ours}.{kind}"] = stage.merged(name, dim if kind == "weight" or dim == 0 else None)
    return weights


def _ordered(fused: torch.Tensor, heads: int, version: float) -> torch.Tensor:
    """One rank's query, key and value as [heads, 3, head width] in the first dimension."""
    rest = fused.shape[1:]
    if version >= 2:
        return fused
    if version == 1:
        return fused.reshape(heads, -1, 3, *rest).transpose(1, 2).reshape(-1, *rest)
    return fused.reshape(3, heads, -1, *rest).transpose(0, 1).reshape(-1, *rest)


def _heads(stage: _Stage) -> dict[str, torch.Tensor]:
    """What of the pooler and the two heads is there."""
    weights = {}
    found = stage.ranks[0]
    norm = "lm_head.layernorm" if "lm_head.layernorm.weight" in found else "lm_head.norm"
    for theirs, ours, dim in (
        ("pooler.dense.{}", "pooler.{}", None),
        ("lm_head.dense.{}", "lm_head.dense.{}", None),
        (f"{norm}.{{}}", "lm_head.layer_norm.{}", None),
        ("binary_head.{}", "binary_head.{}", None),
    ):
        for kind in ("weight", "bias"):
            if theirs.format(kind) in found:
                weights[ours.format(kind)] = stage.merged(theirs.format(kind), dim)
    if "lm_head.bias" in found:
        weights["output_layer.bias"] = stage.merged("lm_head.bias", 0)
    return weights


# shape


def _settings(state: dict[str, Any]) -> dict[str, Any]:
    """Megatron-LM's command line as it was saved; empty where it was not."""
    args = state.get("args")
    return args if isinstance(args, dict) else dict(vars(args)) if args is not None else {}


def _shape(weights: dict[str, torch.Tensor], settings: dict[str, Any]) -> ModelConfig:
    hidden = weights["embedding.word_embeddings.weight"].shape[1]
    epsilon = settings.get("layernorm_epsilon", settings.get("norm_epsilon"))
    # Megatron-LM fuses bias and GELU unless told otherwise, in the tanh form, which is openai_gelu's too.
    is_tanh = settings.get("bias_gelu_fusion", True) or settings.get("openai_gelu", False)
    return ModelConfig(
        num_layers=1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layers.")),
        hidden_size=hidden,
        num_attention_heads=settings.get("num_attention_heads") or max(1, hidden // _HEAD_WIDTH),
        ffn_hidden_size=weights["encoder.layers.0.mlp.linear_fc1.weight"].shape[0],
        max_position_embeddings=weights["embedding.position_embeddings.weight"].shape[0],
        activation="gelu_tanh" if is_tanh else "gelu",
        hidden_dropout=float(settings.get("hidden_dropout", 0.1)),
        attention_dropout=0.0,
        layernorm_epsilon=float(_EPSILON if epsilon is None else epsilon),
    )


def _assumed(shape: ModelConfig, settings: dict[str, Any]) -> tuple[str, ...]:
    """What the checkpoint's own settings do not say."""
    said = {
        f"{shape.num_attention_heads} attention heads": ("num_attention_heads",),
        f"layer norm epsilon {shape.layernorm_epsilon:g}": ("layernorm_epsilon", "norm_epsilon"),
        f"GELU as {shape.activation}": ("bias_gelu_fusion", "openai_gelu"),
    }
    return tuple(words for words, keys in said.items() if not any(key in settings for key in keys))
