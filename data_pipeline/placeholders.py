"""The fixed strings that stand where an identifier stood, such as `[**NAME**]`.

The list is part of the corpus format: the tokenizer keeps each placeholder as one piece, so a class is added at the end
and never renamed. The classes follow the Safe Harbor list as far as text can hold them.
"""

import re
from typing import Literal, get_args

PlaceholderClass = Literal[
    "NAME",
    "DATE",
    "AGE",
    "LOCATION",
    "HOSPITAL",
    "PHONE",
    "EMAIL",
    "URL",
    "IP",
    "SSN",
    "MRN",
    "ACCOUNT",
    "LICENSE",
    "DEVICE",
    "ID",
]
PLACEHOLDER_CLASSES: tuple[PlaceholderClass, ...] = get_args(PlaceholderClass)

PLACEHOLDER_START = "[**"
PLACEHOLDER_PATTERN = re.compile(r"\[\*\*(?:" + "|".join(PLACEHOLDER_CLASSES) + r")\*\*\]")
"""Matches exactly the placeholders above."""


def placeholder(cls: PlaceholderClass) -> str:
    """`[**NAME**]` for NAME; ValueError for a class that is not in the list."""
    if cls not in PLACEHOLDER_CLASSES:
        raise ValueError(f"'{cls}' is no placeholder class; the classes are {', '.join(PLACEHOLDER_CLASSES)}")
    return f"[**{cls}**]"
