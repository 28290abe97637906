"""`notemill tokenizer import`: a tokenizer from elsewhere as a tokenizer folder, its ids unchanged.

    tokenizer.json    of the tokenizers library, any model; roles from tokenizer_config.json beside it, or by name
    *.model           of sentencepiece, BPE or Unigram; kept, with the same ids
    vocab.txt         WordPiece of BERT, GatorTron and their like, cased or lower-casing

What pretraining needs and the vocabulary lacks is put behind it: placeholders (or in the place of BERT's [unusedN],
which keeps the size), missing special tokens if asked, and [unusedN] up to a multiple of 128.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from data_pipeline.files import only_writer, read_json, sha256_file
from launch.console import say
from launch.errors import NotemillError
from tokenizer.fixed_pieces import (
    LARGEST_MULTIPLE,
    LARGEST_VOCABULARY,
    ROLES,
    UNUSED,
    VOCABULARY_MULTIPLE,
    added_placeholder,
    frame,
    padded_size,
    placeholder_pieces,
    unused_piece,
)
from tokenizer.folder import (
    IMPORTED,
    FinishedTokenizer,
    TokenizerManifest,
    finished_tokenizer,
    read_tokenizer_json,
    tokenizer_folder,
    write_tokenizer,
)
from tokenizer.kinds import CONTINUATION, kind_of
from tokenizer.wordpiece import BertText, bare_tokenizer, bert_arguments

_NAMES_OF_ROLE = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<cls>", "<s>"),
    "sep": ("[SEP]", "<sep>", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
_BRACKETED = re.compile(r"\[.*\]|<.*>")


@dataclass(frozen=True)
class ImportConfig:
    """Settings of `notemill tokenizer import`."""

    lower_case: bool | None = None
    """Whether a vocab.txt is of lower-cased text. When not given it is read from tokenizer_config.json beside it, or
    from the vocabulary, where that leaves no doubt."""
    strip_accents: bool | None = None
    """Whether é is read as e. When not given: as `lower_case`, which is what BERT does."""
    add_missing: bool = False
    """Add special tokens that the vocabulary lacks, such as [MASK], behind it."""
    placeholders: bool = True
    """Make each placeholder of a corpus one piece."""
    vocab_multiple: int = VOCABULARY_MULTIPLE
    """The vocabulary's size becomes a multiple of this; 1 leaves it."""
    model_max_length: int = 512
    """Longest input that the tokenizer announces to transformers."""

    def validate(self) -> list[str]:
        return [
            f"{name} is {getattr(self, name)} and must be at least 1"
            for name in ("vocab_multiple", "model_max_length")
            if getattr(self, name) < 1
        ] + (
            [f"vocab_multiple is {self.vocab_multiple} and must be at most {LARGEST_MULTIPLE}"]
            if self.vocab_multiple > LARGEST_MULTIPLE
            else []
        )


def import_tokenizer(source: Path, out: Path, config: ImportConfig) -> TokenizerManifest:
    """Write the tokenizer folder `out` from a file or a folder; a finished equal one is left as it is.

    Raises NotemillError for what is no tokenizer, lacks a special token, has pieces twice, leaves its casing open, or
    an `out` that holds another tokenizer.
    """
    file = _file_of(source)
    settings: dict[str, Any] = {**asdict(config), "source": file.name, "source_sha256": _hash(file)}
    given = dict(settings)
    if (there := finished_tokenizer(out, IMPORTED, given)) is not None:
        return there
    if file.suffix == ".model":
        from tokenizer.sentencepiece_import import import_model

        finished, measured = import_model(file, config)
        settings |= measured
    elif file.suffix == ".json":
        finished = _from_json(file, config)
    else:
        finished = _from_vocabulary(file, config)
    with only_writer(tokenizer_folder(out)):
        # Another process may have written it since we looked.
        if (there := finished_tokenizer(out, IMPORTED, given)) is not None:
            return there
        return write_tokenizer(
            out, finished, corpus_manifest_sha256=IMPORTED, config=settings, model_max_length=config.model_max_length
        )


def find_roles(known: Mapping[str, int], named: Mapping[str, str], add_missing: bool, where: Path) -> dict[str, str]:
    """The piece of each role: as `named`, else by its usual names, else ours to be added. Raises NotemillError."""
    roles = {role: named[role] for role in ROLES if named.get(role) in known}
    for role, names in _NAMES_OF_ROLE.items():
        usual = next((name for name in names if name in known), None)
        if role not in roles and usual is not None:
            roles[role] = usual
    for piece, count in Counter(roles.values()).items():
        if count > 1:
            shared = ", ".join(role for role in ROLES if roles.get(role) == piece)
            raise NotemillError(
                f"the settings beside {where} give {piece} as {shared} at once, and each needs a piece of its own; "
                "take it out of tokenizer_config.json for all but one, and say add_missing=true for the others."
            )
    missing = [ROLES[role] for role in ROLES if role not in roles]
    if missing and not add_missing:
        raise NotemillError(
            f"{where} lacks {', '.join(missing)}, which pretraining needs; add_missing=true adds them at its end."
        )
    if missing:
        say(f"{where} lacks {', '.join(missing)}: added.")
    return {role: roles.get(role, ROLES[role]) for role in ROLES}


def new_unused(pieces: Sequence[str] | Mapping[str, int], size: int, multiple: int) -> list[str]:
    """Unused pieces, with names that are not taken, that fill `size` pieces up to a multiple."""
    taken = [int(match[1]) for piece in pieces if (match := UNUSED.fullmatch(piece))]
    first = max(taken, default=-1) + 1
    return [unused_piece(first + number) for number in range(padded_size(size, multiple) - size)]


def _file_of(source: Path) -> Path:
    """The file to read; of a folder the one that decides its ids."""
    if not source.exists():
        raise NotemillError(f"there is no {source}; give a tokenizer.json, a sentencepiece .model or a vocab.txt.")
    if source.is_file():
        if source.suffix in (".model", ".json", ".txt"):
            return source
        raise NotemillError(
            f"{source} is no tokenizer file by its name; it must end in .json (tokenizers), .model (sentencepiece) or "
            ".txt (a vocabulary of WordPiece)."
        )
    there = [source / "tokenizer.json", *sorted(source.glob("*.model")), source / "vocab.txt"]
    there = [path for path in there if path.is_file()]
    if not there:
        raise NotemillError(f"the folder {source} holds no tokenizer.json, no .model and no vocab.txt.")
    if len(there) > 1:
        others = ", ".join(path.name for path in there[1:])
        say(f"{there[0].name} is read; name the file to read {others} instead.")
    return there[0]


def _hash(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise NotemillError(f"cannot read {file}: {error.strerror}.") from None


def _config_beside(file: Path) -> dict[str, Any]:
    path = file.with_name("tokenizer_config.json")
    beside = read_json(path, "tokenizer configuration", "remove or mend it") if path.is_file() else {}
    if not isinstance(beside, dict):
        raise NotemillError(f"{path} holds no settings; remove or mend it.")
    return beside


def _named_roles(file: Path) -> dict[str, str]:
    beside = _config_beside(file)
    found = {}
    for role in ROLES:
        token = beside.get(f"{role}_token")
        content = token.get("content") if isinstance(token, dict) else token
        if isinstance(content, str):
            found[role] = content
    return found


# vocab.txt


def _from_vocabulary(file: Path, config: ImportConfig) -> FinishedTokenizer:
    try:
        lines = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise NotemillError(f"{file} is not UTF-8 from byte {error.start} on; is it a vocabulary?") from None
    if lines == [""]:
        raise NotemillError(f"{file} is empty; a vocabulary has one piece a line.")
    twice = [piece for piece, count in Counter(lines).items() if count > 1]
    if twice:
        where = [str(number) for number, piece in enumerate(lines, 1) if piece == twice[0]]
        raise NotemillError(
            f"{file} has {len(twice)} pieces more than once, the first on lines {' and '.join(where[:3])}; which id is "
            "meant cannot be told: mend the file."
        )
    if "" in lines:
        raise NotemillError(f"{file} has an empty line, {lines.index('') + 1}; ids after it cannot be told: mend it.")
    if not any(piece.startswith(CONTINUATION) and len(piece) > len(CONTINUATION) for piece in lines):
        raise NotemillError(f"{file} has no piece that begins with ##, so it is no vocabulary of WordPiece.")
    return _finish_wordpiece(lines, _text_of(file, lines, config), _named_roles(file), file, config)


def _text_of(file: Path, pieces: list[str], config: ImportConfig) -> BertText:
    """How the vocabulary's text was prepared. Raises NotemillError where that is in doubt."""
    beside = _config_beside(file)
    words = [piece for piece in pieces if not _BRACKETED.fullmatch(piece)]
    capitals = sum(piece != piece.lower() for piece in words)
    stated = beside.get("do_lower_case")
    by_pieces = capitals == 0
    lower_case = config.lower_case
    if lower_case is None:
        if isinstance(stated, bool) and stated != by_pieces:
            raise NotemillError(
                f"tokenizer_config.json beside {file} says do_lower_case={str(stated).lower()}, but {capitals} of its "
                f"{len(pieces)} pieces have capitals; say lower_case=true or lower_case=false."
            )
        if not isinstance(stated, bool) and 0 < capitals < len(words) / 100:
            raise NotemillError(
                f"{capitals} of {len(pieces)} pieces of {file} have capitals, too few to tell whether it is cased; say "
                "lower_case=true or lower_case=false."
            )
        lower_case = by_pieces
        source = "tokenizer_config.json" if isinstance(stated, bool) else "its pieces"
        say(f"{file.name} is {'lower-casing' if lower_case else 'cased'}, by {source} ({capitals} have capitals).")
    elif lower_case != by_pieces:
        say(
            f"{capitals} of {len(pieces)} pieces have capitals, and lower_case={str(lower_case).lower()} was asked for."
        )
    strip_accents = config.strip_accents
    if strip_accents is None and isinstance(beside.get("strip_accents"), bool):
        strip_accents = beside["strip_accents"]
    if strip_accents is None and lower_case and any(piece != _stripped(piece) for piece in words):
        raise NotemillError(
            f"{file} is lower-cased but has pieces with accents, which BERT takes off unless told; say "
            "strip_accents=true or strip_accents=false."
        )
    return BertText(lower_case, strip_accents, bool(beside.get("tokenize_chinese_chars", True)))


def _stripped(piece: str) -> str:
    """Without accents, as BERT takes them off."""
    from tokenizers import normalizers

    return str(normalizers.BertNormalizer(False, False, True, False).normalize_str(piece))


def _finish_wordpiece(
    pieces: list[str], text: BertText, named: Mapping[str, str], where: Path, config: ImportConfig
) -> FinishedTokenizer:
    known = {piece: number for number, piece in enumerate(pieces)}
    roles = find_roles(known, named, config.add_missing, where)
    pieces = [*pieces, *(piece for piece in roles.values() if piece not in known)]
    placeholders = placeholder_pieces() if config.placeholders else [p for p in placeholder_pieces() if p in known]
    new = [piece for piece in placeholders if piece not in known]
    unused = [number for number, piece in enumerate(pieces) if UNUSED.fullmatch(piece)]
    if new and len(unused) >= len(new):
        say(f"{len(new)} placeholders take the place of {pieces[unused[0]]} and those after it; the size stays.")
        for number, piece in zip(unused, new, strict=False):
            pieces[number] = piece
    else:
        pieces += new
    pieces += new_unused(pieces, len(pieces), config.vocab_multiple)
    tokenizer = bare_tokenizer(pieces, text, roles["unk"])
    _add_whole(tokenizer, roles, placeholders)
    return FinishedTokenizer(tokenizer, "wordpiece", roles, bert_arguments(text))


def _add_whole(tokenizer: Tokenizer, roles: Mapping[str, str], placeholders: Sequence[str]) -> None:
    """Special tokens and placeholders, each found whole in the raw text."""
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in roles.values()])
    tokenizer.add_tokens([added_placeholder(piece) for piece in placeholders])
    frame(tokenizer, roles)


# tokenizer.json


def _from_json(file: Path, config: ImportConfig) -> FinishedTokenizer:
    tokenizer = read_tokenizer_json(file)
    known = tokenizer.get_vocab(with_added_tokens=True)
    if not known:
        raise NotemillError(f"{file} has no pieces.")
    _require_all_ids(file, known)
    kind = kind_of(tokenizer)
    bert = _bert_text(tokenizer) if kind == "wordpiece" else None
    if bert is not None:
        return _finish_wordpiece(sorted(known, key=known.__getitem__), bert, _named_roles(file), file, config)
    roles = find_roles(known, _named_roles(file), config.add_missing, file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    placeholders = placeholder_pieces() if config.placeholders else []
    _add_whole(tokenizer, roles, placeholders)
    # As special tokens, so that text is never one of them.
    now = tokenizer.get_vocab(with_added_tokens=True)
    unused = new_unused(now, 1 + max(now.values()), config.vocab_multiple)
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in unused])
    return FinishedTokenizer(tokenizer, kind, roles)


def _require_all_ids(file: Path, known: Mapping[str, int]) -> None:
    """Raise NotemillError where ids are left out: the library numbers new pieces by their count, on top of others."""
    ids = set(known.values())
    if max(ids) >= LARGEST_VOCABULARY:
        raise NotemillError(f"{file} has a piece with the id {max(ids)}; ids must be below {LARGEST_VOCABULARY}.")
    if ids != set(range(len(known))):
        first = next(number for number in range(len(known)) if number not in ids)
        raise NotemillError(
            f"{file} has {len(known)} pieces but none with the id {first}, so pieces put behind it would take ids of "
            "others; add pieces in its gaps."
        )


def _bert_text(tokenizer: Tokenizer) -> BertText | None:
    """BERT's settings, where tokenizer.json, a WordPiece, is what transformers.BertTokenizer would build."""
    parts = json.loads(tokenizer.to_str())
    if any("\n" in piece or "\r" in piece for piece in parts["model"]["vocab"]):
        # A line of vocab.txt cannot hold it.
        return None
    text, splitter = parts["normalizer"] or {}, parts["pre_tokenizer"] or {}
    if (text.get("type"), splitter.get("type")) != ("BertNormalizer", "BertPreTokenizer") or not text["clean_text"]:
        return None
    if parts["model"]["max_input_chars_per_word"] != 100 or any(token["normalized"] for token in parts["added_tokens"]):
        return None
    return BertText(text["lowercase"], text["strip_accents"], text["handle_chinese_chars"])
