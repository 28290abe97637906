"""The order of rows: which pieces of which documents stand in row number r of the run, for any r.

    epoch    all documents once (a source of weight w: w times), shuffled by (seed, epoch)
    window   some thousand consecutive documents of that shuffle, cut into about 4,096 pieces, packed into rows
    row      the rows of a window shuffled; windows follow each other, epochs follow each other

Windows do not share documents, so a window can be planned without the ones before it, and a row's content follows from
seed, window and its place there. Only its number in the run depends on how many rows the windows before have: these are
counted from the run's start or from a `WindowStart` that was counted before, as a checkpoint holds one. Planning reads
sentence lengths only, at a hundred times the speed of training or more.

Packing fills rows with short pieces. Where notes are so long that most pieces nearly fill a row and few are short, some
pieces, others each epoch, are dissolved into their sentences until rows are full.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock

import numpy as np

from pretrain.data.counter_random import derive_key, permute, random_bits, uniform
from pretrain.data.index import SentenceIndex
from pretrain.data.packing import pack
from pretrain.data.pieces import SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE, Pieces, Units, cut_pieces, dissolve, make_units

PIECES_PER_WINDOW = 4096
FILL_TO_REACH = 0.99
"""Share of a window's positions that are tokens, below which pieces are dissolved."""
MAX_DISSOLVED = 0.25
"""Largest share of a window's pieces that are dissolved, however rows come out."""
_GAIN_WORTH_A_ROUND = 0.001
_WINDOWS_KEPT = 4


@dataclass(frozen=True)
class WindowStart:
    """Where in the run a window begins: all that is needed to go on from there without looking at what lies before."""

    window: int
    """Counted through the run, epoch after epoch."""
    first_row: int
    """The number of its first row."""


@dataclass(frozen=True)
class PackedWindow:
    """The rows of one window; pieces in the order of their rows."""

    row_bounds: np.ndarray
    """[R + 1] int64: first piece of each row, and P."""
    source: np.ndarray
    """[P] int64: which index the tokens are in."""
    start: np.ndarray
    """[P] int64: first token in that index."""
    first_len: np.ndarray
    """[P] int64: tokens of the run that comes first in the document."""
    second_len: np.ndarray
    """[P] int64: tokens of the run after it; 0 where the piece is one sentence."""
    is_swapped: np.ndarray
    """[P] bool: the second run stands first in the piece."""

    @property
    def num_rows(self) -> int:
        return len(self.row_bounds) - 1


class RowPlan:
    """Finds and plans rows. State is only what was counted and the last windows used."""

    def __init__(
        self,
        indexes: Sequence[SentenceIndex],
        weights: Sequence[float],
        *,
        seq_len: int,
        seed: int,
        pieces_per_window: int = PIECES_PER_WINDOW,
        has_pairs: bool = True,
    ) -> None:
        self._indexes, self._seq_len, self._seed, self._has_pairs = list(indexes), seq_len, seed, has_pairs
        self._documents = np.array([index.num_documents for index in indexes], np.int64)
        slots = np.round(self._documents * np.asarray(weights)).astype(np.int64)
        self._slot_bounds = np.concatenate(([0], np.cumsum(slots)))
        tokens = sum(len(index.tokens) * weight for index, weight in zip(indexes, weights, strict=True))
        self.tokens_per_epoch = round(tokens)
        pieces = self.documents_per_epoch / 2 + tokens / (seq_len - SPECIALS_OF_PAIR)
        self.windows_per_epoch = min(self.documents_per_epoch, max(1, round(pieces / pieces_per_window)))
        self._planned: OrderedDict[int, PackedWindow] = OrderedDict()
        self._rows_of_window: dict[int, int] = {}
        self._lock = RLock()  # A trainer saves while a thread of its own makes the rows of the next step.
        self.start_at(WindowStart(0, 0))

    @property
    def documents_per_epoch(self) -> int:
        return int(self._slot_bounds[-1])

    def start_at(self, start: WindowStart) -> None:
        """Number rows from this window on; no window before it is planned unless one of its rows is asked for."""
        with self._lock:
            self._start = start
            # First row of every window from `start` on that was counted, and the row after the last.
            self._first_rows = [start.first_row]

    def start_of(self, row: int) -> WindowStart:
        """The window that holds this row of the run."""
        with self._lock:
            if row < self._start.first_row:
                self.start_at(WindowStart(0, 0))
            while self._first_rows[-1] <= row:
                window = self._start.window + len(self._first_rows) - 1
                self._first_rows.append(self._first_rows[-1] + self._count(window))
            place = bisect_right(self._first_rows, row) - 1
            return WindowStart(self._start.window + place, self._first_rows[place])

    def rows_in_epoch(self, epoch: int) -> int:
        """Rows of an epoch; plans all of it when asked first."""
        first, end = epoch * self.windows_per_epoch, (epoch + 1) * self.windows_per_epoch
        with self._lock:
            return sum(map(self._count, range(first, end)))

    def locate(self, row: int) -> tuple[int, int, PackedWindow, int]:
        """Epoch, window in the epoch, that window, and the row in it, of a row counted from the start of the run."""
        with self._lock:
            start = self.start_of(row)
            epoch, number = divmod(start.window, self.windows_per_epoch)
            return epoch, number, self._window(start.window), row - start.first_row

    def _count(self, window: int) -> int:
        if window not in self._rows_of_window:
            self._rows_of_window[window] = self._window(window).num_rows
        return self._rows_of_window[window]

    def _window(self, window: int) -> PackedWindow:
        if window in self._planned:
            self._planned.move_to_end(window)
        else:
            self._planned[window] = self.plan(*divmod(window, self.windows_per_epoch))
            if len(self._planned) > _WINDOWS_KEPT:
                self._planned.popitem(last=False)
        return self._planned[window]

    def plan(self, epoch: int, number: int) -> PackedWindow:
        """Window `number` of an epoch."""
        slots, windows = self.documents_per_epoch, self.windows_per_epoch
        positions = np.arange(slots * number // windows, slots * (number + 1) // windows)
        source, document = self._documents_at(epoch, positions)
        lengths, sentence_bounds, token_starts = self._sentences_of(source, document)
        units = make_units(lengths, sentence_bounds, self._seq_len - SPECIALS_OF_PAIR)
        pieces, rows = _pack_well(units, cut_pieces(units, self._seq_len), self._seq_len, self._has_pairs)
        return self._lay_out(epoch, number, units, pieces, rows, source, token_starts)

    def _documents_at(self, epoch: int, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source and document at these positions of the epoch's shuffle."""
        slots = permute(positions, self.documents_per_epoch, derive_key(self._seed, "documents", epoch))
        source = np.searchsorted(self._slot_bounds, slots, side="right") - 1
        document = slots - self._slot_bounds[source]
        for number, num_documents in enumerate(self._documents.tolist()):
            slots_of_source = int(self._slot_bounds[number + 1] - self._slot_bounds[number])
            if slots_of_source in (0, num_documents):
                continue
            # A weight other than 1: pass after pass over the source, each shuffled anew, going on where the epoch
            # before stopped; half weight sees every document once in two epochs.
            mine = np.flatnonzero(source == number)
            passes, within = np.divmod(epoch * slots_of_source + document[mine], num_documents)
            for one_pass in np.unique(passes).tolist():
                chosen = passes == one_pass
                key = derive_key(self._seed, "pass", number, one_pass)
                document[mine[chosen]] = permute(within[chosen], num_documents, key)
        return source, document

    def _sentences_of(self, source: np.ndarray, document: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lengths of all sentences of the documents, their bounds [D + 1], and each document's first token."""
        first, counts = np.empty_like(document), np.empty_like(document)
        for number, index in enumerate(self._indexes):
            mine = source == number
            first[mine] = index.document_bounds[document[mine]]
            counts[mine] = index.document_bounds[document[mine] + 1] - first[mine]
        bounds = np.concatenate(([0], np.cumsum(counts)))
        owner = np.repeat(np.arange(len(document)), counts)
        sentence = np.arange(bounds[-1]) - bounds[owner] + first[owner]
        lengths = np.empty(len(sentence), np.int32)
        token_starts = np.zeros_like(document)
        for number, index in enumerate(self._indexes):
            of_sentence = source[owner] == number
            lengths[of_sentence] = index.lengths[sentence[of_sentence]]
            has_text = (source == number) & (counts > 0)
            token_starts[has_text] = index.token_starts(first[has_text])
        return lengths, bounds, token_starts

    def _lay_out(
        self,
        epoch: int,
        number: int,
        units: Units,
        pieces: Pieces,
        rows: np.ndarray,
        source: np.ndarray,
        token_starts: np.ndarray,
    ) -> PackedWindow:
        """Shuffle the rows, sort pieces by them, and draw where each piece is divided and which halves are swapped."""
        num_rows = int(rows.max()) + 1 if len(rows) else 0
        shuffled = np.empty(num_rows, np.int64)
        keys = random_bits(derive_key(self._seed, "rows", epoch, number), np.arange(num_rows))
        shuffled[np.argsort(keys, kind="stable")] = np.arange(num_rows)
        rows = shuffled[rows]
        order = np.argsort(rows, kind="stable")
        first, end = pieces.first[order], pieces.end[order]

        document = np.searchsorted(units.document_bounds, first, side="right") - 1
        offset_in_document = units.ends[first] - units.ends[units.document_bounds[document]]
        num_units = end - first
        draw = uniform(derive_key(self._seed, "middle", epoch, number), first)
        is_pair = (num_units > 1) & self._has_pairs
        middle = np.where(is_pair, first + 1 + (draw * (num_units - 1)).astype(np.int64), end)
        swap = uniform(derive_key(self._seed, "swap", epoch, number), first)
        return PackedWindow(
            row_bounds=np.searchsorted(rows[order], np.arange(num_rows + 1)),
            source=source[document],
            start=token_starts[document] + offset_in_document,
            first_len=units.ends[middle] - units.ends[first],
            second_len=units.ends[end] - units.ends[middle],
            is_swapped=is_pair & (swap < 0.5),
        )


def _pack_well(units: Units, pieces: Pieces, seq_len: int, has_pairs: bool = True) -> tuple[Pieces, np.ndarray]:
    """Pack, dissolving pieces from the front of the window while rows are not full. Returns pieces and their rows."""
    lengths = pieces.lengths(units, has_pairs)
    best = pieces, pack(lengths, seq_len)
    num_units = pieces.end - pieces.first
    # What each piece amounts to in single sentences, summed from the front.
    dissolved_sum = np.cumsum(np.where(num_units > 1, lengths + SPECIALS_OF_SINGLE * num_units, 0))
    best_fill, share, still_gains = _fill(lengths, best[1], seq_len), 0.0, len(lengths) > 0
    while still_gains and best_fill < FILL_TO_REACH and share < MAX_DISSOLVED:
        share = min(MAX_DISSOLVED, share + 1.0 - best_fill)
        candidate = dissolve(pieces, (num_units > 1) & (dissolved_sum <= share * dissolved_sum[-1]))
        lengths = candidate.lengths(units, has_pairs)
        rows = pack(lengths, seq_len)
        fill = _fill(lengths, rows, seq_len)
        still_gains = fill > best_fill + _GAIN_WORTH_A_ROUND
        if fill > best_fill:
            best, best_fill = (candidate, rows), fill
    return best


def _fill(lengths: np.ndarray, rows: np.ndarray, seq_len: int) -> float:
    return float(lengths.sum() / ((rows.max() + 1) * seq_len)) if len(rows) else 1.0
