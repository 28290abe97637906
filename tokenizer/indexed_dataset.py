"""Writes Megatron's IndexedDataset in parts of flat memory: one part a corpus shard, joined into .bin/.idx at the end.

    part    NAME.tokens     tokens of all sentences
            NAME.lengths    i32 tokens of each sentence
            NAME.documents  i32 sentences of each document
    pair    PREFIX.bin, PREFIX.idx as pretrain.data.index describes them and megatron-core reads them

Megatron's own builder keeps every length in a Python list and knows no parts: 5 billion sentences would take hundreds
of gigabytes, and a killed build would start anew.
"""

import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from data_pipeline.files import atomic_write
from launch.errors import NotemillError

TOKENIZER_FOLDER = "tokenizer"
"""The tokenizer's files are copied here, so that tokens are never without them."""
TOKENS_VERSION = 1
"""Of the tokens folder, in its manifest."""
_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_DTYPE_CODES = {"uint16": 8, "int32": 4}
_LARGEST_UINT16_VOCABULARY = 65_499
"""Megatron's own limit for two bytes a token."""
_CHUNK = 1 << 20
PART_SUFFIXES = (".tokens", ".lengths", ".documents")


@dataclass(frozen=True)
class PairSize:
    """What a pair holds."""

    documents: int
    sequences: int
    tokens: int
    bytes: int
    """Of the .bin file."""


def dtype_for(vocab_size: int) -> np.dtype:
    """The dtype that Megatron chooses for a vocabulary of this size."""
    return np.dtype(np.uint16 if vocab_size <= _LARGEST_UINT16_VOCABULARY else np.int32)


class PartWriter:
    """Appends documents to one part."""

    def __init__(self, prefix: Path, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._tokens, self._lengths, self._documents = (path.open("wb") for path in part_paths(prefix))

    def add_document(self, sentences: Sequence[np.ndarray]) -> None:
        """One document, its sentences as ids; a document without sentences stays one."""
        if sentences:
            self._tokens.write(np.concatenate(sentences).astype(self._dtype).tobytes())
            self._lengths.write(np.array([len(sentence) for sentence in sentences], np.int32).tobytes())
        self._documents.write(struct.pack("<i", len(sentences)))

    def close(self) -> None:
        """On disk when this returns: what marks the part as finished must not outlive it in a power cut."""
        for stream in (self._tokens, self._lengths, self._documents):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def part_paths(prefix: Path) -> tuple[Path, Path, Path]:
    """The three files of a part."""
    tokens, lengths, documents = (prefix.with_name(prefix.name + suffix) for suffix in PART_SUFFIXES)
    return tokens, lengths, documents


def join_parts(parts: Sequence[Path], prefix: Path, dtype: np.dtype) -> PairSize:
    """Write `prefix`.bin and `prefix`.idx from the parts in their order, each file atomically."""
    files = [part_paths(part) for part in parts]
    num_sentences = sum(lengths.stat().st_size for _, lengths, _ in files) // 4
    num_documents = sum(documents.stat().st_size for _, _, documents in files) // 4
    with atomic_write(prefix.with_name(prefix.name + ".bin")) as temporary, temporary.open("wb") as stream:
        for tokens, _, _ in files:
            with tokens.open("rb") as source:
                shutil.copyfileobj(source, stream, _CHUNK)
        num_bytes = stream.tell()
    all_lengths = [lengths for _, lengths, _ in files]
    num_tokens = sum(int(chunk.sum(dtype=np.int64)) for chunk in _int32_chunks(all_lengths))
    if num_tokens * dtype.itemsize != num_bytes:
        raise NotemillError(
            f"parts of {prefix} are damaged: {num_bytes} bytes of tokens where their lengths say "
            f"{num_tokens * dtype.itemsize}; remove the folder and build it again."
        )
    all_documents = [documents for _, _, documents in files]
    with atomic_write(prefix.with_name(prefix.name + ".idx")) as temporary, temporary.open("wb") as stream:
        stream.write(_MAGIC)
        stream.write(struct.pack("<QBQQ", _VERSION, _DTYPE_CODES[dtype.name], num_sentences, num_documents + 1))
        for lengths_chunk in _int32_chunks(all_lengths):
            stream.write(lengths_chunk.tobytes())
        _write_running_sum(stream, all_lengths, scale=dtype.itemsize, with_total=False)
        _write_running_sum(stream, all_documents, scale=1, with_total=True)
    return PairSize(num_documents, num_sentences, num_bytes // dtype.itemsize, num_bytes)


def _write_running_sum(stream: BinaryIO, paths: Sequence[Path], *, scale: int, with_total: bool) -> None:
    """For each int32 the sum of those before it times `scale`, as int64; then the whole sum if wanted."""
    total = 0
    for chunk in _int32_chunks(paths):
        sums = np.cumsum(chunk, dtype=np.int64)
        stream.write(((total + sums - chunk) * scale).tobytes())
        total += int(sums[-1])
    if with_total:
        stream.write(struct.pack("<q", total))


def _int32_chunks(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(4 * _CHUNK):
                yield np.frombuffer(block, np.int32)
