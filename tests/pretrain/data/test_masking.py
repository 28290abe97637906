import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.data.counter_random import derive_key
from pretrain.data.masking import mask_rows

ROWS, ROW_LEN = 64, 128


def invent_rows(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 95, (rows, ROW_LEN))
    maskable = rng.random((rows, ROW_LEN)) > 0.05
    ids[~maskable] = 3
    return ids, maskable, np.array([derive_key(seed, row) for row in range(rows)], np.uint64)


def words_of(ids: np.ndarray, maskable: np.ndarray, is_continuation: np.ndarray) -> list[list[int]]:
    """Flat positions of every word, found token by token."""
    words: list[list[int]] = []
    for row in range(ids.shape[0]):
        previous = False
        for column in range(ids.shape[1]):
            if maskable[row, column]:
                if previous and is_continuation[ids[row, column]]:
                    words[-1].append(row * ROW_LEN + column)
                else:
                    words.append([row * ROW_LEN + column])
            previous = maskable[row, column]
    return words


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.15, 0.4]))
def test_whole_words_only_text_and_the_right_share(vocabulary_of_module, seed, probability):
    vocabulary = vocabulary_of_module
    ids, maskable, keys = invent_rows(seed, rows=8)
    masked, positions, labels = mask_rows(ids, maskable, keys, probability, vocabulary)
    assert (np.diff(positions) > 0).all()
    assert maskable.ravel()[positions].all(), "a special token is masked"
    np.testing.assert_array_equal(labels, ids.ravel()[positions])
    untouched = np.ones(ids.size, bool)
    untouched[positions] = False
    np.testing.assert_array_equal(masked.ravel()[untouched], ids.ravel()[untouched])
    chosen = set(positions.tolist())
    words = words_of(ids, maskable, vocabulary.is_continuation)
    for word in words:
        assert len(chosen & set(word)) in (0, len(word)), "a word is masked in part"
    longest = max(map(len, words))
    taken = np.bincount(positions // ROW_LEN, minlength=8)
    assert (np.abs(taken - probability * maskable.sum(axis=1)) <= longest / 2 + 0.5).all()


def test_shares_of_masks_random_pieces_and_kept_tokens(vocabulary):
    ids, maskable, keys = invent_rows(1, rows=2000)
    masked, positions, labels = mask_rows(ids, maskable, keys, 0.15, vocabulary)
    seen = masked.ravel()[positions]
    assert abs(len(positions) / maskable.sum() - 0.15) < 0.002
    assert abs((seen == vocabulary.mask).mean() - 0.8) < 0.01
    # A random piece is by chance the one that stood there in one case of 90.
    assert abs((seen == labels).mean() - 0.1) < 0.01
    replaced = seen[(seen != vocabulary.mask) & (seen != labels)]
    assert abs(len(replaced) / len(seen) - 0.1) < 0.01
    assert set(replaced.tolist()) == set(vocabulary.replacements.tolist()), "every piece but special and unused ones"


def test_every_word_is_masked_as_often_as_any_other(vocabulary):
    ids, maskable, _ = invent_rows(2, rows=1)
    times = 4000
    keys = np.array([derive_key("often", number) for number in range(times)], np.uint64)
    _, positions, _ = mask_rows(np.repeat(ids, times, 0), np.repeat(maskable, times, 0), keys, 0.15, vocabulary)
    share = np.bincount(positions % ROW_LEN, minlength=ROW_LEN)[maskable[0]] / times
    assert abs(share.mean() - 0.15) < 0.005
    assert share.min() > 0.1 and share.max() < 0.2


def test_a_row_is_masked_alike_wherever_it_stands(vocabulary):
    ids, maskable, keys = invent_rows(3)
    masked, _, _ = mask_rows(ids, maskable, keys, 0.15, vocabulary)
    order = np.random.default_rng(0).permutation(ROWS)[:10]
    again, _, _ = mask_rows(ids[order], maskable[order], keys[order], 0.15, vocabulary)
    np.testing.assert_array_equal(again, masked[order])


def test_rows_without_text_have_no_masks(vocabulary):
    ids, maskable, keys = invent_rows(4, rows=2)
    masked, positions, labels = mask_rows(ids, np.zeros_like(maskable), keys, 0.15, vocabulary)
    assert len(positions) == len(labels) == 0
    np.testing.assert_array_equal(masked, ids)
