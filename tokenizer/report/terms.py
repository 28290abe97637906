"""Are drugs, lab tests and anatomy kept whole? Terms come from a small list of our own and from the user's file.

A file holds a term a line, or `kind<TAB>term`; `#` begins a comment line. A term is whole when each of its words is one
piece, in the midst of a sentence and written as in the list.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launch.errors import NotemillError
from tokenizer.report.opened import OpenedTokenizer
from tokenizer.report.words import find_words, pieces_of_words

BUILT_IN = Path(__file__).parent / "terms.txt"
SPLIT_TERMS_LISTED = 60
Terms = Mapping[str, Sequence[str]]


def read_terms(path: Path, kind: str = "given") -> dict[str, list[str]]:
    """Terms by kind, each once; `kind` is that of lines without one. Raises NotemillError for an unreadable file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise NotemillError(f"cannot read the terms {path}: {error.strerror}; give a text file.") from None
    except UnicodeDecodeError:
        raise NotemillError(f"the terms {path} are not UTF-8; save the file as UTF-8.") from None
    terms: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) > 2 or not parts[-1]:
            raise NotemillError(f"{path} line {number} has {len(parts)} columns; write a term, or kind<TAB>term.")
        terms.setdefault(parts[0] if len(parts) == 2 and parts[0] else kind, {})[parts[-1]] = None
    if not terms:
        raise NotemillError(f"the terms {path} hold no term; write one a line.")
    return {name: list(of_kind) for name, of_kind in terms.items()}


def count_terms(opened: OpenedTokenizer, terms: Terms) -> dict[str, Any]:
    """For each kind: terms, the share that is whole, pieces a word of them, and split ones with their pieces."""
    return {kind: _count_kind(opened, of_kind) for kind, of_kind in terms.items()}


def _count_kind(opened: OpenedTokenizer, terms: Sequence[str]) -> dict[str, Any]:
    whole = num_words = num_pieces = 0
    split: dict[str, list[str]] = {}
    before = "the "
    for term in terms:
        text = f"{before}{term} was"
        encoding = opened.tokenizer.encode(text, add_special_tokens=False)
        pieces = pieces_of_words(find_words(text), encoding, opened.unknown_id)
        counts, is_unknown = pieces.counts[1:-1], pieces.is_unknown[1:-1]
        num_words += len(counts)
        num_pieces += int(counts.sum())
        if (counts == 1).all() and not is_unknown.any():
            whole += 1
        elif len(split) < SPLIT_TERMS_LISTED:
            split[term] = encoding.tokens[int(pieces.first[1]) : int(pieces.behind[-2])] if len(counts) else []
    return {
        "terms": len(terms),
        "whole_share": round(whole / len(terms), 4),
        "pieces_per_word": round(num_pieces / num_words, 4) if num_words else None,
        "split": split,
    }
