"""A tokenizer folder: what it holds, writing one, and checking one before use.

    tokenizer.json          everything, for the tokenizers library
    tokenizer_config.json   for transformers: a BertTokenizer for WordPiece, else what loads tokenizer.json as it is
    special_tokens_map.json
    vocab.txt               WordPiece only: one piece a line, the line's number its id
    tokenizer.model         of a sentencepiece model only: the same ids through the sentencepiece library
    report.json             only after `notemill tokenizer report`
    manifest.json           written last: hashes of the above, the corpus and the settings it was trained with

The fingerprint is the SHA-256 of tokenizer.json; tokens and checkpoints carry it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from tokenizers import Tokenizer

from data_pipeline.files import atomic_write, make_own_folder, read_json, sha256_file, write_json, write_text
from launch.console import say
from launch.errors import NotemillError
from tokenizer.fixed_pieces import ROLES

TOKENIZER_VERSION = 1
MANIFEST_NAME = "manifest.json"
MODEL_NAME = "tokenizer.model"
IMPORTED = "imported"
"""In place of the hash of a corpus."""


_OUR_FILES = re.compile(
    r"(?:tokenizer|tokenizer_config|special_tokens_map|report|manifest)\.json|vocab\.txt|tokenizer\.model|report\.html"
)


class TokenizerManifest(TypedDict):
    """manifest.json."""

    version: int
    corpus_manifest_sha256: str
    """Of the corpus it was trained on; `IMPORTED` for one that was not trained here."""
    vocab_size: int
    fingerprint: str
    files: dict[str, str]
    """SHA-256 by file name."""
    config: dict[str, Any]
    kind: NotRequired[str]
    """See tokenizer.kinds; missing in the folders of before, which are wordpiece."""
    special_tokens: NotRequired[dict[str, str]]
    """Piece by role; missing in the folders of before, which have `ROLES`."""


@dataclass(frozen=True)
class FinishedTokenizer:
    """A tokenizer, and what its folder says of it."""

    tokenizer: Tokenizer
    kind: str
    roles: Mapping[str, str] = field(default_factory=lambda: dict(ROLES))
    """Piece by role."""
    bert: Mapping[str, Any] | None = None
    """Arguments of transformers.BertTokenizer, where that class gives the same ids."""
    sentencepiece_model: bytes | None = None
    """The same vocabulary as a sentencepiece .model."""


def write_tokenizer(
    out: Path,
    finished: FinishedTokenizer,
    *,
    corpus_manifest_sha256: str,
    config: dict[str, Any],
    model_max_length: int,
) -> TokenizerManifest:
    """Write the folder's files and then its manifest."""
    vocabulary = finished.tokenizer.get_vocab(with_added_tokens=True)
    names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    roles = {f"{role}_token": piece for role, piece in finished.roles.items()}
    write_text(out / "tokenizer.json", finished.tokenizer.to_str(pretty=True))
    write_json(out / "tokenizer_config.json", _transformers_config(finished, roles, model_max_length))
    write_json(out / "special_tokens_map.json", roles)
    if finished.bert is not None:
        names.append("vocab.txt")
        write_text(out / "vocab.txt", "".join(f"{piece}\n" for piece in sorted(vocabulary, key=vocabulary.__getitem__)))
    if finished.sentencepiece_model is not None:
        names.append(MODEL_NAME)
        with atomic_write(out / MODEL_NAME) as temporary:
            temporary.write_bytes(finished.sentencepiece_model)
    manifest = TokenizerManifest(
        version=TOKENIZER_VERSION,
        corpus_manifest_sha256=corpus_manifest_sha256,
        vocab_size=1 + max(vocabulary.values()),
        fingerprint=sha256_file(out / "tokenizer.json"),
        files={name: sha256_file(out / name) for name in names},
        config=config,
        kind=finished.kind,
        special_tokens=dict(finished.roles),
    )
    write_json(out / MANIFEST_NAME, manifest)
    return manifest


def read_tokenizer_manifest(tokenizer_dir: Path) -> TokenizerManifest:
    """Raises NotemillError when the folder is no tokenizer of this version, or a file differs from the manifest."""
    manifest: TokenizerManifest = read_json(tokenizer_dir / MANIFEST_NAME, "tokenizer manifest")
    if not isinstance(manifest, dict) or TokenizerManifest.__required_keys__ - manifest.keys():
        raise NotemillError(
            f"{tokenizer_dir / MANIFEST_NAME} is no tokenizer manifest, so {tokenizer_dir} is no tokenizer; give "
            "another folder."
        )
    if manifest["version"] != TOKENIZER_VERSION:
        raise NotemillError(
            f"{tokenizer_dir} has format version {manifest['version']}, this notemill reads {TOKENIZER_VERSION}; "
            "train the tokenizer again."
        )
    if not _holds_together(manifest):
        raise NotemillError(
            f"{tokenizer_dir / MANIFEST_NAME} holds values that no training writes; restore it or train the tokenizer "
            "again."
        )
    for name, expected in manifest["files"].items():
        path = tokenizer_dir / name
        if not path.is_file():
            raise NotemillError(f"{path} is missing; train the tokenizer again.")
        if sha256_file(path) != expected:
            raise NotemillError(f"{path} has changed since its manifest was written; train the tokenizer again.")
    return manifest


def _holds_together(manifest: TokenizerManifest) -> bool:
    """A manifest that somebody edited may hold anything."""
    files, size, config = manifest["files"], manifest["vocab_size"], manifest["config"]
    if not (isinstance(files, dict) and isinstance(size, int) and isinstance(config, dict)):
        return False
    return manifest["fingerprint"] == files.get("tokenizer.json") is not None


def tokenizer_folder(out: Path) -> Path:
    """`out`, made where it is not there. Raises NotemillError for a folder with files of someone else."""
    return make_own_folder(out, _OUR_FILES, "tokenizer")


def finished_tokenizer(
    out: Path, corpus_manifest_sha256: str, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> TokenizerManifest | None:
    """What `out` holds where that is the tokenizer of these settings; None where it holds none yet.

    `defaults` stand for keys that a folder of before does not name. Raises NotemillError for another tokenizer.
    """
    if not (out / MANIFEST_NAME).exists():
        return None
    there = read_tokenizer_manifest(out)
    made_with = {**(defaults or {}), **there["config"]}
    if there["corpus_manifest_sha256"] == corpus_manifest_sha256 and settings.items() <= made_with.items():
        say(f"{out} already holds this tokenizer.")
        return there
    raise NotemillError(f"{out} holds another tokenizer; remove it or give another --out.")


def read_tokenizer_json(file: Path) -> Tokenizer:
    """Any tokenizer.json, after it has encoded a text. Raises NotemillError for one that cannot."""
    try:
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.encode("a 1 \U0010fffd", add_special_tokens=False)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare Exception, and of some damage a panic, which is none
        reason = " ".join(str(error).split()).rstrip(".")
        raise NotemillError(f"{file} is no tokenizer of the tokenizers library: {reason}.") from None
    return tokenizer


def load_tokenizer(tokenizer_dir: Path) -> Tokenizer:
    """The tokenizer, after `read_tokenizer_manifest`'s checks. Adds no special tokens unless asked to."""
    read_tokenizer_manifest(tokenizer_dir)
    return Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))


def special_ids(tokenizer: Tokenizer, manifest: TokenizerManifest) -> dict[str, int]:
    """Id by role."""
    ids = tokenizer.get_vocab(with_added_tokens=True)
    return {role: ids[piece] for role, piece in manifest.get("special_tokens", ROLES).items()}


def _transformers_config(
    finished: FinishedTokenizer, roles: Mapping[str, str], model_max_length: int
) -> dict[str, Any]:
    added = {
        str(number): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for number, token in sorted(finished.tokenizer.get_added_tokens_decoder().items())
    }
    as_class = (
        {"tokenizer_class": "PreTrainedTokenizerFast"}
        if finished.bert is None
        else {"tokenizer_class": "BertTokenizer", **finished.bert}
    )
    return {
        **as_class,
        "model_max_length": model_max_length,
        "clean_up_tokenization_spaces": False,
        **roles,
        "added_tokens_decoder": added,
    }
