"""Learns a WordPiece vocabulary from texts: the same one on every run, machine and thread count.

    [PAD] [UNK] [CLS] [SEP] [MASK]
    placeholders          [**NAME**] ...
    characters            of the sample, and all of printable ASCII and common clinical signs, sorted; then ## of them
    numbers               all runs of up to `max_digits` digits, and ## of them
    learned pieces        in the order they were learned
    [unusedN]             up to a multiple of 128

Two things the `tokenizers` trainer does not give by itself:

Determinism. It numbers the ## characters in the order of a hash map, and its merges break ties by number. Here every
character is given, sorted, as a special token of the training; the vocabulary is then rebuilt from the pieces.

Numbers. Left alone it learns the numbers that happen to be frequent ("120" but not "121") and pieces such as "5mg".
Here it sees no digit at all: every number of up to `max_digits` digits is one piece, a longer one is cut in that many
from the left, and no piece mixes digits with letters. The letters after a number ("mg" in "20mg") are learned as ##
pieces.
"""

import itertools
import re
from collections.abc import Iterator

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer

from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.console import track
from tokenizer.alphabet import known_characters, without_endless_words
from tokenizer.fixed_pieces import SPECIAL_TOKENS, pad_pieces, placeholder_pieces
from tokenizer.kinds import CONTINUATION
from tokenizer.settings import MIN_LEARNED, TextSource, TokenizerConfig
from tokenizer.wordpiece import BertText

AFTER_NUMBER = "ꙮ"
"""Stands before letters that follow digits while training; a letter of one 15th-century manuscript."""
_DIGITS_THEN_LETTER = re.compile(r"[0-9]+(?=[^\s!-@\[-`{-~])")
_DIGITS = re.compile(r"[0-9]+")


def learn_pieces(texts: TextSource, config: TokenizerConfig) -> list[str]:
    """The whole vocabulary in the order of ids. `texts` is called twice and gives the same texts each time."""
    chars, joinable = _alphabet(texts, config)
    fixed = [
        *SPECIAL_TOKENS,
        *placeholder_pieces(),
        *chars,
        *(CONTINUATION + char for char in joinable),
        *_numbers(config.digits()),
    ]
    room = config.room_to_learn(len(fixed))
    known = set(fixed)
    learned = (piece for piece in _learn(texts, chars, joinable, config) if piece not in known)
    return pad_pieces([*fixed, *itertools.islice(dict.fromkeys(learned), room)], config.vocab_multiple)


def _alphabet(texts: TextSource, config: TokenizerConfig) -> tuple[list[str], list[str]]:
    """Characters that are known, and those of them that occur inside words, both sorted."""
    normalizer, splitter = BertText().normalizer(), pre_tokenizers.BertPreTokenizer()
    chars, joinable = [], []
    for char in known_characters(texts, config, without=AFTER_NUMBER):
        words = [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(f"a{char}a"))]
        # A character that the normalizer deletes or turns into space is no piece; one that stands alone has no ## form.
        if any(char in word for word in words):
            chars.append(char)
            if len(words) == 1:
                joinable.append(char)
    return chars, joinable


def numbers_of_digits(max_digits: int) -> list[str]:
    """Numbers of two digits and more, with leading zeros, shorter ones first."""
    return [
        "".join(digits)
        for length in range(2, max_digits + 1)
        for digits in itertools.product("0123456789", repeat=length)
    ]


def _numbers(max_digits: int) -> list[str]:
    """Numbers and their ## forms; single digits are characters."""
    numbers = numbers_of_digits(max_digits)
    return [*numbers, *(CONTINUATION + number for number in numbers)]


def _learn(texts: TextSource, chars: list[str], joinable: list[str], config: TokenizerConfig) -> Iterator[str]:
    """Pieces of more than one character in the order they were learned; some may come twice."""
    wanted = config.padded_size()
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertText().normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    given = ["[UNK]", AFTER_NUMBER, *chars, *(CONTINUATION + char for char in joinable)]
    trainer = WordPieceTrainer(
        # "##mg" may be learned both within words and after numbers; the surplus makes up for that.
        vocab_size=len(given) + wanted + wanted // 8 + MIN_LEARNED,
        min_frequency=config.min_frequency,
        special_tokens=given,
        show_progress=False,
    )
    hidden = _Hidden(chars)
    tokenizer.train_from_iterator((hidden.hide(text) for text in track(texts(), "learning pieces")), trainer)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    for piece in sorted(vocabulary, key=vocabulary.__getitem__)[len(given) :]:
        if piece.startswith(AFTER_NUMBER):
            piece = CONTINUATION + piece.removeprefix(AFTER_NUMBER)
        yield piece


class _Hidden:
    """Takes out of a text what the trainer must not see: placeholders, digits and characters that are not known."""

    def __init__(self, known: list[str]) -> None:
        self._known = frozenset(known)
        self._table: dict[int, str | None] = {}

    def hide(self, text: str) -> str:
        text = PLACEHOLDER_PATTERN.sub(" ", text)
        for char in set(text):
            if ord(char) not in self._table:
                # Space and control characters are left to the normalizer.
                is_foreign = char == AFTER_NUMBER or (char not in self._known and char.isprintable())
                self._table[ord(char)] = " " if is_foreign else char
        text = text.translate(self._table)
        return without_endless_words(_DIGITS.sub(" ", _DIGITS_THEN_LETTER.sub(f" {AFTER_NUMBER}", text)))
