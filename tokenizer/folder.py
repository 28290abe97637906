"""A tokenizer folder: what it holds, writing one, and checking one before use.

    tokenizer.json          everything, for the tokenizers library
    vocab.txt               one piece a line, the line's number its id
    tokenizer_config.json   for transformers: a cased BertTokenizer
    special_tokens_map.json
    report.json             only after `notemill tokenizer report`
    manifest.json           written last: hashes of the above, the corpus and the settings it was trained with

The fingerprint is the SHA-256 of tokenizer.json; tokens and checkpoints carry it.
"""

from pathlib import Path
from typing import Any, TypedDict

from tokenizers import Tokenizer

from data_pipeline.files import read_json, sha256_file, write_json, write_text
from launch.errors import NotemillError
from tokenizer.wordpiece import SPECIAL_TOKENS, placeholder_pieces

TOKENIZER_VERSION = 1
MANIFEST_NAME = "manifest.json"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json")
_ROLES = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))


class TokenizerManifest(TypedDict):
    """manifest.json."""

    version: int
    corpus_manifest_sha256: str
    vocab_size: int
    fingerprint: str
    files: dict[str, str]
    """SHA-256 by file name."""
    config: dict[str, Any]


def write_tokenizer(
    out: Path, tokenizer: Tokenizer, *, corpus_manifest_sha256: str, config: dict[str, Any], model_max_length: int
) -> TokenizerManifest:
    """Write the folder's files and then its manifest."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    write_text(out / "tokenizer.json", tokenizer.to_str(pretty=True))
    write_text(out / "vocab.txt", "".join(f"{piece}\n" for piece in sorted(vocabulary, key=vocabulary.__getitem__)))
    write_json(out / "tokenizer_config.json", _transformers_config(vocabulary, model_max_length))
    write_json(out / "special_tokens_map.json", _ROLES)
    manifest = TokenizerManifest(
        version=TOKENIZER_VERSION,
        corpus_manifest_sha256=corpus_manifest_sha256,
        vocab_size=len(vocabulary),
        fingerprint=sha256_file(out / "tokenizer.json"),
        files={name: sha256_file(out / name) for name in TOKENIZER_FILES},
        config=config,
    )
    write_json(out / MANIFEST_NAME, manifest)
    return manifest


def read_tokenizer_manifest(tokenizer_dir: Path) -> TokenizerManifest:
    """Raises NotemillError when the folder is no tokenizer of this version, or a file differs from the manifest."""
    manifest: TokenizerManifest = read_json(tokenizer_dir / MANIFEST_NAME, "tokenizer manifest")
    if not isinstance(manifest, dict) or TokenizerManifest.__required_keys__ - manifest.keys():
        raise NotemillError(f"{tokenizer_dir / MANIFEST_NAME} is no tokenizer manifest; train the tokenizer again.")
    if manifest["version"] != TOKENIZER_VERSION:
        raise NotemillError(
            f"{tokenizer_dir} has format version {manifest['version']}, this notemill reads {TOKENIZER_VERSION}; "
            "train the tokenizer again."
        )
    for name, expected in manifest["files"].items():
        path = tokenizer_dir / name
        if not path.is_file():
            raise NotemillError(f"{path} is missing; train the tokenizer again.")
        if sha256_file(path) != expected:
            raise NotemillError(f"{path} has changed since its manifest was written; train the tokenizer again.")
    return manifest


def load_tokenizer(tokenizer_dir: Path) -> Tokenizer:
    """The tokenizer, after `read_tokenizer_manifest`'s checks. Adds no special tokens unless asked to."""
    read_tokenizer_manifest(tokenizer_dir)
    return Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))


def _transformers_config(vocabulary: dict[str, int], model_max_length: int) -> dict[str, Any]:
    added = {
        piece: {
            "content": piece,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": piece in SPECIAL_TOKENS,
        }
        for piece in (*SPECIAL_TOKENS, *placeholder_pieces())
    }
    return {
        "tokenizer_class": "BertTokenizer",
        # Without this line a cased vocabulary is loaded as lower-casing.
        "do_lower_case": False,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": model_max_length,
        "clean_up_tokenization_spaces": False,
        **_ROLES,
        "added_tokens_decoder": {str(vocabulary[piece]): settings for piece, settings in added.items()},
    }
