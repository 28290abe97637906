from hypothesis import given, settings
from hypothesis import strategies as st

from eval.finetune.windows import owners, piece_windows, word_windows


@settings(deadline=None)
@given(length=st.integers(0, 300), capacity=st.integers(1, 50), stride=st.integers(0, 60))
def test_piece_windows_cover_everything_within_capacity(length: int, capacity: int, stride: int) -> None:
    windows = piece_windows(length, capacity, stride)
    assert {i for start, end in windows for i in range(start, end)} == set(range(length))
    assert all(end - start <= capacity for start, end in windows)
    assert windows == sorted(windows)


@settings(deadline=None)
@given(pieces=st.lists(st.integers(1, 8), max_size=120), capacity=st.integers(8, 40), stride=st.integers(0, 50))
def test_word_windows_lose_no_word_and_fit(pieces: list[int], capacity: int, stride: int) -> None:
    windows = word_windows(pieces, capacity, stride)
    assert {i for start, end in windows for i in range(start, end)} == set(range(len(pieces)))
    assert all(sum(pieces[start:end]) <= capacity for start, end in windows)


@settings(deadline=None)
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=80), stride=st.integers(1, 16))
def test_each_word_is_owned_by_the_window_with_most_context(pieces: list[int], stride: int) -> None:
    windows = word_windows(pieces, 16, stride)
    for word, owner in enumerate(owners(windows)):
        contexts = [min(word - start, end - 1 - word) if start <= word < end else -1 for start, end in windows]
        assert contexts[owner] == max(contexts) >= 0


def test_windows_overlap_by_capacity_less_stride() -> None:
    assert piece_windows(20, 10, 6) == [(0, 10), (6, 16), (12, 20)]
    assert piece_windows(20, 10) == [(0, 10), (10, 20)]
    assert piece_windows(0, 10) == [(0, 0)]
