"""The tokenizer itself: stock BERT, cased, from a list of pieces.

Normalizer and pre-tokenizer are exactly those that `transformers.BertTokenizer` builds, because that class makes its
own and ignores what tokenizer.json says: anything special here would be lost, without a word, in every AutoTokenizer.
What is particular to clinical text is in the vocabulary instead: placeholders, and numbers (see tokenizer.training).
"""

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from data_pipeline.placeholders import PLACEHOLDER_CLASSES, placeholder

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"
VOCABULARY_MULTIPLE = 128
"""Vocabularies are padded to a multiple of this, so that every tensor-parallel size up to 128 divides them."""


def placeholder_pieces() -> list[str]:
    """Every placeholder of a corpus, in the order of their ids."""
    return [placeholder(name) for name in PLACEHOLDER_CLASSES]


def make_normalizer() -> normalizers.BertNormalizer:
    return normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=False)


def unused_piece(number: int) -> str:
    """A piece that stands for nothing; pads the vocabulary."""
    return f"[unused{number}]"


def padded_size(vocab_size: int) -> int:
    """`vocab_size` rounded up to VOCABULARY_MULTIPLE."""
    return -(-vocab_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def pad_pieces(pieces: Sequence[str]) -> list[str]:
    """The pieces, and unused ones up to a multiple of VOCABULARY_MULTIPLE."""
    missing = padded_size(len(pieces)) - len(pieces)
    return [*pieces, *(unused_piece(number) for number in range(missing))]


def build_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """The tokenizer whose ids are the positions of `pieces`; the special ones come first."""
    ids = {piece: number for number, piece in enumerate(pieces)}
    assert len(ids) == len(pieces), "pieces differ from each other"
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]", continuing_subword_prefix=CONTINUATION))
    tokenizer.normalizer = make_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in SPECIAL_TOKENS])
    # Not special: decoding with skip_special_tokens, as generation and reports do, must not delete them.
    tokenizer.add_tokens([added_placeholder(piece) for piece in placeholder_pieces()])
    return tokenizer


def added_placeholder(piece: str) -> AddedToken:
    """A placeholder as one token, found in the raw text before anything splits it."""
    return AddedToken(piece, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
