"""WordPiece: stock BERT from a list of pieces, cased unless a vocabulary from elsewhere is not.

Normalizer and pre-tokenizer are exactly those that `transformers.BertTokenizer` builds, because that class makes its
own and ignores what tokenizer.json says: anything special here would be lost, without a word, in every AutoTokenizer.
What is particular to clinical text is in the vocabulary instead: placeholders, and numbers (see wordpiece_training).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from tokenizer.fixed_pieces import add_fixed_tokens
from tokenizer.folder import FinishedTokenizer
from tokenizer.kinds import CONTINUATION


@dataclass(frozen=True)
class BertText:
    """What BERT does to a text before it looks for pieces; the names are those of transformers.BertTokenizer."""

    do_lower_case: bool = False
    """Stated always: BertTokenizer lower-cases when it is not told."""
    strip_accents: bool | None = None
    """None: as `do_lower_case`."""
    tokenize_chinese_chars: bool = True

    def normalizer(self) -> normalizers.BertNormalizer:
        return normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.tokenize_chinese_chars,
            strip_accents=self.strip_accents,
            lowercase=self.do_lower_case,
        )


def build_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """The tokenizer whose ids are the positions of `pieces`; the special ones come first."""
    tokenizer = bare_tokenizer(pieces)
    add_fixed_tokens(tokenizer)
    return tokenizer


def finish_wordpiece(pieces: Sequence[str]) -> FinishedTokenizer:
    """The same, ready to be written."""
    return FinishedTokenizer(build_tokenizer(pieces), "wordpiece", bert=bert_arguments(BertText()))


def bare_tokenizer(pieces: Sequence[str], text: BertText = BertText(), unk: str = "[UNK]") -> Tokenizer:
    """Without added tokens."""
    ids = {piece: number for number, piece in enumerate(pieces)}
    assert len(ids) == len(pieces), "pieces differ from each other"
    tokenizer = Tokenizer(WordPiece(ids, unk_token=unk, continuing_subword_prefix=CONTINUATION))
    tokenizer.normalizer = text.normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return tokenizer


def bert_arguments(text: BertText) -> Mapping[str, Any]:
    """For tokenizer_config.json."""
    return asdict(text)
