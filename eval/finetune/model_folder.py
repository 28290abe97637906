"""A fine-tuned model as a Hugging Face folder that only its owner can read, and that appears whole or not at all."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import whole_folder
from launch.attention.long_form import attention_window, write_code


def config_with_labels(encoder: Any, labels: Sequence[str]) -> Any:
    """The encoder's configuration with as many classes, and with as many embeddings as the encoder has now."""
    config = copy.deepcopy(encoder.config)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.vocab_size = encoder.get_input_embeddings().num_embeddings
    return config


def write_model_folder(
    folder: Path, model: Any, tokenizer: Any, max_length: int, add: Callable[[Path], None] | None = None
) -> None:
    """Save a transformers model and its tokenizer; `add` writes what else the folder shall hold."""
    with whole_folder(folder, replaces=True) as temporary:
        model.save_pretrained(temporary)
        if model.config.model_type == "megatron-bert" and attention_window(model.config) is not None:
            write_code(temporary)
        unlimited, tokenizer.model_max_length = tokenizer.model_max_length, max_length
        tokenizer.save_pretrained(temporary)
        tokenizer.model_max_length = unlimited
        if add is not None:
            add(temporary)
