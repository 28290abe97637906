from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.examples import Entity
from eval.finetune.tags import entity_runs, from_tags, layer_runs, to_tags
from eval.words import words_of

RUNS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from("AB")).map(lambda t: (t[0], t[0] + t[1], t[2])),
    max_size=12,
)


@settings(deadline=None)
@given(runs=RUNS)
def test_layers_hold_every_run_once_and_read_back(runs: list[tuple[int, int, str]]) -> None:
    layers = layer_runs(runs, 99, Counter())
    read_back = [run for layer in layers for run in from_tags(to_tags(layer, 30))]
    assert sorted(read_back) == sorted(set(runs))


@settings(deadline=None)
@given(runs=RUNS, limit=st.integers(1, 3))
def test_what_finds_no_layer_is_counted(runs: list[tuple[int, int, str]], limit: int) -> None:
    notes: Counter[str] = Counter()
    layers = layer_runs(runs, limit, notes)
    assert len(layers) <= limit
    assert sum(map(len, layers)) + notes["overlapping entities beyond the last layer"] == len(set(runs))


def test_longest_entity_is_in_the_first_layer() -> None:
    assert layer_runs([(2, 3, "A"), (1, 5, "B")], 2, Counter()) == [[(1, 5, "B")], [(2, 3, "A")]]


def test_runs_follow_words_and_count_what_they_change() -> None:
    text = "Type 2diabetes mellitus, [**NAME**]"
    words = words_of(text)
    assert [text[a:b] for a, b in words] == ["Type", "2diabetes", "mellitus", ",", "[**NAME**]"]
    entities = [
        Entity("T1", "D", ((6, 23),)),  # starts inside the word "2diabetes"
        Entity("T2", "D", ((0, 4), (15, 23))),
        Entity("T3", "D", ((4, 5),)),  # a blank
    ]
    notes: Counter[str] = Counter()
    assert entity_runs(entities, words, notes) == [(1, 3, "D"), (0, 1, "D"), (2, 3, "D")]
    assert notes == {
        "entity parts widened to whole words": 1,
        "discontinuous entities tagged by their parts": 1,
        "entity parts without a word": 1,
    }


def test_stray_inside_tags_open_a_run() -> None:
    assert from_tags(["I-A", "I-A", "I-B", "O", "B-A", "B-A"]) == [
        (0, 2, "A"),
        (2, 3, "B"),
        (4, 5, "A"),
        (5, 6, "A"),
    ]
