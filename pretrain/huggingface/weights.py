"""Names and shapes: megatron-core's encoder to Hugging Face's MegatronBertForPreTraining, one table.

The two differ only in names and in the attention input projection: megatron-core keeps one matrix ordered
[heads, (query, key, value), head width], Hugging Face three.
"""

import torch

_WHOLE_MODEL = {
    "embedding.word_embeddings.weight": "bert.embeddings.word_embeddings.weight",
    "embedding.position_embeddings.weight": "bert.embeddings.position_embeddings.weight",
    "embedding.tokentype_embeddings.weight": "bert.embeddings.token_type_embeddings.weight",
    "encoder.final_layernorm.weight": "bert.encoder.ln.weight",
    "encoder.final_layernorm.bias": "bert.encoder.ln.bias",
    "pooler.weight": "bert.pooler.dense.weight",
    "pooler.bias": "bert.pooler.dense.bias",
    "lm_head.dense.weight": "cls.predictions.transform.dense.weight",
    "lm_head.dense.bias": "cls.predictions.transform.dense.bias",
    "lm_head.layer_norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "lm_head.layer_norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "output_layer.bias": "cls.predictions.bias",
    "binary_head.weight": "cls.seq_relationship.weight",
    "binary_head.bias": "cls.seq_relationship.bias",
}
_LAYER = {
    "input_layernorm": "attention.ln",
    "self_attention.linear_proj": "attention.output.dense",
    "pre_mlp_layernorm": "ln",
    "mlp.linear_fc1": "intermediate.dense",
    "mlp.linear_fc2": "output.dense",
}
_NEVER = -1e4
"""Bias of a row that stands for no piece."""
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Hugging Face's second name of a tensor: the first."""


def to_huggingface(weights: dict[str, torch.Tensor], *, num_layers: int, num_heads: int) -> dict[str, torch.Tensor]:
    """Unsharded weights under megatron-core's names → under Hugging Face's.

    Tensors are shared but for attention inputs, each of which is taken out of `weights` when its parts are copied.
    """
    renamed = {hf_name: weights[name] for name, hf_name in _WHOLE_MODEL.items()}
    for layer in range(num_layers):
        source, target = f"encoder.layers.{layer}", f"bert.encoder.layer.{layer}"
        for kind in ("weight", "bias"):
            for name, hf_name in _LAYER.items():
                renamed[f"{target}.{hf_name}.{kind}"] = weights[f"{source}.{name}.{kind}"]
            fused = weights.pop(f"{source}.self_attention.linear_qkv.{kind}")
            for hf_name, part in zip(("query", "key", "value"), _split_qkv(fused, num_heads), strict=True):
                renamed[f"{target}.attention.self.{hf_name}.{kind}"] = part
    return renamed | {tied: renamed[original] for tied, original in TIED.items()}


def resize_vocabulary(weights: dict[str, torch.Tensor], rows: int) -> None:
    """Give the embedding and the decoder's bias, under Hugging Face's names, `rows` rows.

    Rows beyond those that are there are zeros, with a bias that no softmax chooses.
    """
    first, bias = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
    missing = rows - len(weights[first])
    if missing > 0:
        weights[first] = torch.cat((weights[first], weights[first].new_zeros(missing, weights[first].shape[1])))
        weights[bias] = torch.cat((weights[bias], weights[bias].new_full((missing,), _NEVER)))
    elif missing < 0:
        weights[first], weights[bias] = weights[first][:rows].clone(), weights[bias][:rows].clone()
    for second, original in TIED.items():
        weights[second] = weights[original]


def from_huggingface(weights: dict[str, torch.Tensor], *, num_layers: int, num_heads: int) -> dict[str, torch.Tensor]:
    """The inverse: Hugging Face's names → megatron-core's. A head that is not there is left out."""
    renamed = {name: weights[hf_name] for name, hf_name in _WHOLE_MODEL.items() if hf_name in weights}
    for layer in range(num_layers):
        source, target = f"bert.encoder.layer.{layer}", f"encoder.layers.{layer}"
        for kind in ("weight", "bias"):
            for name, hf_name in _LAYER.items():
                renamed[f"{target}.{name}.{kind}"] = weights[f"{source}.{hf_name}.{kind}"]
            parts = [weights[f"{source}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            renamed[f"{target}.self_attention.linear_qkv.{kind}"] = _fuse_qkv(parts, num_heads)
    return renamed


def _split_qkv(fused: torch.Tensor, num_heads: int) -> list[torch.Tensor]:
    by_head = fused.reshape(num_heads, 3, -1, *fused.shape[1:])
    return [by_head[:, part].flatten(0, 1).contiguous() for part in range(3)]


def _fuse_qkv(parts: list[torch.Tensor], num_heads: int) -> torch.Tensor:
    by_head = [part.unflatten(0, (num_heads, -1)) for part in parts]
    return torch.stack(by_head, dim=1).flatten(0, 2)
