"""Marked sentences: marks out, spans kept, whatever else looks like a mark."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.clusters import cluster_of
from eval.examples import RelationCandidate
from eval.formats import load_dataset
from eval.formats.marked import _mark, _parse
from launch.errors import NotemillError

CASES = [
    ("<< A >> of [[ B ]].", "A of B.", "A", "B"),
    ("[[ B ]] of << A >>.", "B of A.", "A", "B"),
    ("<< a [[ b ]] c >>", "a b c", "a b c", "b"),
    ("<< a [[ b >> c ]]", "a b c", "a b", "b c"),
    ("<< [[ a ]] b >>", "a b", "a b", "a"),
    ("[s1] A [e1] then [s2] B [e2]", "A then B", "A", "B"),
    ("<<A>> of [[B]]", "A of B", "A", "B"),
    ("STA2>>17-phenyl blocks << A >> by [[ 2-[[5-x ]].", "STA2>>17-phenyl blocks A by 2-[[5-x.", "A", "2-[[5-x"),
]


@pytest.mark.parametrize(("marked", "text", "head", "tail"), CASES)
def test_marks_become_spans(marked, text, head, tail):
    parsed = _parse(marked)
    assert parsed is not None
    assert parsed[0] == text
    assert (text[slice(*parsed[1])], text[slice(*parsed[2])]) == (head, tail)


@given(st.text("ab c", min_size=6, max_size=20), st.data())
@settings(max_examples=200, deadline=None)
def test_marking_and_reading_are_inverse(text, data):
    spans = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 5)).map(lambda s: (s[0], min(len(text), sum(s))))
    head, tail = data.draw(spans), data.draw(spans)
    assert _parse(_mark(RelationCandidate("1", text, head, tail, "X"))) == (text, head, tail)


def test_relations_of_one_sentence_share_their_source(tmp_path):
    path = tmp_path / "test.jsonl"
    marked = ("<< a >> [[ b ]] c", "<< a >> b [[ c ]]", "<< a >> [[ b ]]")
    path.write_text("\n".join(json.dumps({"text": text, "label": "X"}) for text in marked))
    sources = [cluster_of(candidate) for candidate in load_dataset("re", f"marked:{path}").splits["test"]]
    assert sources[0] == sources[1] != sources[2]


def test_a_sentence_without_marks_is_named_by_line(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(json.dumps({"text": t, "label": "X"}) for t in ("<< a >> [[ b ]]", "secret words")))
    with pytest.raises(NotemillError, match="line 2") as refused:
        load_dataset("re", f"marked:{path}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("marked", ["<<  >> [[ b ]]", "<< a [[  ]] >>", "[[ b ]]<<  >>", "<<  >>[[ b ]]"])
def test_empty_mentions_come_back(marked):
    parsed = _parse(marked)
    assert parsed is not None
    assert _parse(_mark(RelationCandidate("1", *parsed, "X"))) == parsed
