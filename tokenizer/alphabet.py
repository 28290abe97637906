"""Which characters a vocabulary knows."""

import re
from collections import Counter
from collections.abc import Iterable

from launch.console import track
from tokenizer.settings import TextSource, TokenizerConfig

ALWAYS_KNOWN = "".join(map(chr, range(33, 127))) + "°µμ±×÷·•–—‘’“”…≤≥≠≈→←↑↓½¼¾²³αβγδéèáàíóúñçäöüÄÖÜß®™"

_ENDLESS = 1_000
_ENDLESS_WORD = re.compile(rf"[^\s!-/:-@\[-`{{-~]{{{_ENDLESS},}}")


def without_endless_words(text: str) -> str:
    """Without words of 1,000 characters and more: data, such as an image in base64, over which the trainers of the
    `tokenizers` library take a time that grows with the square of the length."""
    if len(text) < _ENDLESS or max(map(len, text.split()), default=0) < _ENDLESS:
        return text
    return _ENDLESS_WORD.sub(" ", text)


def known_characters(texts: TextSource, config: TokenizerConfig, without: Iterable[str] = ()) -> list[str]:
    """`ALWAYS_KNOWN` and the sample's most frequent other characters, but for those `without`; sorted."""
    counts: Counter[str] = Counter()
    for text in track(texts(), "counting characters"):
        counts.update(text)
    frequent = sorted((char for char in counts if counts[char] >= config.min_char_count), key=lambda c: (-counts[c], c))
    found = [char for char in frequent if char not in ALWAYS_KNOWN and char not in without][: config.max_chars]
    return sorted({*found, *ALWAYS_KNOWN})
