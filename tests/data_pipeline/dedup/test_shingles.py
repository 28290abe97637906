"""Words and their runs are hashed as a plain regular expression would find them."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.dedup.shingles import distinct, hash_words, numbers, shingles


def words_of(text: str) -> list[str]:
    """The rule, one text at a time; beyond ASCII only letters belong to words, and case stays."""
    plain = re.sub(r"[^\w\x00-\x7f]+", " ", text)
    lowered = "".join(char.lower() if char.isascii() else char for char in plain)
    return re.findall(r"(?:[\w]|(?<=[0-9])[.,:/](?=[0-9]))+", lowered)


def shingle_set(text: str, num_words: int = 3) -> set[int]:
    words = hash_words([text])
    return set(distinct(*shingles(words, num_words), 1)[0].tolist())


_TEXTS = st.lists(
    st.sampled_from(
        ["K 3.1", "BP 120/80", "at 08:30", "Pain", "PAIN", "1,200", "3.", ".5", "é", "µg", "“x”", "\n", "a_b"]
    )
    | st.text(st.characters(codec="utf-8", exclude_characters="_"), max_size=5),
    max_size=12,
).map(" ".join)


@settings(deadline=None)
@given(st.lists(_TEXTS, max_size=6))
def test_equal_words_have_equal_hashes_and_others_have_not(texts):
    found = hash_words(texts)
    expected = [(index, word) for index, text in enumerate(texts) for word in words_of(text)]
    assert found.text_of.tolist() == [index for index, _ in expected]
    hash_of: dict[str, int] = {}
    for (_, word), value in zip(expected, found.hashes.tolist(), strict=True):
        assert hash_of.setdefault(word, value) == value
    assert len(set(hash_of.values())) == len(hash_of)


@settings(deadline=None)
@given(st.lists(_TEXTS, min_size=1, max_size=5))
def test_a_text_has_the_same_runs_in_any_company(texts):
    together = hash_words(texts)
    values, starts = distinct(*shingles(together, 3), len(texts))
    for index, text in enumerate(texts):
        assert set(values[starts[index] : starts[index + 1]].tolist()) == shingle_set(text)
        runs = set(zip(*(words_of(text)[i:] for i in range(3)), strict=False))
        assert len(shingle_set(text)) == len(runs)


def test_numbers_count():
    assert not shingle_set("K 3.1 troponin 0.02") & shingle_set("K 5.9 troponin 4.80")
    one, other = (set(numbers(hash_words([text]))[0].tolist()) for text in ("K 3.1, Ca 9", "Ca 3.1, K 9"))
    assert len(one) == len(other) == 2 and not one & other


def test_hashes_are_the_same_everywhere():
    """They lie on disk: a change of the rule is a change of format."""
    assert np.bitwise_xor.reduce(hash_words(["Potassium 3.1 mmol/l, naïve"]).hashes) == np.uint64(7112188289388582445)
