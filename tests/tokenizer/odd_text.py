"""Strings that tokenizers disagree on: odd Unicode, spaces, repeats, what looks like a special piece."""

import random
from collections.abc import Iterator

_ODD = (
    "aB3 \t\n\r\x0b\x0c\x1c\x1f\x85\u00a0\u2003\u2028\u200b\u3000é\u0301µ中日[]*#.,'’…"
    "\x00\ufffd\ufeff\u00ad🙂ǅßİ▁▅½ﬁ한ᄒ-_="
)
_WORDS = [
    "[**NAME**]",
    "[**DATE**]",
    "[**HOSPITAL**],",
    "[unused0]",
    "[SEP]",
    "<0x0A>",
    "##a",
    "25mg",
    "12/80",
    "The",
    "The",
    "denies",
    "----",
    "***",
    "aaaa",
    "[**",
    "**]",
    "NAME",
    "▁",
    " ",
    "  ",
    "\n",
    "x" * 40,
]


def odd_texts(count: int, seed: int = 0) -> Iterator[str]:
    """`count` strings, the same for a seed."""
    rng = random.Random(seed)
    for number in range(count):
        if number % 3 == 0:
            yield "".join(rng.choice(_ODD) for _ in range(rng.randint(0, 40)))
        elif number % 3 == 1:
            codes = [rng.randint(0, 0x10FFFF if rng.random() < 0.3 else 0x2FFF) for _ in range(rng.randint(1, 30))]
            yield "".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF)
        else:
            yield "".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 12)))
