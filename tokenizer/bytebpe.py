"""Byte-level BPE: nothing is unknown and nothing is lost; decoding gives back every character, space and newline.

    [PAD] [UNK] [CLS] [SEP] [MASK]     [UNK] is never made
    placeholders                       [**NAME**] ...
    bytes                              256, in GPT-2's letters, sorted
    numbers                            all runs of up to `max_digits` digits, alone and after a space
    learned pieces                     in the order they were learned
    [unusedN]                          up to a multiple of 128

Text is first cut, and no piece reaches over a cut: numbers after `max_digits` digits from the left; letters; other
signs; newlines; each of the first three with a space before it. So "20mg" is "20" and "mg", "120/80" three pieces, and
a newline is never part of a word. As in WordPiece training no digit is seen: every number is there, and none by chance.
"""

import json
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.console import track
from tokenizer.alphabet import without_endless_words
from tokenizer.fixed_pieces import SPECIAL_TOKENS, add_fixed_tokens, pad_pieces, placeholder_pieces
from tokenizer.folder import FinishedTokenizer
from tokenizer.settings import TextSource, TokenizerConfig
from tokenizer.wordpiece_training import numbers_of_digits

_SPACE = "Ġ"
_CUT = "\ufdd0"
"""Unicode's word that this is no character."""
_CUT_AT_DIGITS = str.maketrans(dict.fromkeys("0123456789", _CUT))


def learn_bytebpe(texts: TextSource, config: TokenizerConfig) -> FinishedTokenizer:
    """Learn from the texts. Raises NotemillError when the vocabulary is too small for bytes and numbers."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    number_merges = _number_merges(config.digits())
    numbers = dict.fromkeys(left + right for left, right in number_merges)
    fixed = [*SPECIAL_TOKENS, *placeholder_pieces(), *letters, *numbers]
    learned_merges = _learn(texts, letters, config.room_to_learn(len(fixed)), config)
    # Two pairs may make one piece.
    learned = dict.fromkeys(left + right for left, right in learned_merges)
    pieces = pad_pieces([*fixed, *learned], config.vocab_multiple)
    model = BPE(
        {piece: number for number, piece in enumerate(pieces)},
        [*number_merges, *learned_merges],
        fuse_unk=False,
        byte_fallback=False,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = _cutter(config.digits())
    tokenizer.decoder = decoders.ByteLevel()
    add_fixed_tokens(tokenizer)
    return FinishedTokenizer(tokenizer, "bytebpe")


def _cutter(max_digits: int) -> pre_tokenizers.PreTokenizer:
    parts = (
        rf" ?[0-9]{{1,{max_digits}}}",
        r" ?[\p{L}\p{M}]+",
        # Signs, and numerals such as ² or ٣.
        r" ?[^\s\p{L}\p{M}0-9]+",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(parts)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _number_merges(max_digits: int) -> list[tuple[str, str]]:
    """Merges that make every number from its digits, whichever of them are joined first, and the same after a space."""
    numbers = numbers_of_digits(max_digits)
    # A number after a space grows from "Ġ1", so these come before the merges of bare digits.
    after_space = [(_SPACE, digit) for digit in "0123456789"] + [(_SPACE + n[:-1], n[-1]) for n in numbers]
    return [*after_space, *((n[:cut], n[cut:]) for n in numbers for cut in range(1, len(n)))]


def _learn(texts: TextSource, letters: list[str], room: int, config: TokenizerConfig) -> list[tuple[str, str]]:
    """The merges of at most `room` pieces."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = _cutter(1)
    trainer = BpeTrainer(
        vocab_size=len(letters) + room,
        min_frequency=config.min_frequency,
        initial_alphabet=letters,
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_without_numbers(track(texts(), "learning pieces")), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def _without_numbers(texts: Iterator[str]) -> Iterator[str]:
    """The texts in parts, cut where a number or a placeholder stood."""
    for text in texts:
        for part in PLACEHOLDER_PATTERN.sub(_CUT, text).translate(_CUT_AT_DIGITS).split(_CUT):
            if part:
                yield without_endless_words(part)
