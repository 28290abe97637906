"""Learns a cased WordPiece vocabulary from the train split: the same one on every run, machine and thread count.

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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer

from data_pipeline.files import make_private_folder, sha256_file
from data_pipeline.manifest import MANIFEST_NAME, attested_corpus
from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.console import say, track
from launch.errors import NotemillError
from tokenizer.folder import TokenizerManifest, read_tokenizer_manifest, write_tokenizer
from tokenizer.sample import draw_sample
from tokenizer.wordpiece import (
    CONTINUATION,
    SPECIAL_TOKENS,
    build_tokenizer,
    make_normalizer,
    pad_pieces,
    padded_size,
    placeholder_pieces,
)

ALWAYS_KNOWN = "".join(map(chr, range(33, 127))) + "°µμ±×÷·•–—‘’“”…≤≥≠≈→←↑↓½¼¾²³αβγδéèáàíóúñçäöüÄÖÜß®™"
AFTER_NUMBER = "ꙮ"
"""Stands before letters that follow digits while training; a letter of one 15th-century manuscript."""
_DIGITS_THEN_LETTER = re.compile(r"[0-9]+(?=[^\s!-@\[-`{-~])")
_DIGITS = re.compile(r"[0-9]+")
_MIN_LEARNED = 64
"""Pieces left to learn, below which a vocabulary is refused."""

TextSource = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class TokenizerConfig:
    """Settings of `notemill tokenizer train`."""

    vocab_size: int = 50_176
    """Pieces, rounded up to a multiple of 128; fewer where the sample has no more to learn."""
    max_digits: int | None = None
    """Longest number that is one piece: 3 makes 2,220 pieces, 2 makes 220, 1 spells numbers out. When not given: 3 for
    vocabularies of 16,384 and more, 2 for smaller ones, 1 below 2,048."""
    min_frequency: int = 2
    """Least times that two pieces must stand together to become one."""
    min_char_count: int = 3
    """Least times that a character must occur in the sample to be known; others become [UNK]."""
    max_chars: int = 4_000
    """Most characters known beyond the fixed ones; the most frequent are taken."""
    sample_bytes: int = 4_000_000_000
    """Bytes of text to learn from; the trainer's counters hold about 20 GB."""
    sample_smoothing: float = 0.7
    """Power of a note type's size that its share of the sample is proportional to; 1 keeps proportions."""
    seed: int = 1234
    """Decides which notes are drawn when there are more than `sample_bytes`."""
    model_max_length: int = 512
    """Longest input that the tokenizer announces to transformers."""

    def digits(self) -> int:
        """`max_digits`, or what it is when not given."""
        if self.max_digits is not None:
            return self.max_digits
        return 3 if self.vocab_size >= 16_384 else 2 if self.vocab_size >= 2_048 else 1

    def validate(self) -> list[str]:
        problems = []
        if not 1 <= self.digits() <= 4:
            problems.append(f"max_digits is {self.max_digits} and must be from 1 to 4")
        if not 0 <= self.sample_smoothing <= 1:
            problems.append(f"sample_smoothing is {self.sample_smoothing} and must be from 0 to 1")
        for name in ("vocab_size", "min_frequency", "min_char_count", "sample_bytes", "model_max_length"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)} and must be at least 1")
        return problems


def train_tokenizer(corpus_dir: Path, out: Path, config: TokenizerConfig) -> TokenizerManifest:
    """Train on the corpus's train split and write the tokenizer folder `out`; a finished equal one is left as it is.

    Raises NotemillError for a bad corpus, a vocabulary too small for its characters, or an `out` that holds another
    tokenizer.
    """
    corpus = attested_corpus(corpus_dir, "train")
    corpus_sha256 = sha256_file(corpus_dir / MANIFEST_NAME)
    settings = asdict(config)
    if (out / "manifest.json").exists():
        there = read_tokenizer_manifest(out)
        if (there["corpus_manifest_sha256"], there["config"]) == (corpus_sha256, settings):
            say(f"{out} already holds this tokenizer.")
            return there
        raise NotemillError(f"{out} holds another tokenizer; remove it or give another --out.")
    if not any(shard["rows"] for shard in corpus["shards"] if shard["split"] == "train"):
        raise NotemillError(f"the corpus {corpus_dir} has no notes in its train split; build it from more notes.")
    make_private_folder(out)
    sample = draw_sample(
        corpus_dir, budget_bytes=config.sample_bytes, smoothing=config.sample_smoothing, seed=config.seed
    )
    pieces = learn_pieces(sample.texts, config)
    return write_tokenizer(
        out,
        build_tokenizer(pieces),
        corpus_manifest_sha256=corpus_sha256,
        config=settings,
        model_max_length=config.model_max_length,
    )


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
    wanted = padded_size(config.vocab_size)
    if wanted < len(fixed) + _MIN_LEARNED:
        raise NotemillError(
            f"vocab_size {config.vocab_size} leaves nothing to learn: {len(fixed)} pieces are characters, numbers and "
            f"placeholders; give at least {len(fixed) + _MIN_LEARNED}, or a smaller max_digits."
        )
    known = set(fixed)
    learned = (piece for piece in _learn(texts, chars, joinable, wanted, config) if piece not in known)
    return pad_pieces([*fixed, *itertools.islice(dict.fromkeys(learned), wanted - len(fixed))])


def _alphabet(texts: TextSource, config: TokenizerConfig) -> tuple[list[str], list[str]]:
    """Characters that are known, and those of them that occur inside words, both sorted."""
    counts: Counter[str] = Counter()
    for text in track(texts(), "counting characters"):
        counts.update(text)
    normalizer, splitter = make_normalizer(), pre_tokenizers.BertPreTokenizer()
    frequent = sorted((char for char in counts if counts[char] >= config.min_char_count), key=lambda c: (-counts[c], c))
    found = [char for char in frequent if char not in ALWAYS_KNOWN and char != AFTER_NUMBER][: config.max_chars]
    chars, joinable = [], []
    for char in sorted({*found, *ALWAYS_KNOWN}):
        words = [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(f"a{char}a"))]
        # A character that the normalizer deletes or turns into space is no piece; one that stands alone has no ## form.
        if any(char in word for word in words):
            chars.append(char)
            if len(words) == 1:
                joinable.append(char)
    return chars, joinable


def _numbers(max_digits: int) -> list[str]:
    """Numbers of two and more digits, with leading zeros, and their ## forms; single digits are characters."""
    numbers = [
        "".join(digits)
        for length in range(2, max_digits + 1)
        for digits in itertools.product("0123456789", repeat=length)
    ]
    return [*numbers, *(CONTINUATION + number for number in numbers)]


def _learn(
    texts: TextSource, chars: list[str], joinable: list[str], wanted: int, config: TokenizerConfig
) -> Iterator[str]:
    """Pieces of more than one character in the order they were learned; some may come twice."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = make_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    given = ["[UNK]", AFTER_NUMBER, *chars, *(CONTINUATION + char for char in joinable)]
    trainer = WordPieceTrainer(
        # "##mg" may be learned both within words and after numbers; the surplus makes up for that.
        vocab_size=len(given) + wanted + wanted // 8 + _MIN_LEARNED,
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
        return _DIGITS.sub(" ", _DIGITS_THEN_LETTER.sub(f" {AFTER_NUMBER}", text))
