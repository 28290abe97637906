"""From which probability on a word is an identifier: the most that is found for a price that is known."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.examples import Document, Entity
from eval.finetune.threshold import (
    HIGHEST,
    LOWEST,
    MAX_WRONG_SHARE,
    Judged,
    choose_threshold,
    expected_at_most,
    judged_words,
)
from eval.formats.base import Reading
from eval.formats.spans import Spans
from launch.errors import NotemillError

words = st.lists(st.builds(Judged, st.floats(0, 1), st.booleans(), st.booleans()), max_size=40)


@given(words)
def test_the_price_is_kept_and_no_lower_threshold_keeps_it(judged: list[Judged]) -> None:
    threshold = choose_threshold(judged)
    assert LOWEST <= threshold <= HIGHEST

    def price(at: float) -> float:
        added = [word for word in judged if not word.is_found and word.inside >= at]
        wrong = sum(not word.is_gold for word in added)
        return expected_at_most(wrong) / max(1, len(added) + sum(word.is_found for word in judged))

    if threshold < HIGHEST:
        assert price(threshold) <= MAX_WRONG_SHARE or threshold == LOWEST
        lower = [word.inside for word in judged if not word.is_found and LOWEST < word.inside < threshold]
        assert all(price(at) > MAX_WRONG_SHARE for at in lower)


def test_what_others_find_costs_nothing() -> None:
    sure = [Judged(0.9, True, False)] * 900
    doubtful = [Judged(0.6, False, True)] * 50
    assert choose_threshold([*sure, *doubtful, Judged(0.3, False, False)] + [Judged(0.1, False, False)] * 9) < 0.3
    assert choose_threshold([*sure, *(word._replace(is_found=False) for word in doubtful)]) > 0.6


def test_few_notes_allow_less() -> None:
    """One wrong word in 200 is half of what is allowed, but says little; ten in 2,000 say enough."""
    few = [*[Judged(0.9, True, False)] * 199, Judged(0.6, False, False)]
    assert choose_threshold(few) == pytest.approx(0.75)
    assert choose_threshold(few * 10) == pytest.approx(0.3)
    assert [expected_at_most(0), expected_at_most(100)] == [0, pytest.approx(116.4)]


def test_a_model_that_knows_nothing_stays_silent() -> None:
    assert choose_threshold([Judged(0.5, bool(i % 9 == 0), False) for i in range(90)]) == HIGHEST
    assert choose_threshold([]) == HIGHEST


def test_words_are_gold_and_found_where_a_span_touches_them() -> None:
    document = Document("d", "Dr. Ann Hill, 4/5", (Entity("T1", "NAME", ((4, 12),)),), found=((8, 12), (14, 17)))
    judged = judged_words([document], [[0.9, 1, 0.2, 0.1, 1, 0.4, 1, 0.3]])
    assert [(round(word.inside, 1), word.is_gold, word.is_found) for word in judged] == [
        (0.1, False, False),
        (0.8, True, False),
        (0.9, True, True),
        (0.6, False, True),
        (0.7, False, True),
    ]


def test_marked_notes_may_say_what_is_found(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps({"text": "met Ann", "spans": [], "found": [[4, 7]]}))
    assert Spans().read(path, Reading("ner"))[0].found == ((4, 7),)
    path.write_text(json.dumps({"text": "met Ann", "spans": [], "found": [[4, 9]]}))
    with pytest.raises(NotemillError, match="line 1"):
        Spans().read(path, Reading("ner"))
