"""Turns planned rows into one micro-batch: reads their tokens, adds special ones, masks, and says where segments are.

row      | [CLS] A [SEP] B [SEP] | [CLS] A [SEP] | ... | [PAD] [PAD] |
types    |   0   0   0   1   1   |   0   0   0   |     |   0     0   |
position |   0   1 ...           |   0   1 ...   |     |   0     1   |
segment  |           0           |       1       |     |      k      |
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pretrain.data.batch import Batch
from pretrain.data.index import SentenceIndex
from pretrain.data.masking import mask_rows
from pretrain.data.pieces import SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE
from pretrain.data.plan import PackedWindow
from pretrain.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class RowPieces:
    """The pieces of some rows, row after row; None of them has to be of one window."""

    row: np.ndarray
    """[P] int64: which row of the micro-batch each piece is in, ascending."""
    source: np.ndarray
    start: np.ndarray
    first_len: np.ndarray
    second_len: np.ndarray
    is_swapped: np.ndarray


def gather_rows(rows: Sequence[tuple[PackedWindow, int] | None]) -> RowPieces:
    """Collect the pieces of (window, row in it) pairs; None is a row of padding only."""
    spans = [
        (place, row[0], slice(int(row[0].row_bounds[row[1]]), int(row[0].row_bounds[row[1] + 1])))
        for place, row in enumerate(rows)
        if row is not None
    ]

    def collect(name: str) -> np.ndarray:
        return np.concatenate([getattr(window, name)[span] for _, window, span in spans] or [np.empty(0, np.int64)])

    places = np.array([place for place, _, _ in spans], np.int64)
    counts = np.array([span.stop - span.start for _, _, span in spans], np.int64)
    return RowPieces(
        row=np.repeat(places, counts),
        source=collect("source"),
        start=collect("start"),
        first_len=collect("first_len"),
        second_len=collect("second_len"),
        is_swapped=collect("is_swapped").astype(bool),
    )


def assemble(
    pieces: RowPieces,
    *,
    num_rows: int,
    seq_len: int,
    row_keys: np.ndarray,
    indexes: Sequence[SentenceIndex],
    vocabulary: Vocabulary,
    mask_probability: float,
    with_sources: bool = False,
) -> Batch:
    """The micro-batch of these rows; `row_keys` [num_rows] decide the masks."""
    total = num_rows * seq_len
    is_pair = pieces.second_len > 0
    lengths = pieces.first_len + pieces.second_len + np.where(is_pair, SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE)
    used = np.bincount(pieces.row, weights=lengths, minlength=num_rows).astype(np.int64)
    used_before_row = np.cumsum(used) - used
    starts = np.cumsum(lengths) - lengths + (np.arange(num_rows) * seq_len - used_before_row)[pieces.row]
    # A is the run that stands first in the piece, which is the later one when swapped.
    a_len = np.where(pieces.is_swapped, pieces.second_len, pieces.first_len)
    middles = starts + 1 + a_len
    pair_middles, pair_ends = middles[is_pair], (starts + lengths - 1)[is_pair]

    ids = np.full(total, vocabulary.pad, np.int64)
    _read_tokens(ids, pieces, starts, indexes)
    specials = np.concatenate((starts, middles, pair_ends))
    ids[starts] = vocabulary.cls
    ids[middles] = vocabulary.sep
    ids[pair_ends] = vocabulary.sep

    is_text = np.arange(seq_len) < used[:, None]
    is_text.ravel()[specials] = False
    masked_ids, positions, labels = mask_rows(
        ids.reshape(num_rows, seq_len), is_text, row_keys, mask_probability, vocabulary
    )

    edges = np.zeros(total + 1, np.int8)
    edges[pair_middles + 1] = 1
    edges[pair_ends + 1] = -1
    types = np.cumsum(edges[:-1], dtype=np.int64)

    padding_starts = (np.arange(num_rows) * seq_len + used)[used < seq_len]
    bounds = np.append(np.sort(np.concatenate((starts, padding_starts))), total)
    segment_lengths = np.diff(bounds)
    return Batch(
        input_ids=torch.from_numpy(masked_ids.reshape(1, total)),
        token_type_ids=torch.from_numpy(types[None]),
        position_ids=torch.from_numpy((np.arange(total) - np.repeat(bounds[:-1], segment_lengths))[None]),
        cu_seqlens=torch.from_numpy(bounds.astype(np.int32)),
        max_seqlen=int(segment_lengths.max()),
        masked_positions=torch.from_numpy(positions),
        masked_labels=torch.from_numpy(labels),
        sequence_starts=torch.from_numpy(starts[is_pair]),
        sop_labels=torch.from_numpy(pieces.is_swapped[is_pair].astype(np.int64)),
        num_real_tokens=int(used.sum()),
        masked_sources=_tensor(pieces.source[np.searchsorted(starts, positions, side="right") - 1], with_sources),
        order_sources=_tensor(pieces.source[is_pair], with_sources),
    )


def _tensor(values: np.ndarray, is_wanted: bool) -> torch.Tensor | None:
    return torch.from_numpy(values.astype(np.int64)) if is_wanted else None


def _read_tokens(ids: np.ndarray, pieces: RowPieces, starts: np.ndarray, indexes: Sequence[SentenceIndex]) -> None:
    """Copy the two runs of every piece to their places, after [CLS] or after [CLS], the other run and [SEP]."""
    tokens = [index.tokens for index in indexes]
    first_to = starts + 1 + np.where(pieces.is_swapped, pieces.second_len + 1, 0)
    second_to = starts + 1 + np.where(pieces.is_swapped, 0, pieces.first_len + 1)
    columns = (pieces.source, pieces.start, pieces.first_len, pieces.second_len, first_to, second_to)
    for source, start, first, second, to, then_to in zip(*(column.tolist() for column in columns), strict=True):
        middle = start + first
        ids[to : to + first] = tokens[source][start:middle]
        if second:
            ids[then_to : then_to + second] = tokens[source][middle : middle + second]
