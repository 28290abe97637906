"""A sentencepiece .model as a tokenizer of the `tokenizers` library that gives the same ids.

    sentencepiece                          here
    charsmap, spaces removed and joined    normalizer, in the same order
    add_dummy_prefix                       Prepend, after spaces were removed
    user-defined symbols                   added tokens; cut out after normalizing instead where the text's ends matter
    BPE by score                           merges: every pair of pieces that makes a piece, ranked by that piece
    Unigram                                the same scores; what sentencepiece never matches in text gets a bad one
    byte_fallback                          byte_fallback

Ids are equal on any text for models made by tokenizer.sentencepiece_training. For others two libraries' rules differ at
the edges: `tokenizers` applies a charsmap to whole graphemes, and orders equal merges by pair instead of by place.
`notemill tokenizer import` measures and tells how often.
"""

import re
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram

from launch.errors import NotemillError
from tokenizer.kinds import SPACE_PIECE

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces, as sentencepiece numbers them."""
UNIGRAM, BPE_TYPE = 1, 2
NEVER_MATCHED = -10_000.0
"""Score of a piece that text never becomes; far below any way to spell its characters."""
_UNUSED_FORMS = (r"\[(?=unused[0-9]+\])", r"<(?=unused[0-9]+>)")
_BYTE_FORM = r"<(?=0x[0-9A-F]{2}>)"
_CROSSES_SPACE = re.compile(f"[^{SPACE_PIECE}]{SPACE_PIECE}")


def new_model() -> Any:
    """An empty ModelProto."""
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]


def parse_model(data: bytes, where: str) -> Any:
    """The ModelProto. Raises NotemillError when the bytes are none."""
    from google.protobuf.message import DecodeError

    model = new_model()
    try:
        model.ParseFromString(data)
    except DecodeError:
        model = new_model()
    if not model.pieces or UNKNOWN not in {piece.type for piece in model.pieces}:
        raise NotemillError(f"{where} is no sentencepiece model, or only a part of one; copy it again.")
    return model


def model_kind(model: Any, where: str) -> str:
    """sentencepiece_bpe or sentencepiece_unigram. Raises NotemillError for the types without subwords."""
    kinds = {UNIGRAM: "sentencepiece_unigram", BPE_TYPE: "sentencepiece_bpe"}
    if model.trainer_spec.model_type not in kinds:
        raise NotemillError(f"{where} is a model of words or characters; BPE and Unigram models can be used.")
    if model.trainer_spec.treat_whitespace_as_suffix:
        raise NotemillError(f"{where} writes spaces after words (treat_whitespace_as_suffix), which is not supported.")
    return kinds[model.trainer_spec.model_type]


def tokenizer_of_model(model: Any) -> Tokenizer:
    """The tokenizer without special tokens; user-defined symbols are whole."""
    symbols = [piece.piece for piece in model.pieces if piece.type == USER_DEFINED]
    spec = model.normalizer_spec
    text_has_ends = spec.add_dummy_prefix or spec.remove_extra_whitespaces
    is_bpe = model.trainer_spec.model_type == BPE_TYPE
    tokenizer = Tokenizer(_bpe(model, whole=text_has_ends and bool(symbols)) if is_bpe else _unigram(model))
    tokenizer.normalizer = normalizers.Sequence(list(_normalizers(spec)))
    cuts = []
    if (text_has_ends and symbols and is_bpe) or (not is_bpe and not _spells_ascii(model)):
        cuts.append(_inside_never_matched(model))
    if text_has_ends and symbols:
        cuts.append(_any_of(symbols))
    if not any(_CROSSES_SPACE.search(piece.piece) for piece in model.pieces if piece.type == NORMAL):
        # No piece reaches over a space, so cutting there changes nothing but the time it takes.
        cuts.append(f"{SPACE_PIECE}*[^{SPACE_PIECE}]+|{SPACE_PIECE}+")
    if cuts:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(cut), "isolated") for cut in cuts]
        )
    strip = [decoders.Strip(" ", 1, 0)] if spec.add_dummy_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE_PIECE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    if not text_has_ends:
        from tokenizer.fixed_pieces import added_placeholder

        tokenizer.add_tokens([added_placeholder(symbol) for symbol in symbols])
    return tokenizer


def _normalizers(spec: Any) -> Iterable[normalizers.Normalizer]:
    if spec.precompiled_charsmap:
        yield normalizers.Precompiled(spec.precompiled_charsmap)
    if spec.remove_extra_whitespaces:
        # sentencepiece takes its own sign for a space off the end, but not off the start.
        yield normalizers.Replace(Regex(rf"\A +|[ {SPACE_PIECE}]+\z"), "")
        yield normalizers.Replace(Regex(" {2,}"), " ")
    if spec.add_dummy_prefix:
        yield normalizers.Prepend(SPACE_PIECE)
    yield normalizers.Replace(" ", SPACE_PIECE)


def _any_of(symbols: Iterable[str]) -> str:
    return "|".join(re.escape(symbol) for symbol in sorted(symbols, key=len, reverse=True))


def _spells_ascii(model: Any) -> bool:
    normal = {piece.piece for piece in model.pieces if piece.type == NORMAL}
    return all(chr(code) in normal for code in range(33, 127))


def _inside_never_matched(model: Any) -> str:
    """Cuts what reads like a special, byte or unused piece after its first character, so that text never becomes one.

    For models where its place in the vocabulary alone would make it one: `ignore_merges`, or Unigram without its
    characters.
    """
    never = (piece.piece for piece in model.pieces if piece.type not in (NORMAL, USER_DEFINED, BYTE, UNUSED))
    has_bytes = any(piece.type == BYTE for piece in model.pieces)
    forms = [*_UNUSED_FORMS, *([_BYTE_FORM] if has_bytes else [])]
    return "|".join([*(f"{re.escape(piece[0])}(?={re.escape(piece[1:])})" for piece in never), *forms])


def _bpe(model: Any, whole: bool) -> BPE:
    """`whole`: a stretch between cuts that is a piece is that piece, as user-defined symbols must be."""
    vocabulary = {piece.piece: number for number, piece in enumerate(model.pieces)}
    return BPE(
        vocabulary,
        merges_of({piece.piece: piece.score for piece in model.pieces if piece.type == NORMAL}),
        unk_token=_unknown(model),
        fuse_unk=True,
        byte_fallback=bool(model.trainer_spec.byte_fallback),
        ignore_merges=whole,
    )


def merges_of(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Every pair of pieces that makes a piece, the best piece first."""
    ranked = []
    for order, (piece, score) in enumerate(scores.items()):
        ranked += [(-score, order, left, right) for left, right in splits(piece, scores)]
    ranked.sort(key=lambda merge: merge[:2])
    return [(left, right) for _, _, left, right in ranked]


def splits(piece: str, known: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of known pieces that make this one; `known` is a set or a mapping."""
    pairs = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
    return [(left, right) for left, right in pairs if left in known and right in known]


def _unigram(model: Any) -> Unigram:
    scores = {NORMAL: None, USER_DEFINED: 0.0}
    vocabulary = []
    for piece in model.pieces:
        fixed = scores.get(piece.type, NEVER_MATCHED)
        vocabulary.append((piece.piece, piece.score if fixed is None else fixed))
    unknown = next(number for number, piece in enumerate(model.pieces) if piece.type == UNKNOWN)
    return Unigram(vocabulary, unk_id=unknown, byte_fallback=bool(model.trainer_spec.byte_fallback))


def _unknown(model: Any) -> str:
    return next(piece.piece for piece in model.pieces if piece.type == UNKNOWN)
