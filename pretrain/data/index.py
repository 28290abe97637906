"""Reads tokens/: its manifest and the .bin/.idx pairs.

The pairs are Megatron's IndexedDataset, one sequence a sentence. They are read here with memory maps: importing
megatron-core's reader costs four seconds and pulls in the training stack, and planning an epoch wants the sentence
lengths of thousands of documents as one array. tests/pretrain/data/test_index.py holds both readers equal.

    .idx  9 bytes "MMIDIDX\\0\\0", u64 version 1, u8 dtype code, u64 sequences S, u64 document bounds D + 1,
          i32[S] lengths, i64[S] byte offsets into .bin, i64[D + 1] first sequence of each document, and S
    .bin  tokens of all sequences, one after another
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.files import read_json, sha256_json
from data_pipeline.gate.carried import CarriedAttestation, read_carried
from launch.errors import NotemillError
from tokenizer.indexed_dataset import TOKENS_VERSION

INDEX_MAGIC = b"MMIDIDX\x00\x00"
INDEX_HEADER_BYTES = len(INDEX_MAGIC) + struct.calcsize("<QBQQ")
DTYPE_OF_CODE: dict[int, type[np.number]] = {4: np.int32, 8: np.uint16}
"""The two dtypes that `notemill tokens build` writes, by Megatron's code."""
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class TokensManifest:
    """What tokens/manifest.json says, checked against the files' sizes."""

    folder: Path
    corpus_manifest_sha256: str
    tokenizer_fingerprint: str
    vocab_size: int
    files: tuple[dict[str, Any], ...]
    """One object a pair: prefix, split, source, documents, sequences, tokens, bytes, bin_sha256, idx_sha256."""
    attestation: CarriedAttestation | None = None
    """What was attested of the corpus; None in tokens that were built before they carried it."""

    def of_split(self, split: str) -> list[dict[str, Any]]:
        """The pairs of one split, by source."""
        return sorted((file for file in self.files if file["split"] == split), key=lambda file: file["source"])

    @property
    def fingerprint(self) -> str:
        """Changes with any token of any file."""
        hashes = sorted((file["prefix"], file["bin_sha256"], file["idx_sha256"]) for file in self.files)
        return sha256_json([self.tokenizer_fingerprint, hashes])


def read_tokens_manifest(tokens_dir: Path) -> TokensManifest:
    """Raises NotemillError when the manifest is missing or malformed, its attestation speaks of another corpus, or a
    file is missing or has another size."""
    path = tokens_dir / MANIFEST_NAME
    content = read_json(path, "token manifest")
    version = content.get("version") if isinstance(content, dict) else None
    if version is not None and version != TOKENS_VERSION:
        raise NotemillError(f"{path} is of version {version}, this reads {TOKENS_VERSION}; build the tokens again.")
    try:
        manifest = TokensManifest(
            folder=tokens_dir,
            corpus_manifest_sha256=content["corpus_manifest_sha256"],
            tokenizer_fingerprint=content["tokenizer_fingerprint"],
            vocab_size=int(content["vocab_size"]),
            files=tuple(content["files"]),
            attestation=read_carried(content.get("attestation"), content["corpus_manifest_sha256"], path),
        )
        expected = {
            tokens_dir / (file["prefix"] + suffix): size
            for file in manifest.files
            for suffix, size in ((".bin", file["bytes"]), (".idx", _index_bytes(file["sequences"], file["documents"])))
        }
    except (KeyError, TypeError, ValueError):
        raise NotemillError(
            f"{path} is no token manifest; build the tokens again with 'notemill tokens build'."
        ) from None
    for file_path, size in expected.items():
        if not file_path.is_file():
            raise NotemillError(f"{file_path} is missing though {path} lists it; build the tokens again.")
        if file_path.stat().st_size != size:
            raise NotemillError(
                f"{file_path} has {file_path.stat().st_size} bytes, {path} says {size}; build the tokens again."
            )
    return manifest


class SentenceIndex:
    """One .bin/.idx pair: sentences of documents, random access."""

    def __init__(self, prefix: Path) -> None:
        """Map the pair at `prefix`.bin and `prefix`.idx. Raises NotemillError when it is no such pair."""
        index_path = prefix.with_name(prefix.name + ".idx")
        with index_path.open("rb") as stream:
            header = stream.read(INDEX_HEADER_BYTES)
        if len(header) < INDEX_HEADER_BYTES or not header.startswith(INDEX_MAGIC):
            raise NotemillError(f"{index_path} is no Megatron index; build the tokens again.")
        version, code, num_sentences, num_bounds = struct.unpack("<QBQQ", header[len(INDEX_MAGIC) :])
        if version != 1 or code not in DTYPE_OF_CODE:
            raise NotemillError(
                f"{index_path} is of version {version} with dtype code {code}; this reads version 1 with codes "
                f"{', '.join(map(str, DTYPE_OF_CODE))}: build the tokens again."
            )
        if index_path.stat().st_size != _index_bytes(num_sentences, num_bounds - 1):
            raise NotemillError(f"{index_path} is cut short or overlong; build the tokens again.")
        # As plain arrays: every slice of a np.memmap object makes another one, at several times the cost.
        raw = np.asarray(np.memmap(index_path, dtype=np.uint8, mode="r"))
        lengths_end = INDEX_HEADER_BYTES + 4 * num_sentences
        offsets_end = lengths_end + 8 * num_sentences
        self.lengths: np.ndarray = raw[INDEX_HEADER_BYTES:lengths_end].view(np.int32)
        """Tokens of each sentence."""
        self._byte_offsets: np.ndarray = raw[lengths_end:offsets_end].view(np.int64)
        self.document_bounds: np.ndarray = raw[offsets_end:].view(np.int64)
        """First sentence of each document, and the number of sentences: one more than there are documents."""
        self.dtype = np.dtype(DTYPE_OF_CODE[code])
        token_path = prefix.with_name(prefix.name + ".bin")
        # An empty file cannot be mapped.
        is_empty = token_path.stat().st_size == 0
        self.tokens: np.ndarray = (
            np.empty(0, self.dtype) if is_empty else np.asarray(np.memmap(token_path, self.dtype, mode="r"))
        )
        """All tokens of the pair."""

    @property
    def num_documents(self) -> int:
        return len(self.document_bounds) - 1

    def token_starts(self, sentences: np.ndarray) -> np.ndarray:
        """Where in `tokens` each of these sentences begins."""
        return self._byte_offsets[sentences] // self.dtype.itemsize

    def document(self, number: int) -> list[np.ndarray]:
        """The sentences of one document, by one read."""
        first, end = int(self.document_bounds[number]), int(self.document_bounds[number + 1])
        if first == end:
            return []
        ends = np.cumsum(self.lengths[first:end]).tolist()
        start = int(self._byte_offsets[first]) // self.dtype.itemsize
        tokens = self.tokens[start : start + ends[-1]]
        return [tokens[begin:stop] for begin, stop in zip((0, *ends), ends, strict=False)]


def _index_bytes(sequences: int, documents: int) -> int:
    return INDEX_HEADER_BYTES + 12 * sequences + 8 * (documents + 1)
