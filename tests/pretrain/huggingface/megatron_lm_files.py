"""Writes the tensors of a Hugging Face folder as NVIDIA's Megatron-LM saved its BERT."""

import argparse
import enum
import random
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

HEADS = 4
LAYERS = 4


class ModelType(enum.Enum):
    """Stands for Megatron-LM's own class of that name, which no reader has."""

    encoder_or_decoder = 1


def write_megatron_lm(
    folder: Path,
    hf: Path,
    *,
    tensor: int = 1,
    pipeline: int = 1,
    virtual: int = 1,
    version: float | None = 3.0,
    is_older: bool = False,
    dtype: torch.dtype = torch.float32,
    args: dict[str, object] | None = None,
) -> Path:
    """The iteration's folder; layers are dealt out over pipeline ranks and their virtual stages."""
    whole = {name: value.to(dtype) for name, value in load_file(hf / "model.safetensors").items()}
    iteration = folder / "iter_0000500"
    each = LAYERS // (pipeline * virtual)
    for t in range(tensor):
        for p in range(pipeline):
            chunks = []
            for v in range(virtual):
                stage = v * pipeline + p
                is_last = stage == pipeline * virtual - 1
                layers = range(stage * each, (stage + 1) * each)
                chunks.append(_chunk(whole, layers, t, tensor, version or 0, is_older, stage == 0, is_last))
            state: dict[str, object] = {"iteration": 500, "optimizer": {"step": torch.ones(3)}}
            if version is not None:
                state["checkpoint_version"] = version
            if args is not None:
                state["args"] = argparse.Namespace(model_type=ModelType.encoder_or_decoder, rank=t, **args)
            state["rng_state"] = [{"np_rng_state": np.random.get_state(), "random_rng_state": random.getstate()}]
            state |= {"model": chunks[0]} if virtual == 1 else {f"model{v}": chunk for v, chunk in enumerate(chunks)}
            name = f"mp_rank_{t:02d}" + (f"_{p:03d}" if pipeline > 1 else "")
            (iteration / name).mkdir(parents=True)
            torch.save(state, iteration / name / "model_optim_rng.pt")
    (folder / "latest_checkpointed_iteration.txt").write_text("500\n")
    return iteration


def _chunk(whole, layers, t, tensor, version, is_older, is_first, is_last):
    def cut(value, dim):
        return value.chunk(tensor, dim)[t].clone()

    norm = "layernorm" if is_older else "norm"
    encoder = {}
    for here, layer in enumerate(layers):
        source, target = f"bert.encoder.layer.{layer}", f"layers.{here}"
        attention = f"{target}.attention" if is_older else f"{target}.self_attention"
        for kind in ("weight", "bias"):
            parts = [whole[f"{source}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            encoder[f"{attention}.query_key_value.{kind}"] = _fused([cut(part, 0) for part in parts], tensor, version)
            rows = 1 if kind == "weight" else None
            proj, out = (whole[f"{source}.{name}.{kind}"] for name in ("attention.output.dense", "output.dense"))
            encoder[f"{attention}.dense.{kind}"] = proj if rows is None else cut(proj, rows)
            encoder[f"{target}.mlp.dense_4h_to_h.{kind}"] = out if rows is None else cut(out, rows)
            encoder[f"{target}.mlp.dense_h_to_4h.{kind}"] = cut(whole[f"{source}.intermediate.dense.{kind}"], 0)
            encoder[f"{target}.input_{norm}.{kind}"] = whole[f"{source}.attention.ln.{kind}"]
            encoder[f"{target}.post_attention_{norm}.{kind}"] = whole[f"{source}.ln.{kind}"]
    model: dict[str, object] = {"language_model": {"transformer" if is_older else "encoder": encoder}}
    language_model = model["language_model"]
    embeddings = "bert.embeddings."
    words = cut(whole[f"{embeddings}word_embeddings.weight"], 0)
    if is_first:
        language_model["embedding"] = {
            "word_embeddings": {"weight": words},
            "position_embeddings": {"weight": whole[f"{embeddings}position_embeddings.weight"]},
            "tokentype_embeddings": {"weight": whole[f"{embeddings}token_type_embeddings.weight"]},
        }
    if is_last:
        for kind in ("weight", "bias"):
            encoder[f"final_{norm}.{kind}"] = whole[f"bert.encoder.ln.{kind}"]
        language_model["pooler"] = {f"dense.{kind}": whole[f"bert.pooler.dense.{kind}"] for kind in ("weight", "bias")}
        head = "cls.predictions.transform."
        model["lm_head"] = {
            "bias": cut(whole["cls.predictions.bias"], 0),
            **{f"dense.{kind}": whole[f"{head}dense.{kind}"] for kind in ("weight", "bias")},
            **{f"{norm}.{kind}": whole[f"{head}LayerNorm.{kind}"] for kind in ("weight", "bias")},
        }
        model["binary_head"] = {kind: whole[f"cls.seq_relationship.{kind}"] for kind in ("weight", "bias")}
        if not is_first:
            model["word_embeddings_for_head"] = {"weight": words}
    return model


def _fused(parts, tensor, version):
    """One rank's query, key and value in the order of that checkpoint version."""
    split = torch.stack([part.unflatten(0, (HEADS // tensor, -1)) for part in parts])
    order = {0: (0, 1, 2), 1: (1, 2, 0)}.get(int(version), (1, 0, 2))
    return split.permute(*order, *range(3, split.dim())).flatten(0, 2).contiguous()
