"""Which characters a vocabulary knows."""

from collections import Counter
from collections.abc import Iterable

from launch.console import track
from tokenizer.settings import TextSource, TokenizerConfig

ALWAYS_KNOWN = "".join(map(chr, range(33, 127))) + "°µμ±×÷·•–—‘’“”…≤≥≠≈→←↑↓½¼¾²³αβγδéèáàíóúñçäöüÄÖÜß®™"


def known_characters(texts: TextSource, config: TokenizerConfig, without: Iterable[str] = ()) -> list[str]:
    """`ALWAYS_KNOWN` and the sample's most frequent other characters, but for those `without`; sorted."""
    counts: Counter[str] = Counter()
    for text in track(texts(), "counting characters"):
        counts.update(text)
    frequent = sorted((char for char in counts if counts[char] >= config.min_char_count), key=lambda c: (-counts[c], c))
    found = [char for char in frequent if char not in ALWAYS_KNOWN and char not in without][: config.max_chars]
    return sorted({*found, *ALWAYS_KNOWN})
