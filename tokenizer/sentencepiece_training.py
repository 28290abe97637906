"""Learns a sentencepiece BPE or Unigram model: the same bytes on every run and thread count.

    [PAD] [UNK] [CLS] [SEP] [MASK]
    placeholders          [**NAME**] ..., user-defined symbols
    bytes                 <0x00> ... <0xFF>, for characters that are not known
    characters            of the sample, and all of printable ASCII and common clinical signs, sorted; ▁ is a space
    learned pieces        BPE: in the order they were learned; Unigram: the most probable first
    [unusedN]             up to a multiple of 128

What is left out of the library's own way of training, and why:

Its .model holds its options, thread count included, and its Unigram sums probabilities in the order of its threads.
Here it runs on one thread, over words and how often they occur (counted here, so that memory grows with different words
and not with text); only pieces and scores are taken of its result, and the .model is put together here.

Text is not normalized and gets no prefix: two spaces stay two, ² and µ stay, a newline is <0x0A>. No piece reaches over
a space, a newline, a digit (each is its own piece) or from letters to signs.

Scores are made so that sentencepiece and `tokenizers` agree to the last tie: see `_agreeing` and `_on_grid`.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.console import track
from launch.errors import NotemillError
from tokenizer.alphabet import known_characters
from tokenizer.fixed_pieces import SPECIAL_TOKENS, add_fixed_tokens, pad_pieces, placeholder_pieces
from tokenizer.folder import FinishedTokenizer
from tokenizer.kinds import SPACE_PIECE, byte_piece
from tokenizer.sentencepiece_model import (
    BPE_TYPE,
    BYTE,
    CONTROL,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    new_model,
    splits,
    tokenizer_of_model,
)
from tokenizer.settings import TextSource, TokenizerConfig

_WORD = re.compile(r" *[^ \n]+| +")
_LONGEST_WORD = 128
"""Longer ones are data, not words."""
_MAX_WORDS = 10_000_000
"""Different words counted, about 1 GB; beyond, the rarest are dropped."""
_MAX_PIECE_CHARS = 32
_RESERVED = frozenset(f"{SPACE_PIECE}\u2585")
"""Characters that sentencepiece uses for itself."""
_GRID = 128
"""Unigram scores are multiples of 1/128: their sums are exact in 32 bits for texts of up to some 10,000 pieces."""
_SURPLUS = 64


def learn_sentencepiece(texts: TextSource, config: TokenizerConfig) -> FinishedTokenizer:
    """Learn from the texts. Raises NotemillError when the vocabulary is too small for its characters."""
    chars = [char for char in known_characters(texts, config, without=_RESERVED) if char.isprintable()]
    chars = sorted({*chars, SPACE_PIECE} - {" "})
    fixed = [*SPECIAL_TOKENS, *placeholder_pieces(), *map(byte_piece, range(256))]
    room = config.room_to_learn(len(fixed) + len(chars))
    words = _count_words(texts, frozenset(chars))
    if not words:
        raise NotemillError("the train split holds no words to learn from; build the corpus from more notes.")
    learned = _train(words, config, size=len(chars) + room + room // 8 + _SURPLUS)
    long = [(piece, score) for piece, score in learned if len(piece) > 1]
    scores: dict[str, float]
    if config.kind == "sentencepiece_bpe":
        kept = _agreeing((piece for piece, _ in long), chars)[:room]
        scores = {piece: -float(rank) for rank, piece in enumerate([*kept, *chars])}
    else:
        scores = _on_grid(dict(learned), chars, [piece for piece, _ in long if "*" not in piece][:room])
        kept = [piece for piece in scores if len(piece) > 1]
    model = _assemble([*chars, *kept], scores, config)
    tokenizer = tokenizer_of_model(model)
    add_fixed_tokens(tokenizer)
    return FinishedTokenizer(tokenizer, config.kind, sentencepiece_model=model.SerializeToString(deterministic=True))


def _count_words(texts: TextSource, known: frozenset[str]) -> Counter[str]:
    """Words with the spaces before them, and how often each occurs; cut at digits and characters that are not known."""
    counts: Counter[str] = Counter()
    table: dict[int, str] = dict.fromkeys(map(ord, "0123456789"), "\n")
    seen: set[str] = set("0123456789 ")
    rarest = 0
    for text in track(texts(), "counting words"):
        for char in set(text) - seen:
            seen.add(char)
            if char not in known or char == SPACE_PIECE:
                table[ord(char)] = "\n"
        counts.update(_WORD.findall(PLACEHOLDER_PATTERN.sub("\n", text).translate(table)))
        while len(counts) > _MAX_WORDS:
            rarest += 1
            counts = Counter({word: count for word, count in counts.items() if count > rarest})
    return Counter({word: count for word, count in counts.items() if len(word) <= _LONGEST_WORD})


def _train(words: Counter[str], config: TokenizerConfig, size: int) -> list[tuple[str, float]]:
    """Pieces and scores in sentencepiece's order."""
    import sentencepiece

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(f"{word}\t{count}" for word, count in sorted(words.items())),
            input_format="tsv",
            model_writer=written,
            model_type=config.kind.removeprefix("sentencepiece_"),
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            max_sentencepiece_length=_MAX_PIECE_CHARS,
            max_sentence_length=1 << 16,
            shuffle_input_sentence=False,
            num_threads=1,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise NotemillError(f"sentencepiece could not learn a vocabulary: {' '.join(str(error).split())}.") from None
    model = new_model()
    model.ParseFromString(written.getvalue())
    return [(piece.piece, piece.score) for piece in model.pieces if piece.type == NORMAL]


def _agreeing(learned: Iterable[str], chars: Iterable[str]) -> list[str]:
    """BPE pieces without those on which the libraries may differ.

    Where a piece can stand at two overlapping places ("---" in "----"), sentencepiece makes the one on the left and
    `tokenizers` the one whose pair ranks first. With one pair a piece these are the same.
    """
    known = set(chars)
    kept = []
    for piece in learned:
        pairs = splits(piece, known)
        if not pairs or (len(pairs) > 1 and _overlaps_itself(piece)):
            continue
        kept.append(piece)
        known.add(piece)
    return kept


def _overlaps_itself(piece: str) -> bool:
    return any(piece.startswith(piece[start:]) for start in range(1, len(piece)))


def _on_grid(learned: dict[str, float], chars: list[str], kept: list[str]) -> dict[str, float]:
    """Scores of characters and kept pieces as multiples of 1/_GRID, so that sums and ties are exact in both libraries.

    An asterisk is a piece of its own and costs so much that spelling a placeholder never beats the symbol, whose score
    sentencepiece makes from its length and the best score there is.
    """
    rounded = {piece: round(score * _GRID) / _GRID for piece, score in learned.items()}
    lowest, best = min(rounded.values()), max(rounded.values())
    scores = {char: rounded.get(char, lowest) for char in chars}
    longest = max(map(len, placeholder_pieces()))
    scores["*"] = float(int((longest * best + 4 * lowest) / 4) - 1)
    return scores | {piece: rounded[piece] for piece in kept}


def _assemble(pieces: list[str], scores: dict[str, float], config: TokenizerConfig) -> Any:
    model = new_model()
    types = dict.fromkeys(SPECIAL_TOKENS, CONTROL) | {"[UNK]": UNKNOWN}
    types |= dict.fromkeys(placeholder_pieces(), USER_DEFINED)
    types |= dict.fromkeys(map(byte_piece, range(256)), BYTE)
    types |= dict.fromkeys(pieces, NORMAL)
    for piece in pad_pieces(list(types), config.vocab_multiple):
        model.pieces.add(piece=piece, score=scores.get(piece, 0.0), type=types.get(piece, UNUSED))
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type = BPE_TYPE if config.kind == "sentencepiece_bpe" else UNIGRAM
    trainer.vocab_size = len(model.pieces)
    trainer.byte_fallback = True
    trainer.split_digits = True
    trainer.allow_whitespace_only_pieces = True
    trainer.user_defined_symbols.extend(placeholder_pieces())
    trainer.control_symbols.append("[MASK]")
    for number, (role, piece) in enumerate(zip(("pad", "unk", "bos", "eos"), SPECIAL_TOKENS, strict=False)):
        setattr(trainer, f"{role}_id", number)
        setattr(trainer, f"{role}_piece", piece)
    normalizer.name = "identity"
    normalizer.add_dummy_prefix = False
    normalizer.remove_extra_whitespaces = False
    normalizer.escape_whitespaces = True
    return model
