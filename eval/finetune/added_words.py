"""Frequent words of the training split that become pieces of their own.

A word that the tokenizer cuts into many pieces takes their room in a window, and its meaning has to be put together
first. As one piece it starts from the mean of those ("Fast Vocabulary Transfer for Language Model Compression", Gee et
al., EMNLP 2022), and fine-tuning does the rest. Only the training split is looked at.
"""

import re
from collections import Counter
from collections.abc import Iterable

from eval.finetune.text import TextEncoder

MIN_PIECES = 3
"""Fewer are not worth a row of the embedding that few examples train."""
MIN_COUNT = 3
_WORD = re.compile(r"[^\W\d_]+")
_AT_ONCE = 2000


def frequent_words(texts: Iterable[str], text: TextEncoder, count: int) -> list[str]:
    """At most `count` words of letters that occur often and are cut into `MIN_PIECES` or more, most frequent first.

    Words of equal frequency are in the order of the alphabet.
    """
    counted = Counter(word for one in texts for word in _WORD.findall(one))
    ranked = sorted((word for word, seen in counted.items() if seen >= MIN_COUNT), key=lambda w: (-counted[w], w))
    chosen: list[str] = []
    for start in range(0, len(ranked), _AT_ONCE):
        if len(chosen) >= count:
            break
        words = ranked[start : start + _AT_ONCE]
        pieces = text.word_pieces(words)
        chosen += [
            word
            for word, ids in zip(words, pieces, strict=True)
            # A piece for what is unknown has no meaning to start from.
            if len(ids) >= MIN_PIECES and text.unk_id not in ids
        ]
    return chosen[:count]
