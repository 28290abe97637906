"""What a model folder says of itself before its weights are read: architecture, positions, hashes."""

from pathlib import Path
from typing import Any

from data_pipeline.files import sha256_file, sha256_json
from launch.errors import NotemillError, one_line

_WEIGHT_SUFFIXES = (".safetensors", ".bin")


def load_config_of(folder: Path) -> Any:
    """The folder's config.json as a transformers configuration. Raises NotemillError."""
    from transformers import AutoConfig

    require_folder(folder)
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # Of a damaged file transformers raises what its reading stumbles over.
        raise NotemillError(f"the model folder {folder} has no usable config.json: {one_line(error)}") from None
    if not all(isinstance(getattr(config, name, None), int) for name in ("hidden_size", "vocab_size")):
        raise NotemillError(
            f"the model in {folder} ({config.model_type}) is no encoder of text with a hidden_size and a vocab_size."
        )
    return config


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
    require_folder(folder)
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and (path.suffix in _WEIGHT_SUFFIXES or path.name in _NAMED_FILES)
    ]
    return {path.name: sha256_file(path) for path in files}


def weights_sha256(folder: Path) -> str:
    """Of all weight files, whatever they are called. Raises NotemillError where there is no model."""
    hashes = model_hashes(folder)
    return sha256_json(sorted(value for name, value in hashes.items() if name.endswith(_WEIGHT_SUFFIXES)))


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


def require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotemillError(f"no model folder at {folder}; give a folder with config.json and weights.")
    if not (folder / "config.json").is_file():
        raise NotemillError(f"{folder} holds no config.json; give the folder that `notemill export` wrote.")
