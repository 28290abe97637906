"""Initial weights as a function of (seed, parameter name), not of the layout.

Each rank draws the whole tensor and keeps its shard, so TP, PP and DP runs start from the same model. Two schemes:

    normal   N(0, init_std²), output projections smaller by sqrt(2 x num_layers) (GPT-2, Megatron-LM)
    local    the same, but attention already looks at neighbours. The first D of H dimensions, D the width of a head,
             are kept for the position, as sinusoids, and tokens stay out of them. In the lower half of the layers a
             head's keys read just these, and its queries the same turned by -1, 1, -2, 2, -4, ... tokens.

A small model spends its first millions of tokens at the loss of single-piece frequencies until it finds that neighbours
matter; `local` spares it that. It is in the manner of "Mimetic Initialization of Self-Attention Layers" (Trockman and
Kolter, 2023): weights start as what training would make of them. The dimensions have to be apart: where tokens and
positions share all of them, either the tokens' first large steps blur the attention or positions drown the tokens.

Megatron-BERT has no norm behind its embeddings, and Adam's first steps make layers add vectors of about 1 a dimension
to embeddings of 0.02. The first layer then learns to be the embedding, adds ten times as much as any other and leaves
them little to say, in fine-tuning too. With `model.embedding_std=0.5` they are of that length from the start, and the
layers stay equal. What the tied decoder reads is made shorter by as much, so that logits start as they would. Long
embeddings also learn more slowly: in runs of less than a thousand steps they do harm.
"""

import hashlib
import math
import re
from typing import Any

import torch
from megatron.core import parallel_state

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.model.bert import MegatronBert

_LOCAL_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.*)")
_QKV = re.compile(r"encoder\.layers\.(\d+)\.self_attention\.linear_qkv\.weight")
_RESIDUAL_OUTPUTS = ("self_attention.linear_proj.weight", "mlp.linear_fc2.weight")

_POSITION_ENERGY = 4.0
"""Squared length of a position over that of a token: queries and keys see little else."""
_ATTENTION_SHARPNESS = 40.0
"""Score of a query with the key it looks for; the key beside it scores 5 less. Larger ones train no better and cost
precision, all the more in bf16."""
_SLOWEST = 0.1
"""Radians a token of the slowest sinusoid; the fastest has 1."""
_TOKENS_IN_POSITION_DIMENSIONS = 0.02
_POSITIONS_ELSEWHERE = 0.1
"""Shares of the usual spread that keep the other dimensions from being exactly zero."""


@torch.no_grad()
def initialise(chunk: MegatronBert, config: PretrainConfig) -> None:
    """Fill `chunk` with initial weights: matrices by `model.init`, zero biases, unit norms."""
    tensor_rank, tensor_size = (
        parallel_state.get_tensor_model_parallel_rank(),
        parallel_state.get_tensor_model_parallel_world_size(),
    )
    for local_name, parameter in chunk.named_parameters():
        name = global_name(chunk, local_name)
        if parameter.dim() == 1:
            parameter.fill_(initial_value(name, config.model))
            continue
        shape = list(parameter.shape)
        dimension = sharded_dimension(parameter) if tensor_size > 1 else None
        if dimension is not None:
            shape[dimension] *= tensor_size
        whole = initial_matrix(name, shape, config.model, config.train.seed)
        parameter.copy_(whole if dimension is None else whole.chunk(tensor_size, dim=dimension)[tensor_rank])


def global_name(chunk: MegatronBert, name: str) -> str:
    """A parameter's name in the whole model: layers counted over all stages, tied weights under one name."""
    match = _LOCAL_LAYER.fullmatch(name)
    if match:
        return f"encoder.layers.{chunk.encoder.layers[int(match[1])].layer_number - 1}.{match[2]}"
    return "embedding.word_embeddings.weight" if name == "output_layer.weight" else name


def initial_value(name: str, model: ModelConfig) -> float:
    """What the whole vector of that global name starts as: biases with 0, norms with 1."""
    if name == "lm_head.layer_norm.weight":
        return 1 / _times_as_long(model)
    return 1.0 if "norm" in name and name.endswith("weight") else 0.0


def initial_matrix(name: str, shape: list[int], model: ModelConfig, seed: int) -> torch.Tensor:
    """The whole matrix of that global name, by `model.init`."""
    std = model.init_std
    if name.endswith(_RESIDUAL_OUTPUTS):
        std /= math.sqrt(2 * model.num_layers)
    matrix = torch.empty(shape).normal_(0.0, std, generator=_generator(seed, name))
    if model.init == "local":
        width = model.hidden_size // model.num_attention_heads // 2 * 2
        qkv = _QKV.fullmatch(name)
        if name == "embedding.word_embeddings.weight":
            matrix[:, :width] *= _TOKENS_IN_POSITION_DIMENSIONS
        elif name == "embedding.position_embeddings.weight":
            matrix *= _POSITIONS_ELSEWHERE
            # A token's squared length is std² (H - D), that of D / 2 pairs of sine and cosine D / 2.
            amplitude = std * math.sqrt(_POSITION_ENERGY * (model.hidden_size - width) / (width / 2))
            matrix[:, :width] = amplitude * sinusoids(shape[0], width)
        elif qkv and int(qkv[1]) < (model.num_layers + 1) // 2:
            _look_at_neighbours(matrix, width, model.num_attention_heads)
    return matrix * _times_as_long(model) if name.startswith("embedding.") else matrix


def _times_as_long(model: ModelConfig) -> float:
    return 1.0 if model.embedding_std is None else model.embedding_std / model.init_std


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """[positions, width]: sine and cosine of each frequency side by side."""
    angles_PF = torch.arange(positions).unsqueeze(1) * _frequencies(width)
    return torch.stack((angles_PF.sin(), angles_PF.cos()), dim=-1).flatten(1)


def _look_at_neighbours(qkv_RH: torch.Tensor, width: int, num_heads: int) -> None:
    """Change `qkv_RH` [3 x H, H], head by head, so that heads look at fixed offsets."""
    hidden_size = qkv_RH.shape[1]
    weights_N3DH = qkv_RH.view(num_heads, 3, -1, hidden_size)
    # The layer norm before attention gives inputs of squared length H, of which positions have their share.
    position_energy = hidden_size * _POSITION_ENERGY / (_POSITION_ENERGY + 1)
    scale = math.sqrt(_ATTENTION_SHARPNESS * math.sqrt(weights_N3DH.shape[2]) / position_energy)
    for head in range(num_heads):
        offset = (-1) ** (head + 1) * 2 ** (head // 2 % 5)
        query_DH, key_DH = weights_N3DH[head, 0, :width], weights_N3DH[head, 1, :width]
        key_DH[:, :width] += scale * torch.eye(width)
        query_DH[:, :width] += scale * _turn(torch.eye(width), offset)


def _turn(weights_DW: torch.Tensor, offset: int) -> torch.Tensor:
    """Weights that give for position i what `weights_DW` gives for position i + offset."""
    sines_DF, cosines_DF = weights_DW.unflatten(1, (-1, 2)).unbind(-1)
    angles_F = offset * _frequencies(weights_DW.shape[1])
    turned_sines_DF = sines_DF * angles_F.cos() - cosines_DF * angles_F.sin()
    turned_cosines_DF = sines_DF * angles_F.sin() + cosines_DF * angles_F.cos()
    return torch.stack((turned_sines_DF, turned_cosines_DF), dim=-1).flatten(1)


def _frequencies(width: int) -> torch.Tensor:
    """[width / 2] radians a token, evenly spaced in their logarithm."""
    return torch.logspace(0, math.log10(_SLOWEST), width // 2)


def sharded_dimension(parameter: Any) -> int | None:
    """Along which dimension tensor ranks share a parameter; None where each holds all of it."""
    return parameter.partition_dim if getattr(parameter, "tensor_model_parallel", False) else None


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
