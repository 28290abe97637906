import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data.packing import pack
from pretrain.data.pieces import cut_pieces, make_units
from pretrain.data.plan import _fill, _pack_well


def naive_best_fit_decreasing(lengths: list[int], row_len: int) -> int:
    """Number of rows by the textbook: look at every row for every piece."""
    spaces: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row, space in enumerate(spaces) if space >= length]
        if fitting:
            spaces[min(fitting, key=spaces.__getitem__)] -= length
        else:
            spaces.append(row_len - length)
    return len(spaces)


@given(st.lists(st.integers(1, 40), max_size=120))
def test_rows_hold_their_pieces_and_are_as_few_as_best_fit_makes_them(lengths):
    rows = pack(np.array(lengths, np.int64), 40)
    used = np.bincount(rows, weights=lengths)
    assert (used > 0).all() and (used <= 40).all(), "no empty row, none too full"
    assert len(used) == naive_best_fit_decreasing(lengths, 40)


@pytest.mark.parametrize("seq_len", [128, 512])
@pytest.mark.parametrize("mean_sentences", [5, 40, 300])
@pytest.mark.parametrize("mean_length", [8, 18, 30])
def test_windows_are_full_whatever_notes_are_like(seq_len, mean_sentences, mean_length):
    rng = np.random.default_rng(3)
    counts = rng.geometric(1 / mean_sentences, max(50, 2048 * seq_len // (mean_sentences * mean_length)))
    bounds = np.concatenate(([0], np.cumsum(counts)))
    lengths = np.maximum(1, rng.gamma(1.5, mean_length / 1.5, bounds[-1])).astype(np.int64)
    units = make_units(lengths, bounds, seq_len - 3)
    pieces, rows = _pack_well(units, cut_pieces(units, seq_len), seq_len)
    of_piece = pieces.lengths(units)
    assert _fill(of_piece, rows, seq_len) >= 0.985
    assert np.bincount(rows, weights=of_piece).max() <= seq_len
    # Dissolving must not turn the corpus into loose sentences.
    loose = pieces.end - pieces.first == 1
    assert of_piece[loose].sum() / of_piece.sum() < 0.35
