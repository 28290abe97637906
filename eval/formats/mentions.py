"""A mention between marks in its context, for classifying mentions as texts (assertions, polarity)."""

from eval.examples import MENTION_MARKS, Span

MAX_CONTEXT = 2000
"""Characters beyond which a context is cut around the mention."""


def mark_mention(text: str, span: Span, context: Span) -> str:
    """The context, a stretch of `text`, with the mention at `span` as `[s1] mention [e1]`."""
    start, end = span
    first, last = context
    if last - first > MAX_CONTEXT:
        spare = max(0, MAX_CONTEXT - (end - start)) // 2
        first, last = max(first, start - spare), min(last, end + spare)
    opening, closing = MENTION_MARKS
    return f"{text[first:start]}{opening} {text[start:end]} {closing}{text[end:last]}".strip()


def marked_mention(text: str) -> str:
    """The mention that `mark_mention` marked."""
    opening, closing = MENTION_MARKS
    return text.partition(f"{opening} ")[2].partition(f" {closing}")[0]
