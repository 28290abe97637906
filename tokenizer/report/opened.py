"""Any tokenizer that stands in a folder, ready to encode text as it is."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from launch.errors import NotemillError
from tokenizer.folder import read_tokenizer_json
from tokenizer.wordpiece import bare_tokenizer

_TRANSFORMERS_FILES = ("tokenizer_config.json", "spiece.model", "tokenizer.model", "vocab.json")


@dataclass(frozen=True)
class OpenedTokenizer:
    """`tokenizer` neither cuts nor pads, and takes `[SEP]` in a text for text. `name` is what the report calls it."""

    name: str
    tokenizer: Tokenizer
    unknown_id: int | None

    @classmethod
    def of(cls, name: str, tokenizer: Tokenizer) -> "OpenedTokenizer":
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        unknown = getattr(tokenizer.model, "unk_token", None)
        number = tokenizer.token_to_id(unknown) if unknown else _unigram_unknown(tokenizer)
        return cls(name, tokenizer, number)


def open_tokenizer(path: Path, name: str | None = None) -> OpenedTokenizer:
    """A folder with a tokenizer.json, with what transformers reads, or with a cased BERT vocab.txt; or such a file.

    Raises NotemillError when there is none, or it cannot be read.
    """
    if not path.exists():
        raise NotemillError(f"there is no tokenizer at {path}; check the folder's name.")
    folder = path if path.is_dir() else path.parent
    name = name or folder.resolve().name
    file = path if path.is_file() else folder / "tokenizer.json"
    if file.suffix == ".txt":
        return OpenedTokenizer.of(name, _from_vocabulary(file))
    if file.is_file():
        return OpenedTokenizer.of(name, read_tokenizer_json(file))
    if any((folder / other).is_file() for other in _TRANSFORMERS_FILES):
        return OpenedTokenizer.of(name, _from_transformers(folder))
    return OpenedTokenizer.of(name, _from_vocabulary(folder / "vocab.txt"))


def _from_transformers(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises of every kind
        raise NotemillError(
            f"transformers cannot load a tokenizer from {folder} ({type(error).__name__}); "
            "give a folder with a tokenizer.json."
        ) from None
    if not getattr(loaded, "is_fast", False):
        raise NotemillError(f"{folder} holds a tokenizer without character offsets; give one with a tokenizer.json.")
    return loaded.backend_tokenizer


def _from_vocabulary(file: Path) -> Tokenizer:
    """A cased BERT tokenizer over the pieces of `file`, as transformers would make it: nothing is added."""
    try:
        pieces = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise NotemillError(
            f"cannot read a vocabulary from {file}; give a folder with a tokenizer.json, or a vocab.txt with one piece "
            "a line."
        ) from None
    missing = [piece for piece in ("[UNK]", "[CLS]", "[SEP]") if piece not in pieces]
    if missing:
        raise NotemillError(f"{file} lacks {', '.join(missing)}, so it is no WordPiece vocabulary of BERT.")
    return bare_tokenizer([*dict.fromkeys(pieces)])


def _unigram_unknown(tokenizer: Tokenizer) -> int | None:
    number = getattr(tokenizer.model, "unk_id", None)
    return number if isinstance(number, int) else None
