"""Writes a random model as others publish theirs."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

HIDDEN, POSITIONS = 32, 64
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def publish(folder: Path, tokenizer: Path, model_class: str = "MegatronBertForPreTraining", **save: object) -> None:
    """A model of the shape of `tests.pretrain.launching.TINY`; `save` goes to save_pretrained."""
    import transformers

    vocab_size = json.loads((tokenizer / "manifest.json").read_text())["vocab_size"]
    config = transformers.MegatronBertConfig(
        vocab_size=vocab_size,
        hidden_size=HIDDEN,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=4 * HIDDEN,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=0.0,
    )
    torch.manual_seed(1)
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough that a swapped or forgotten tensor shows in the logits.
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder, **save)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, folder / name)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder that is not in parts."""
    return load_file(folder / "model.safetensors")
