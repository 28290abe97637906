"""The kinds of tokenizer, and what differs between them for those who only read ids.

wordpiece               BERT's: words between spaces and punctuation, ## on what goes on with one; newlines are spaces
bytebpe                 GPT-2's bytes, no unknown character, nothing lost; Ġ is a space, Ċ a newline
sentencepiece_bpe       pieces of text in which ▁ is a space; characters without a piece are bytes (<0x0A> a newline)
sentencepiece_unigram   the same pieces, chosen by probability
other                   an imported tokenizer.json of another make; every piece counts as a word
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

TrainableKind = Literal["wordpiece", "bytebpe", "sentencepiece_bpe", "sentencepiece_unigram"]
TRAINABLE_KINDS: tuple[str, ...] = get_args(TrainableKind)
CONTINUATION = "##"
SPACE_PIECE = "▁"
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def byte_piece(value: int) -> str:
    """How a byte is written in vocabularies of sentencepiece."""
    return f"<0x{value:02X}>"


def kind_of(tokenizer: Tokenizer) -> str:
    """The kind of any tokenizer, by its model and what stands around it."""
    parts = json.loads(tokenizer.to_str())
    model = parts["model"]
    if model["type"] == "WordPiece":
        return "wordpiece" if model["continuing_subword_prefix"] == CONTINUATION else "other"
    if '"ByteLevel"' in json.dumps([parts["pre_tokenizer"], parts["normalizer"]]):
        return "bytebpe" if model["type"] == "BPE" else "other"
    if any(piece.startswith(SPACE_PIECE) for piece in tokenizer.get_vocab(with_added_tokens=False)):
        return {"BPE": "sentencepiece_bpe", "Unigram": "sentencepiece_unigram"}.get(model["type"], "other")
    return "other"


def word_joins(pieces: Sequence[str], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Which pieces go on with a word and after which pieces a word can go on, both [V] bool.

    A piece belongs to the word of the piece before it when both are True. Words are those of BERT: they end at spaces
    and punctuation, whatever the kind.
    """
    if kind == "wordpiece":
        continues = [piece.startswith(CONTINUATION) and len(piece) > len(CONTINUATION) for piece in pieces]
        return np.array(continues, bool), np.ones(len(pieces), bool)
    if kind == "other":
        return np.zeros(len(pieces), bool), np.zeros(len(pieces), bool)
    edges = [_edges(_to_bytes(piece, kind)) for piece in pieces]
    return np.array([first for first, _ in edges], bool), np.array([last for _, last in edges], bool)


def sense(piece: str, kind: str) -> tuple[bytes, bool]:
    """What a piece stands for, equal for pieces of different kinds that stand for the same.

    That is its text without the space before it, and whether it goes on with the word before. Text is bytes, as a piece
    may be a part of a character. A piece of `other` stands for itself.
    """
    if kind == "wordpiece":
        goes_on = piece.startswith(CONTINUATION) and len(piece) > len(CONTINUATION)
        return piece.removeprefix(CONTINUATION if goes_on else "").encode(), goes_on
    if kind == "other":
        return piece.encode(), False
    data = _to_bytes(piece, kind)
    if data.startswith(b" ") and len(data) > 1:
        return data[1:], False
    return data, _edges(data)[0]


def spelling(text: bytes, goes_on: bool, kind: str) -> str:
    """A `sense` as the vocabulary of a kind writes it: what its model cuts into pieces. "" for what it cannot write."""
    has_space = not goes_on and _edges(text)[0] and kind not in ("wordpiece", "other")
    data = b" " + text if has_space else text
    if kind == "bytebpe":
        return "".join(_LETTER_OF_BYTE[byte] for byte in data)
    try:
        written = data.decode()
    except UnicodeDecodeError:
        return ""
    if kind == "wordpiece":
        return CONTINUATION + written if goes_on else written
    return written if kind == "other" else written.replace(" ", SPACE_PIECE)


def is_word_char(char: str) -> bool:
    """False for space, control characters and what BERT's pre-tokenizer splits at."""
    if ord(char) < 128:
        return char.isalnum()
    return unicodedata.category(char)[0] not in "PZC"


def _edges(data: bytes) -> tuple[bool, bool]:
    """Whether the bytes begin and end inside a word; a part of a character is inside one."""
    text = data.decode("utf-8", "surrogateescape")
    if not text:
        return False, False
    first, last = text[0], text[-1]
    return _is_part(first) or is_word_char(first), _is_part(last) or is_word_char(last)


def _is_part(char: str) -> bool:
    return "\udc80" <= char <= "\udcff"


_BYTE_LETTERS = sorted(ByteLevel.alphabet())
_PLAIN_BYTES = [byte for byte in range(256) if chr(byte) in _BYTE_LETTERS]
_OTHER_BYTES = [byte for byte in range(256) if byte not in _PLAIN_BYTES]
BYTE_OF_LETTER = {chr(byte): byte for byte in _PLAIN_BYTES} | {
    # GPT-2 numbers the bytes that have no visible character from 256 on.
    chr(256 + number): byte
    for number, byte in enumerate(_OTHER_BYTES)
}
_LETTER_OF_BYTE = {byte: letter for letter, byte in BYTE_OF_LETTER.items()}


def _to_bytes(piece: str, kind: str) -> bytes:
    return _from_byte_level(piece) if kind == "bytebpe" else _from_sentencepiece(piece)


def _from_byte_level(piece: str) -> bytes:
    if all(char in BYTE_OF_LETTER for char in piece):
        return bytes(BYTE_OF_LETTER[char] for char in piece)
    return piece.encode("utf-8", "replace")


def _from_sentencepiece(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(SPACE_PIECE, " ").encode("utf-8", "replace")
