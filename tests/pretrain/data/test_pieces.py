import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pretrain.data.pieces import cut_pieces, dissolve, make_units

SEQ_LEN = 20
documents = st.lists(st.lists(st.integers(0, 60), max_size=12), min_size=1, max_size=12)


def flatten(content: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([length for document in content for length in document], np.int64)
    return lengths, np.concatenate(([0], np.cumsum([len(document) for document in content])))


@given(documents)
def test_units_keep_every_token_in_its_document(content):
    units = make_units(*flatten(content), max_len=17)
    lengths = np.diff(units.ends)
    assert ((lengths > 0) & (lengths <= 17)).all()
    for number, document in enumerate(content):
        first, end = units.document_bounds[number : number + 2]
        assert lengths[first:end].sum() == sum(document)
        assert end - first == sum(-(-length // 17) for length in document)


@given(documents, st.integers(0, 2**32))
def test_pieces_tile_documents_and_fit(content, seed):
    units = make_units(*flatten(content), max_len=SEQ_LEN - 3)
    pieces = cut_pieces(units, SEQ_LEN)
    bounds = set(units.document_bounds.tolist())
    for tried in (pieces, dissolve(pieces, np.random.default_rng(seed).random(len(pieces.first)) < 0.5)):
        assert (tried.lengths(units) <= SEQ_LEN).all()
        assert (tried.end > tried.first).all()
        covered = np.concatenate([np.arange(a, b) for a, b in zip(tried.first, tried.end, strict=True)] or [[]])
        np.testing.assert_array_equal(covered, np.arange(len(units.ends) - 1))
        for first, end in zip(tried.first.tolist(), tried.end.tolist(), strict=True):
            assert not bounds & set(range(first + 1, end)), "a piece crosses documents"


def test_pieces_take_as_many_sentences_as_fit():
    units = make_units(*flatten([[5, 5, 5, 5, 5], [17], [17, 1]]), max_len=SEQ_LEN - 3)
    pieces = cut_pieces(units, SEQ_LEN)
    assert pieces.first.tolist() == [0, 3, 5, 6, 7]
    assert pieces.lengths(units).tolist() == [18, 13, 19, 19, 3]
