"""The model under test: any Hugging Face folder, read from disk only.

The folder must hold every weight of the bare encoder; a pooler or a pretraining head may be missing or left over. With
`initial="random"` the same architecture is built from config.json and no weight is read.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eval.finetune.batches import Batch
from eval.finetune.model_config import attention_of, load_config_of, max_positions, set_dropout
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError, one_line

MOST_PIECES_WITHOUT_EMBEDDING = 64
"""Special pieces that published tokenizers have and their models were not trained with; new embeddings are made."""


class Encoder(nn.Module):
    """The bare transformer: batches in, hidden states [items, length, hidden] out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.hidden_size = int(config.hidden_size)
        self.num_segments = int(getattr(config, "type_vocab_size", 1) or 1)
        self.max_positions = max_positions(config)

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.read(batch).last_hidden_state

    def read(self, batch: Batch) -> Any:
        """All that the model gives for a batch."""
        arguments: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if batch.token_type_ids is not None:
            arguments["token_type_ids"] = batch.token_type_ids
        return self.model(**arguments)


def count_parameters(folder: Path, config: Any) -> int:
    """Of the bare encoder, pooler apart, counted on a model without memory. Raises NotemillError for no such model."""
    from transformers import AutoModel

    try:
        with torch.device("meta"):
            model = AutoModel.from_config(config)
    except Exception as error:  # A value that does not fit the others fails where it is used.
        raise NotemillError(
            f"no model can be built from config.json in {folder}: {type(error).__name__}: {one_line(error)}"
        ) from None
    return sum(p.numel() for name, p in model.named_parameters() if "pooler" not in name)


def require_embeddings(folder: Path, config: Any, text: TextEncoder) -> None:
    """Raise NotemillError where the tokenizer, before pieces are added for a task, is plainly of another model."""
    pieces = len(text.tokenizer)
    if pieces > config.vocab_size + MOST_PIECES_WITHOUT_EMBEDDING:
        raise NotemillError(
            f"the tokenizer in {folder} has {pieces} pieces but the model embeddings for {config.vocab_size}; take the "
            "tokenizer that the model was trained with."
        )


def load_encoder(
    folder: Path,
    initial: str,
    num_tokens: int,
    hidden_dropout: float = 0.0,
    attention_dropout: float = 0.0,
    added: Mapping[int, list[int]] | None = None,
) -> Encoder:
    """Build the encoder with at least `num_tokens` embeddings. Draws from torch's generator; seed it before.

    Pieces in `added` are new to the model, also where its padded embedding has a row for them. Each starts from the
    mean of the pieces it names, or spread as the model's own are.

    Raises NotemillError when weights are missing or the folder is no encoder.
    """
    from transformers import AutoModel

    config = load_config_of(folder)
    set_dropout(config, hidden_dropout, attention_dropout)
    if initial == "random":
        model = AutoModel.from_config(config, attn_implementation=attention_of(config))
    else:
        model = read_model(AutoModel, folder, config, "the encoder", "export it again", optional="pooler")
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    _add_embeddings(model, num_tokens, added or {})
    encoder = Encoder(model)
    _require_states(encoder, folder)
    return encoder


def _require_states(encoder: Encoder, folder: Path) -> None:
    """Raise NotemillError where the model does not give a state for each piece of a text."""
    two = torch.ones((1, 2), dtype=torch.long)
    batch = Batch([], two, two, two - 1 if encoder.num_segments > 1 else None)
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            problem = None if encoder(batch).shape == (1, 2, encoder.hidden_size) else "their form is another one."
    except Exception as error:  # Other kinds of models ask for other inputs, each in its own words.
        problem = one_line(error)
    for module, is_training in modes.items():
        module.training = is_training
    if problem:
        config: Any = encoder.model.config
        raise NotemillError(
            f"the {config.model_type} model in {folder} gives no states of a text's pieces, as an encoder such as BERT "
            f"does: {problem}"
        )


def read_model(kind: Any, folder: Path, config: Any, what: str, remedy: str, optional: str | None = None) -> Any:
    """The weights of `folder` in fp32 as transformers' auto class `kind` reads them, with the fastest attention.

    Raises NotemillError where they cannot be loaded or are not finite, or some are missing whose names do not hold
    `optional`; `what` and `remedy` are for the message.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, loading = kind.from_pretrained(
            str(folder),
            config=config,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
            attn_implementation=attention_of(config),
        )
    except (EOFError, pickle.UnpicklingError):  # Torch's message is a page on how to trust such a file.
        raise NotemillError(
            f"the weights in {folder} cannot be loaded: a file of them is empty, damaged or no torch file of tensors."
        ) from None
    except Exception as error:  # A SafetensorError, a KeyError, … whatever a damaged file leads to.
        raise NotemillError(f"the weights in {folder} cannot be loaded: {one_line(error)}") from None
    missing = sorted(key for key in loading["missing_keys"] if optional is None or optional not in key)
    if missing:
        raise NotemillError(f"{len(missing)} weights of {what} are missing in {folder}, {missing[0]} first; {remedy}.")
    damaged = next((name for name, value in model.named_parameters() if not torch.isfinite(value).all()), None)
    if damaged is not None:
        raise NotemillError(
            f"the weights in {folder} hold values that are not finite, in {damaged} first; export them again."
        )
    return model


@torch.no_grad()
def _add_embeddings(model: Any, num_tokens: int, added: Mapping[int, list[int]]) -> None:
    """Embeddings up to `num_tokens`; those of `added` and new rows are the mean of others or spread as the model's own.

    Trained ones are several times longer than freshly drawn ones, and than the rows that pad an embedding; beside them
    a marker would not be seen.
    """
    known = model.get_input_embeddings().num_embeddings
    num_tokens = max(num_tokens, *(piece + 1 for piece in added), 0)
    if num_tokens > known:
        model.resize_token_embeddings(num_tokens, mean_resizing=False)
    fresh = sorted({*added, *range(known, num_tokens)})
    if not fresh:
        return
    weight = model.get_input_embeddings().weight
    spread, centre = torch.std_mean(weight[: fresh[0]], dim=0)
    weight[fresh] = centre + spread * torch.randn(len(fresh), weight.shape[1])
    for piece, parts in added.items():
        if parts:
            weight[piece] = weight[parts].mean(dim=0)
