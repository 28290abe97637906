from collections.abc import Sequence
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.examples import Answer, Question
from eval.finetune.batches import Item
from eval.finetune.head import Head
from eval.finetune.mqa import NO_ANSWER, best_spans, whole_words
from eval.finetune.recipe import load_recipe
from eval.finetune.tasks import make_head
from eval.finetune.text import TextEncoder
from tests.eval.finetune.test_heads import dataset
from tests.eval.finetune.toys import FILLER

WORDS = [FILLER[i % len(FILLER)] for i in range(60)]
CONTEXT = " ".join(WORDS)


def answer(first: int, last: int) -> Answer:
    """Words `first` to `last` of the context."""
    start = sum(len(word) + 1 for word in WORDS[:first])
    return Answer(" ".join(WORDS[first : last + 1]), start)


def windows_of(model: Path, questions: Sequence[Question]) -> tuple[Head, list[Item]]:  # type: ignore[type-arg]
    # Three special pieces and "what is ?" leave 20 words a window, of which 10 are in the next one too.
    settings = ["max_length=26", "max_question=8", "max_answer=6", "stride=10"]
    head = make_head("mqa", dataset("mqa", tuple(questions)), TextEncoder(model), load_recipe("mqa", None, settings))
    return head, head.windows(questions, with_targets=True)


def told(item: Item) -> tuple[int, int] | None:
    """First and last word of the window's target in the context."""
    if item.target == NO_ANSWER:
        return None
    offsets = item.place.offsets
    first, last = (CONTEXT[: offsets[at - item.place.context_start][0]].count(" ") for at in item.target)
    return first, last


def test_windows_learn_any_gold_answer_that_is_whole_in_them(tiny_model: Path) -> None:
    answers = (answer(42, 44), answer(2, 3), answer(5, 6), Answer("elsewhere", -1))
    head, items = windows_of(tiny_model, [Question("q", "d", CONTEXT, "what is ?", answers)])
    starts = [CONTEXT[: item.place.offsets[0][0]].count(" ") for item in items]
    assert starts == [0, 10, 20, 30, 40]
    assert [told(item) for item in items] == [(2, 3), None, None, (42, 44), (42, 44)]
    assert not head.notes


def test_a_part_of_an_answer_teaches_nothing(tiny_model: Path) -> None:
    head, items = windows_of(tiny_model, [Question("q", "d", CONTEXT, "what is ?", (answer(18, 21),))])
    starts = [CONTEXT[: item.place.offsets[0][0]].count(" ") for item in items]
    assert starts == [10, 30, 40], "the first window holds words 18 and 19, the third 20 and 21"
    assert [told(item) for item in items] == [(18, 21), None, None]
    assert head.notes == {"training windows left out, with a part of an answer alone": 2}


def test_questions_whose_answers_have_no_place_teach_nothing(tiny_model: Path) -> None:
    lost = Question("lost", "d", CONTEXT, "what is ?", (Answer("elsewhere", -1),))
    none = Question("none", "d", CONTEXT, "what is ?", ())
    here = Question("here", "d", CONTEXT, "what is ?", (answer(2, 3),))
    head, items = windows_of(tiny_model, [lost, none, here])
    assert {item.example for item in items} == {1, 2}
    assert head.notes == {"training questions left out, with no answer at a known place": 1}
    assert len(head.windows([lost], with_targets=False)) == 5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 24), max_answer=st.integers(1, 30))
def test_best_span_agrees_with_trying_all(seed: int, length: int, max_answer: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 3, length, generator=generator)
    score, first, last = best_spans(starts, ends, max_answer)
    for row in range(3):
        best = max(
            (float(starts[row, i] + ends[row, j]), i, j)
            for i in range(length)
            for j in range(i, min(length, i + max_answer))
        )
        assert abs(float(score[row]) - best[0]) < 1e-6
        assert (int(first[row]), int(last[row])) == best[1:]


def test_answers_are_widened_to_words() -> None:
    text = "took 12mg daily (new)"
    assert whole_words(text, 5, 7) == "12mg"
    assert whole_words(text, 17, 20) == "new"
    assert whole_words(text, 4, 9) == "12mg"
