import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.finetune.mqa import best_spans, whole_words


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
