from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.examples import Entity
from eval.finetune.tags import MAX_GAP, Run, entity_runs, from_tags, layer_runs, to_tags
from eval.words import words_of


def run(label: str, *parts: tuple[int, int]) -> Run:
    return Run(parts, label)


@st.composite
def any_run(draw: st.DrawFn) -> Run:
    """One to three parts with at least a word between them."""
    position = draw(st.integers(0, 20))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        length, gap = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        parts.append((position, position + length))
        position += length + gap
    return Run(tuple(parts), draw(st.sampled_from("AB")))


RUNS = st.lists(any_run(), max_size=12)


@settings(deadline=None)
@given(runs=RUNS)
def test_layers_hold_every_run_once_and_read_back(runs: list[Run]) -> None:
    layers = layer_runs(runs, 99, Counter())
    read_back = [run for layer in layers for run in from_tags(to_tags(layer, 50))]
    assert sorted(read_back) == sorted(set(runs))


@settings(deadline=None)
@given(runs=RUNS, limit=st.integers(1, 3))
def test_what_finds_no_layer_is_counted(runs: list[Run], limit: int) -> None:
    notes: Counter[str] = Counter()
    layers = layer_runs(runs, limit, notes)
    assert len(layers) <= limit
    assert sum(map(len, layers)) + notes["overlapping entities beyond the last layer"] == len(set(runs))


def test_longest_entity_is_in_the_first_layer() -> None:
    short, long = run("A", (2, 3)), run("B", (1, 5))
    assert layer_runs([short, long], 2, Counter()) == [[long], [short]]


def test_a_mention_of_another_label_fits_into_a_gap() -> None:
    divided, other, same = run("A", (0, 1), (4, 5)), run("B", (2, 3)), run("A", (2, 3))
    assert layer_runs([divided, other], 3, Counter()) == [[divided, other]]
    assert layer_runs([divided, same], 3, Counter()) == [[divided], [same]]
    assert to_tags([divided, other], 5) == ["B-A", "O", "B-B", "O", "J-A"]


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
    assert entity_runs(entities, words, notes) == [run("D", (1, 3)), run("D", (0, 1), (2, 3))]
    assert notes == {"entity parts widened to whole words": 1, "entity parts without a word": 1}


def test_parts_that_a_line_break_divides_are_one() -> None:
    words = words_of("high blood\n  pressure now")
    notes: Counter[str] = Counter()
    assert entity_runs([Entity("T1", "D", ((0, 10), (13, 21)))], words, notes) == [run("D", (0, 3))]
    assert not notes


def test_parts_too_far_apart_are_mentions_of_their_own() -> None:
    text = "a " * (MAX_GAP + 3)
    notes: Counter[str] = Counter()
    near, far = 2 * (MAX_GAP + 1), 2 * (MAX_GAP + 2)
    assert entity_runs([Entity("T1", "D", ((0, 1), (near, near + 1)))], words_of(text), notes) == [
        run("D", (0, 1), (MAX_GAP + 1, MAX_GAP + 2))
    ]
    assert not notes
    assert len(entity_runs([Entity("T1", "D", ((0, 1), (far, far + 1)))], words_of(text), notes)) == 2
    assert notes == {"discontinuous entities whose parts are too far apart, tagged by their parts": 1}


def test_stray_inside_and_joining_tags_open_a_run() -> None:
    assert from_tags(["I-A", "I-A", "I-B", "O", "B-A", "B-A", "J-C", "J-A", *["O"] * (MAX_GAP + 1), "J-A"]) == [
        run("A", (0, 2)),
        run("B", (2, 3)),
        run("A", (4, 5)),
        run("A", (5, 6), (7, 8)),
        run("C", (6, 7)),
        run("A", (MAX_GAP + 9, MAX_GAP + 10)),
    ]
