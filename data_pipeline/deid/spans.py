"""Spans that detectors report, their union, and the text with placeholders in their place."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from data_pipeline.placeholders import PlaceholderClass, placeholder


class PhiSpan(NamedTuple):
    """Characters `start` to `end` (exclusive) identify someone."""

    start: int
    end: int
    cls: PlaceholderClass


def union(spans: Iterable[PhiSpan]) -> list[PhiSpan]:
    """Sorted spans without overlap; overlapping ones merge and take the class of the longest among them.

    Of two of one length the class that says more counts: ID is what nobody knows better.
    """
    merged: list[PhiSpan] = []
    longest = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end, span.cls == "ID", span.cls)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            length = span.end - span.start
            cls = span.cls if length > longest else last.cls
            longest = max(longest, length)
            merged[-1] = PhiSpan(last.start, max(last.end, span.end), cls)
        else:
            merged.append(span)
            longest = span.end - span.start
    return merged


def replace_spans(text: str, spans: list[PhiSpan]) -> tuple[str, Counter[PlaceholderClass]]:
    """Text with a placeholder for each span of a `union`, and how many of each class."""
    if not spans:
        return text, Counter()
    parts: list[str] = []
    position = 0
    for span in spans:
        parts += (text[position : span.start], placeholder(span.cls))
        position = span.end
    parts.append(text[position:])
    return "".join(parts), Counter(span.cls for span in spans)
