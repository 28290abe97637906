"""What masking and packing need to know of a tokenizer: special ids, words' pieces, ids to replace with.

Read from the files of a tokenizer folder, so that no rank builds a tokenizer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.files import read_json, sha256_file
from launch.errors import NotemillError
from tokenizer.fixed_pieces import ROLES, UNUSED
from tokenizer.kinds import word_joins


@dataclass(frozen=True)
class Vocabulary:
    """Ids of a vocabulary by role."""

    fingerprint: str
    """SHA-256 of tokenizer.json."""
    pad: int
    cls: int
    sep: int
    mask: int
    is_continuation: np.ndarray
    """[V] bool: pieces that may go on with the word before, such as those with ##."""
    is_continuable: np.ndarray
    """[V] bool: pieces after which a word may go on; for WordPiece all."""
    replacements: np.ndarray
    """int64: ids that may stand in for a masked token: all but special and unused ones."""

    @property
    def size(self) -> int:
        return len(self.is_continuation)

    @classmethod
    def from_pieces(
        cls,
        pieces: list[str],
        fingerprint: str = "",
        *,
        kind: str = "wordpiece",
        roles: Mapping[str, str] = ROLES,
        special: frozenset[str] = frozenset(),
    ) -> "Vocabulary":
        """From the pieces in the order of their ids; `special` are further pieces that are never text.

        Raises NotemillError when one of a role is missing.
        """
        ids = {piece: number for number, piece in enumerate(pieces)}
        missing = [piece for piece in roles.values() if piece not in ids]
        if missing:
            raise NotemillError(f"the vocabulary lacks {', '.join(missing)}; train it with 'notemill tokenizer train'.")
        aside = special | {*roles.values()}
        is_aside = np.array([piece in aside or bool(UNUSED.fullmatch(piece)) for piece in pieces])
        is_continuation, is_continuable = word_joins(pieces, kind)
        return cls(
            fingerprint=fingerprint,
            pad=ids[roles["pad"]],
            cls=ids[roles["cls"]],
            sep=ids[roles["sep"]],
            mask=ids[roles["mask"]],
            is_continuation=is_continuation,
            is_continuable=is_continuable,
            replacements=np.flatnonzero(~is_aside),
        )

    @classmethod
    def from_folder(cls, tokenizer_dir: Path) -> "Vocabulary":
        """Raises NotemillError when a file is missing or tokenizer.json is not the one its manifest names."""
        manifest = read_json(tokenizer_dir / "manifest.json", "tokenizer manifest")
        kind = manifest.get("kind", "wordpiece")
        special: frozenset[str] = frozenset()
        try:
            fingerprint = sha256_file(tokenizer_dir / "tokenizer.json")
            if kind == "wordpiece" and (tokenizer_dir / "vocab.txt").is_file():
                pieces = (tokenizer_dir / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
            else:
                pieces, special = _pieces_of(read_json(tokenizer_dir / "tokenizer.json", "tokenizer"))
        except OSError as error:
            raise NotemillError(f"cannot read {error.filename}: {error.strerror}; train the tokenizer again.") from None
        if manifest.get("fingerprint") != fingerprint:
            raise NotemillError(
                f"{tokenizer_dir / 'tokenizer.json'} has changed since its manifest was written (fingerprint "
                f"{fingerprint[:12]}, manifest {str(manifest.get('fingerprint'))[:12]}); train the tokenizer again."
            )
        roles = manifest.get("special_tokens", ROLES)
        return cls.from_pieces(pieces, fingerprint, kind=kind, roles=roles, special=special)


def _pieces_of(tokenizer: dict[str, Any]) -> tuple[list[str], frozenset[str]]:
    """Pieces of a tokenizer.json in the order of ids, and which are special."""
    vocabulary = tokenizer["model"]["vocab"]
    listed = isinstance(vocabulary, list)
    ids = {piece: number for number, (piece, _) in enumerate(vocabulary)} if listed else dict(vocabulary)
    ids |= {added["content"]: added["id"] for added in tokenizer["added_tokens"]}
    pieces = [f"[unused{number}]" for number in range(max(ids.values()) + 1)]
    for piece, number in ids.items():
        pieces[number] = piece
    return pieces, frozenset(added["content"] for added in tokenizer["added_tokens"] if added["special"])
