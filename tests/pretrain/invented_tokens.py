"""Token folders made in code, which no stage before the trainer has a hand in: random ids in a small vocabulary."""

from pathlib import Path

import numpy as np

from data_pipeline.files import sha256_file, write_json, write_text
from tokenizer.indexed_dataset import PartWriter, dtype_for, join_parts

Documents = list[list[np.ndarray]]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *(f"word{number}" for number in range(60)),
    *(f"##part{number}" for number in range(30)),
    "[unused0]",
]
FIRST_TEXT_ID = 5
LAST_TEXT_ID = 94


def invent_documents(count: int, mean_sentences: float = 12, mean_length: float = 14, seed: int = 0) -> Documents:
    """Documents of sentences of random text ids."""
    rng = np.random.default_rng(seed)
    lengths = [
        np.maximum(1, rng.gamma(1.5, mean_length / 1.5, rng.geometric(1 / mean_sentences))).astype(int)
        for _ in range(count)
    ]
    return [[rng.integers(FIRST_TEXT_ID, LAST_TEXT_ID + 1, n) for n in document] for document in lengths]


def write_tokens(folder: Path, content: dict[tuple[str, str], Documents], pieces: list[str] = PIECES) -> Path:
    """Write {(split, source): documents} as a tokens folder, with its tokenizer folder."""
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    write_text(tokenizer / "vocab.txt", "\n".join(pieces) + "\n")
    write_text(tokenizer / "tokenizer.json", repr(pieces))
    fingerprint = sha256_file(tokenizer / "tokenizer.json")
    write_json(tokenizer / "manifest.json", {"fingerprint": fingerprint})
    dtype = dtype_for(len(pieces))
    files = []
    for (split, source), documents in content.items():
        prefix = folder / f"{split}-{source}"
        with PartWriter(prefix, dtype) as part:
            for document in documents:
                part.add_document(document)
        size = join_parts([prefix], prefix, dtype)
        files.append(
            {
                "prefix": prefix.name,
                "split": split,
                "source": source,
                "documents": size.documents,
                "sequences": size.sequences,
                "tokens": size.tokens,
                "bytes": size.bytes,
                "bin_sha256": sha256_file(folder / f"{prefix.name}.bin"),
                "idx_sha256": sha256_file(folder / f"{prefix.name}.idx"),
            }
        )
    write_json(
        folder / "manifest.json",
        {
            "version": 1,
            "corpus_manifest_sha256": "0" * 64,
            "tokenizer_fingerprint": fingerprint,
            "vocab_size": len(pieces),
            "dtype": dtype.name,
            "files": files,
        },
    )
    return folder
