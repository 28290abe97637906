"""Cleaning makes text regular and keeps its meaning and shape."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.cleaning.characters import clean


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("HISTORY:\r\n\r\n  Pain.\rNo fever.", "HISTORY:\n\n  Pain.\nNo fever."),
        ("K\xa03.1\u2003mmol", "K 3.1 mmol"),
        ("BP &lt; 90, Q&amp;A, 37&deg;, &#8805;2", "BP < 90, Q&A, 37°, ≥2"),
        ("H&P, R&D, S&notes", "H&P, R&D, S&notes"),
        ("&amp;lt; 5", "< 5"),
        ("a\x00b\x07c\u200bd\ufeff", "abcd"),
        ("Ame\u0301lie", "Amélie"),
        ("tab\tkept  \nspaces  inside kept   \n\n\n", "tab\tkept\nspaces  inside kept"),
        ("\ud800 alone", "\ufffd alone"),
        ("page one\fpage two\x0bé\x85end", "page one\npage two\né\nend"),
        ("a &#13;&#10; b &nbsp;c&nbsp;", "a\n b  c"),
    ],
)
def test_what_is_changed_and_what_stays(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


def test_normal_forms() -> None:
    assert clean("5 m² ﬁne ①") == "5 m² ﬁne ①"
    assert clean("5 m² ﬁne ①", "NFKC") == "5 m2 fine 1"


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_any_string_comes_out_as_text_that_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in cleaned)
    assert "\r" not in cleaned and "\xa0" not in cleaned
