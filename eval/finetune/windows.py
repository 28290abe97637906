"""Cut long texts into windows so that every piece is read, and put the windows' outputs together again.

Pure arithmetic over counts of pieces. Invariants: the windows of a text cover all of it, in order, each is no longer
than the capacity, and every position is owned by exactly one window: the one in which it has the most context.
"""

from bisect import bisect_right
from itertools import accumulate

Window = tuple[int, int]
"""Start inclusive, end exclusive."""


def piece_windows(length: int, capacity: int, stride: int = 0) -> list[Window]:
    """Windows over `length` pieces; `stride` pieces from start to start (0, or above the capacity: no overlap)."""
    step = min(stride, capacity) or capacity
    windows = [(0, min(length, capacity))]
    while windows[-1][1] < length:
        start = windows[-1][0] + step
        windows.append((start, min(length, start + capacity)))
    return windows


def word_windows(pieces_per_word: list[int], capacity: int, stride: int = 0) -> list[Window]:
    """Windows over words, cut between words only; no word may have more pieces than `capacity`."""
    ends = list(accumulate(pieces_per_word))
    step = min(stride, capacity) or capacity
    windows: list[Window] = []
    start = 0
    while start < len(ends) or not windows:
        before = ends[start - 1] if start else 0
        end = bisect_right(ends, before + capacity)
        windows.append((start, end))
        if end >= len(ends):
            break
        # The next window starts at the last word that still lies within the stride, and never leaves a gap.
        start = max(start + 1, min(end, bisect_right(ends, before + step)))
    return windows


def owners(windows: list[Window]) -> list[int]:
    """For each position, the window that holds it with the most context on its poorer side; ties go to the first."""
    best: dict[int, tuple[int, int]] = {}
    for index, (start, end) in enumerate(windows):
        for position in range(start, end):
            context = min(position - start, end - 1 - position)
            if position not in best or context > best[position][0]:
                best[position] = (context, index)
    return [best[position][1] for position in sorted(best)]
