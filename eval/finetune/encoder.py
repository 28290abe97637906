"""The model and tokenizer under test: any Hugging Face folder, read from disk only.

The folder must hold every weight of the bare encoder; a pooler or a pretraining head may be missing or left over. With
`initial="random"` the same architecture is built from config.json and no weight is read.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_pipeline.files import sha256_file
from eval.finetune.batches import Batch
from launch.errors import NotemillError

_WEIGHT_SUFFIXES = (".safetensors", ".bin")


@dataclass(frozen=True)
class Pieces:
    """A tokenised text: piece ids and the characters [start, end) that each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


MOST_PIECES_WITHOUT_EMBEDDING = 64
"""Special pieces that published tokenizers have and their models were not trained with; new embeddings are made."""
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
"""One of which a fast tokenizer is made from."""


class TextEncoder:
    """The tokenizer with what the heads need of it; texts are never cut here."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        _require_folder(folder)
        if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
            # transformers would make one up that knows no word.
            raise NotemillError(f"no tokenizer in {folder}: there is none of {', '.join(_TOKENIZER_FILES)}.")
        try:
            # A byte-level tokenizer reads ready-made words only with a prefix space; word-piece ones ignore the flag.
            self.tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, use_fast=True, add_prefix_space=True
            )
        except Exception as error:  # tokenizers raises nothing narrower
            raise NotemillError(f"no tokenizer can be loaded from {folder}: {_one_line(error)}") from None
        if not getattr(self.tokenizer, "is_fast", False):
            raise NotemillError(f"the tokenizer in {folder} has no tokenizer.json; offsets need a fast tokenizer.")
        self.max_length = int(min(self.tokenizer.model_max_length, 10**9))
        """Pieces that the folder says its model reads; a fine-tuned one says how long its windows were."""
        self.tokenizer.model_max_length = 10**9
        self.cls_id = _first_id(folder, "[CLS]", self.tokenizer.cls_token_id, self.tokenizer.bos_token_id)
        self.sep_id = _first_id(folder, "[SEP]", self.tokenizer.sep_token_id, self.tokenizer.eos_token_id)
        self.pad_id = _first_id(folder, "[PAD]", self.tokenizer.pad_token_id, self.sep_id)
        self.unk_id = self.tokenizer.unk_token_id if self.tokenizer.unk_token_id is not None else self.pad_id
        # A model without [MASK] has the unknown piece in its place.
        self.mask_id = self.tokenizer.mask_token_id if self.tokenizer.mask_token_id is not None else self.unk_id
        one, two = self.tokenizer(["a", "a a"], add_special_tokens=False)["input_ids"]
        # Where a space is part of a word's pieces, a ready-made word needs its space to look as it does in text.
        self._before_word = "" if two == [*one, *one] else " "
        self.added: dict[int, list[int]] = {}
        """Pieces that the folder does not have. For words, the pieces that they were cut into before."""

    def add_tokens(self, tokens: tuple[str, ...]) -> None:
        self._add([_whole(token) for token in tokens], {}, is_special=True)

    def add_words(self, words: list[str]) -> None:
        """Make each a piece of its own, wherever it stands as a whole word."""
        from tokenizers import AddedToken

        before = dict(zip(words, self.word_pieces(words), strict=True))
        space = bool(self._before_word)
        self._add([AddedToken(word, single_word=True, lstrip=space, normalized=False) for word in words], before)

    def _add(self, tokens: list[Any], parts: Mapping[str, list[int]], is_special: bool = False) -> None:
        known = set(self.tokenizer.get_vocab().values())
        self.tokenizer.add_tokens(tokens, special_tokens=is_special)
        vocabulary = self.tokenizer.get_vocab()
        self.added |= {piece: parts.get(name, []) for name, piece in vocabulary.items() if piece not in known}

    def pieces(self, texts: list[str]) -> list[Pieces]:
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        return [
            Pieces(list(ids), [_without_space(text, int(a), int(b)) for a, b in offsets])
            for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]

    def word_pieces(self, words: list[str]) -> list[list[int]]:
        """Pieces of each word; a word that the tokenizer drops (a control character) becomes the unknown piece."""
        if not words:
            return []
        words = [self._before_word + word for word in words]
        encoded = self.tokenizer(words, is_split_into_words=True, add_special_tokens=False)
        pieces: list[list[int]] = [[] for _ in words]
        for piece, word in zip(encoded["input_ids"], encoded.word_ids(), strict=True):
            pieces[word].append(piece)
        return [ids or [self.unk_id] for ids in pieces]


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


def load_config_of(folder: Path) -> Any:
    """The folder's config.json as a transformers configuration. Raises NotemillError."""
    from transformers import AutoConfig

    _require_folder(folder)
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # Of a damaged file transformers raises what its reading stumbles over.
        raise NotemillError(f"the model folder {folder} has no usable config.json: {_one_line(error)}") from None
    if not all(isinstance(getattr(config, name, None), int) for name in ("hidden_size", "vocab_size")):
        raise NotemillError(
            f"the model in {folder} ({config.model_type}) is no encoder of text with a hidden_size and a vocab_size."
        )
    return config


def count_parameters(folder: Path, config: Any) -> int:
    """Of the bare encoder, pooler apart, counted on a model without memory. Raises NotemillError for no such model."""
    from transformers import AutoModel

    try:
        with torch.device("meta"):
            model = AutoModel.from_config(config)
    except Exception as error:  # A value that does not fit the others fails where it is used.
        raise NotemillError(
            f"no model can be built from config.json in {folder}: {type(error).__name__}: {_one_line(error)}"
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


def set_dropout(config: Any, hidden_dropout: float, attention_dropout: float) -> None:
    """Set what the architecture has of dropout, under its own names. Raises NotemillError where it has none to set."""
    for key, names, value in (
        ("hidden_dropout", _HIDDEN_DROPOUT, hidden_dropout),
        ("attention_dropout", _ATTENTION_DROPOUT, attention_dropout),
    ):
        own = [name for name in names if hasattr(config, name)]
        if value and not own:
            raise NotemillError(
                f"{key} is {value} but a {config.model_type} model has none of {', '.join(names)} in its "
                f"configuration; add {key}=0."
            )
        for name in own:
            setattr(config, name, value)


_HIDDEN_DROPOUT = (
    "hidden_dropout_prob",
    "hidden_dropout",
    "dropout",
    "dropout_rate",
    "embedding_dropout",
    "mlp_dropout",
)
"""As BERT, RoBERTa, ELECTRA and DeBERTa name it; Funnel; DistilBERT and XLNet; T5; ModernBERT has the last two."""
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""As BERT and its kin name it; DistilBERT, ModernBERT, Funnel."""


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
        problem = _one_line(error)
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

    Raises NotemillError where they cannot be loaded, or some are missing whose names do not hold `optional`; `what` and
    `remedy` are for the message.
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
        raise NotemillError(f"the weights in {folder} cannot be loaded: {_one_line(error)}") from None
    missing = sorted(key for key in loading["missing_keys"] if optional is None or optional not in key)
    if missing:
        raise NotemillError(f"{len(missing)} weights of {what} are missing in {folder}, {missing[0]} first; {remedy}.")
    return model


def attention_of(config: Any) -> str | None:
    """The implementation to ask transformers for; None is its own choice, which is good for other architectures."""
    if config.model_type != "megatron-bert" or config.is_decoder:
        return None
    from launch.attention.interface import enable_attention_interface
    from launch.attention.long_form import attention_window
    from launch.attention.self_attention import NOTEMILL, SLIDING_WINDOW

    enable_attention_interface()
    return NOTEMILL if attention_window(config) is None else SLIDING_WINDOW


UNLIMITED = 10**9
"""Positions of a model that has no table of them."""


def max_positions(config: Any) -> int:
    """Longest input in pieces; RoBERTa's table starts after the padding index."""
    positions = int(getattr(config, "max_position_embeddings", None) or UNLIMITED)
    if positions < 0:  # XLNet's, which has no table of them.
        return UNLIMITED
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "longformer"):
        positions -= int(config.pad_token_id) + 1
    return positions


def require_positions(folder: Path, config: Any, max_length: int, key: str = "max_length") -> None:
    """Raise NotemillError where a window of `max_length` pieces is longer than the model reads."""
    if max_length > max_positions(config):
        raise NotemillError(
            f"{key} is {max_length} but the model in {folder} reads at most {max_positions(config)} pieces; add "
            f"{key}={max_positions(config)}."
        )


def model_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the configuration, weight and tokenizer files of a model folder."""
    _require_folder(folder)
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and (path.suffix in _WEIGHT_SUFFIXES or path.name in _NAMED_FILES)
    ]
    return {path.name: sha256_file(path) for path in files}


_NAMED_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "added_tokens.json",
    "special_tokens_map.json",
)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotemillError(f"no model folder at {folder}; give a folder with config.json and weights.")
    if not (folder / "config.json").is_file():
        raise NotemillError(f"{folder} holds no config.json; give the folder that `notemill export` wrote.")


def _first_id(folder: Path, name: str, *candidates: int | None) -> int:
    for candidate in candidates:
        if candidate is not None:
            return candidate
    raise NotemillError(f"the tokenizer in {folder} names no {name} token in tokenizer_config.json.")


def _whole(token: str) -> Any:
    from tokenizers import AddedToken

    return AddedToken(token, normalized=False, single_word=False)


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends, which byte-level and sentencepiece pieces take in."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _one_line(error: BaseException) -> str:
    lines = str(error).split("\n") if str(error).strip() else [type(error).__name__]
    told = [" ".join(line.split()) for line in lines if line.strip()]
    # Where the first line only names what follows, as in "Validation error for field 'hidden_size':".
    first = " ".join(told[:2]) if told[0].endswith(":") else told[0]
    return first.rstrip(".") + "."


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
