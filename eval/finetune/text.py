"""The tokenizer of a model folder: texts and words as pieces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.finetune.model_config import require_folder
from launch.errors import NotemillError, one_line

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
"""One of which a fast tokenizer is made from."""


@dataclass(frozen=True)
class Pieces:
    """A tokenised text: piece ids and the characters [start, end) that each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class TextEncoder:
    """The tokenizer with what the heads need of it; texts are never cut here."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        require_folder(folder)
        if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
            # transformers would make one up that knows no word.
            raise NotemillError(f"no tokenizer in {folder}: there is none of {', '.join(_TOKENIZER_FILES)}.")
        try:
            # A byte-level tokenizer reads ready-made words only with a prefix space; word-piece ones ignore the flag.
            self.tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, use_fast=True, add_prefix_space=True
            )
        except Exception as error:  # tokenizers raises nothing narrower
            raise NotemillError(f"no tokenizer can be loaded from {folder}: {one_line(error)}") from None
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
