"""What masking and packing need to know of a tokenizer: special ids, continuation pieces, ids to replace with.

Read from the files of a tokenizer folder (vocab.txt, manifest.json), so that no rank builds a tokenizer.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipeline.files import read_json, sha256_file
from launch.errors import NotemillError

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class Vocabulary:
    """Ids of a WordPiece vocabulary by role."""

    fingerprint: str
    """SHA-256 of tokenizer.json."""
    pad: int
    cls: int
    sep: int
    mask: int
    is_continuation: np.ndarray
    """[V] bool: the ## pieces, which belong to the word before."""
    replacements: np.ndarray
    """int64: ids that may stand in for a masked token: all but special and unused ones."""

    @property
    def size(self) -> int:
        return len(self.is_continuation)

    @classmethod
    def from_pieces(cls, pieces: list[str], fingerprint: str = "") -> "Vocabulary":
        """From the pieces in the order of their ids. Raises NotemillError when a special one is missing."""
        ids = {piece: number for number, piece in enumerate(pieces)}
        missing = [piece for piece in _SPECIALS if piece not in ids]
        if missing:
            raise NotemillError(f"the vocabulary lacks {', '.join(missing)}; train it with 'notemill tokenizer train'.")
        is_aside = np.array([piece in _SPECIALS or bool(_UNUSED.fullmatch(piece)) for piece in pieces])
        return cls(
            fingerprint=fingerprint,
            pad=ids["[PAD]"],
            cls=ids["[CLS]"],
            sep=ids["[SEP]"],
            mask=ids["[MASK]"],
            is_continuation=np.array([piece.startswith("##") and len(piece) > 2 for piece in pieces]),
            replacements=np.flatnonzero(~is_aside),
        )

    @classmethod
    def from_folder(cls, tokenizer_dir: Path) -> "Vocabulary":
        """Raises NotemillError when a file is missing or tokenizer.json is not the one its manifest names."""
        manifest = read_json(tokenizer_dir / "manifest.json", "tokenizer manifest")
        try:
            fingerprint = sha256_file(tokenizer_dir / "tokenizer.json")
            pieces = (tokenizer_dir / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        except OSError as error:
            raise NotemillError(f"cannot read {error.filename}: {error.strerror}; train the tokenizer again.") from None
        if manifest.get("fingerprint") != fingerprint:
            raise NotemillError(
                f"{tokenizer_dir / 'tokenizer.json'} has changed since its manifest was written (fingerprint "
                f"{fingerprint[:12]}, manifest {str(manifest.get('fingerprint'))[:12]}); train the tokenizer again."
            )
        return cls.from_pieces(pieces, fingerprint)
