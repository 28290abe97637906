"""A set of patterns names every pattern that matches: one that it passed over would be an identifier left."""

import random
import re
from pathlib import Path

import pytest
import re2

from data_pipeline.byte_patterns import latin_1
from data_pipeline.deid.lexicon import find_names
from data_pipeline.deid.patterns import pattern_set
from data_pipeline.deid.patterns.find import detector_groups, find_by_pattern
from data_pipeline.deid.patterns.pattern_set import PatternSet
from data_pipeline.deid.view import byte_view, plain_view, unwrapped

ROOM = 16 << 20
WIDE = [r"(?:[a-h] ?){1,30}x", r"[a-z]{3,40}9", r"(?i:[a-z]+ ){1,9}foo", r"q(?:\w{1,9} ){1,8}w", "o", "^f", "x$"]
MARKED = (Path(__file__).parent / "odd_styles.txt").read_text(encoding="utf-8").split("\n----\n")
ODD_NOTES = [re.sub(r"\{[A-Z]+:([^}]*)\}", r"\1", note) for note in MARKED]


def test_names_the_patterns_that_match() -> None:
    patterns = PatternSet([r"\bab\b", "b+c", r"\d", "$"], ROOM)
    assert sorted(patterns.matching(b"ab abbc")) == [0, 1, 3]
    assert sorted(patterns.matching(b"abbc 1")) == [1, 2, 3]
    assert patterns.matching(b"") == [3]


def test_misses_nothing_whatever_memory_it_has() -> None:
    chosen = random.Random(5)
    texts = ["".join(chosen.choice("abcdefghoqwx 9") for _ in range(2_000)).encode() for _ in range(8)]
    texts += [b"foo", b"q a b c w", b"x" * 3_000]
    searched = [re2.compile(pattern.encode(), latin_1(ROOM)) for pattern in WIDE]
    expected = [{place for place, pattern in enumerate(searched) if pattern.search(text)} for text in texts]
    refused = 0
    for automaton_bytes in range(4 << 10, 64 << 10, 512):
        try:
            patterns = PatternSet(WIDE, automaton_bytes)
        except re2.error:
            refused += 1
            continue
        for text, places_that_match in zip(texts, expected, strict=True):
            assert places_that_match <= set(patterns.matching(text))
    # The range reaches from too little to more than enough.
    assert 0 < refused < len(range(4 << 10, 64 << 10, 512))


def test_an_answer_without_the_pattern_of_every_text_counts_as_none() -> None:
    patterns = PatternSet(["a", "b"], ROOM)
    out_of_memory = re2.Set.SearchSet(latin_1(ROOM))
    out_of_memory.Add(b"a pattern that matches nothing")
    out_of_memory.Compile()
    patterns._set = out_of_memory
    assert sorted(patterns.matching(b"neither")) == [0, 1]


@pytest.mark.parametrize("number", range(3))
def test_detectors_together_find_what_each_finds_alone(number: int) -> None:
    detectors = [item for group in detector_groups() for item in group]
    for note in ODD_NOTES[number::3]:
        plain = unwrapped(plain_view(note))
        data = byte_view(plain)
        alone = set()
        for item in detectors:
            position = 0
            compiled = re2.compile(item.pattern.encode("latin-1"), latin_1(ROOM))
            while match := compiled.search(data, position):
                spans = list(item.judge(plain, *match.span()))
                alone |= set(spans)
                word = re.compile(r"\w+").match(plain, *match.span())
                position = max(spans[-1].end if spans else 0, word.end() if word else 0, match.start() + 1)
        assert alone | set(find_names(plain)) == set(find_by_pattern([plain_view(note)])[0])


def test_compiled_objects_answer_as_the_package_does(monkeypatch):
    texts = [b"", b"Dr. Hill and Mr. Berg", b"seen 2/3/1950 by Hill", b"nothing", b"\xe9Hill"]
    patterns = [r"\bHill\b", r"\d{1,2}/\d{1,2}/\d{4}", r"(?i:dr|mr)\. [A-Z][a-z]+"]

    def answers():
        searches = [pattern_set.searcher(pattern, 1 << 20) for pattern in patterns]
        together = pattern_set.PatternSet(patterns, 1 << 20)
        return [
            (sorted(together.matching(text)), [search(text, at) for search in searches for at in range(len(text) + 1)])
            for text in texts
        ]

    direct = answers()
    monkeypatch.setattr(pattern_set, "compiled_object", lambda wrapper, name: wrapper)
    assert answers() == direct
    assert any(found for found, _ in direct)
