"""A sentencepiece .model from elsewhere: completed for pretraining, and held against the library itself."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from launch.console import say
from launch.errors import NotemillError
from tokenizer.fixed_pieces import frame, placeholder_pieces
from tokenizer.folder import FinishedTokenizer
from tokenizer.importing import ImportConfig, find_roles, new_unused
from tokenizer.sentencepiece_model import (
    CONTROL,
    NEVER_MATCHED,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    model_kind,
    parse_model,
    tokenizer_of_model,
)

_STRINGS_COMPARED = 2_000
_PLAIN = "Pt. denies pain; BP 120/80, K 3.1 on 03/12.\nPLAN: 20mg [**NAME**]'s (see [**DATE**]) ----- ______ …½µ²°Cé "
_ODD = "aB3 \t\n\r\x0b\x85\u00a0\u2003\u2028\u200b\u3000é\u0301µ中日[]*#'’\ufffd\ufeff\u00ad🙂ǅßİ▁½ﬁ한"


def import_model(file: Path, config: ImportConfig) -> tuple[FinishedTokenizer, dict[str, Any]]:
    """The tokenizer, and in how many of how many strings its ids are those of the sentencepiece library.

    The .model stays byte for byte what it was unless pieces have to be added behind its own. Raises NotemillError.
    """
    data = file.read_bytes()
    model = parse_model(data, str(file))
    kind = model_kind(model, str(file))
    twice = len(model.pieces) - len({piece.piece for piece in model.pieces})
    if twice:
        raise NotemillError(f"{file} has {twice} pieces more than once, so their ids cannot be told.")
    roles = _complete(model, config, file)
    if len(model.pieces) != len(parse_model(data, str(file)).pieces):
        data = model.SerializeToString(deterministic=True)
    tokenizer = tokenizer_of_model(model)
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in roles.values()])
    frame(tokenizer, roles)
    return FinishedTokenizer(tokenizer, kind, roles, sentencepiece_model=data), _compare(data, tokenizer, file)


def _complete(model: Any, config: ImportConfig, file: Path) -> dict[str, str]:
    """Add what is missing behind the model's pieces; the roles."""
    known = {piece.piece: number for number, piece in enumerate(model.pieces)}
    unknown = next(piece.piece for piece in model.pieces if piece.type == UNKNOWN)
    roles = find_roles(known, {"unk": unknown}, config.add_missing, file)
    for piece in roles.values():
        if piece not in known:
            model.pieces.add(piece=piece, score=0.0, type=CONTROL)
    if config.placeholders:
        for piece in placeholder_pieces():
            if piece not in known:
                model.pieces.add(piece=piece, score=0.0, type=USER_DEFINED)
    for piece in new_unused(known, len(model.pieces), config.vocab_multiple):
        model.pieces.add(piece=piece, score=NEVER_MATCHED, type=UNUSED)
    return roles


def _compare(data: bytes, tokenizer: Tokenizer, file: Path) -> dict[str, int]:
    """Encode invented strings with both libraries."""
    import sentencepiece

    try:
        theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError:
        raise NotemillError(f"the sentencepiece library cannot load {file}; is it a part of a model?") from None
    counts = {}
    tokenizer.encode_special_tokens = True
    for name, alphabet in (("plain", _PLAIN), ("odd", _ODD)):
        texts = list(_strings(alphabet))
        ours = tokenizer.encode_batch(texts, add_special_tokens=False)
        same = sum(left.ids == right for left, right in zip(ours, theirs.encode(texts), strict=True))
        say(f"ids equal those of sentencepiece in {same} of {len(texts)} {name} strings.")
        counts[f"{name}_strings_equal"] = same
    tokenizer.encode_special_tokens = False
    return counts | {"strings_compared": _STRINGS_COMPARED}


def _strings(alphabet: str) -> Iterator[str]:
    rng = random.Random(1)
    for _ in range(_STRINGS_COMPARED):
        if rng.random() < 0.5:
            start = rng.randrange(len(alphabet))
            yield alphabet[start : start + rng.randint(1, 40)]
        else:
            yield "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 30)))
