"""Pieces made by processes of this machine: one reads the inputs, the others take pieces from it.

datatrove's LocalPipelineExecutor is not used here: its pool waits for ever for a worker that was killed, as the kernel
does for memory, and each of its tasks reads inputs of its own, which a single compressed file does not allow.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from data_pipeline.executors import UnfinishedError
from data_pipeline.pieces import Piece, PieceContext, cut_pieces, run_piece
from data_pipeline.plan import BuildPlan
from data_pipeline.private_process import keep_memory_private
from data_pipeline.readers import read_rows
from data_pipeline.readers.inputs import Input
from data_pipeline.work_folder import WorkFolder, input_key
from launch.console import track
from launch.errors import NotemillError


def make_pieces(plan: BuildPlan, context: PieceContext, num_workers: int) -> None:
    """Make what is missing of the pieces of all inputs."""
    missing = [item for item in plan.inputs if plan.work.cut_input(input_key(item)) is None]
    with _workers(num_workers, context) as run:
        finished = _Finished(plan.work)
        for item, piece in track(_pieces(missing, plan, finished), "pieces of notes"):
            finished.add(item, run(piece))
            if finished.num_waiting >= 2 * num_workers:
                finished.take()
        while finished.num_waiting:
            finished.take()


def check_not_empty(item: Input, num_pieces: int) -> None:
    """Raise NotemillError for a file that was named and holds no row."""
    if num_pieces == 0 and item.is_named:
        raise NotemillError(f"{item.path} holds no notes; leave it out or check that it is the right file.")


def _pieces(inputs: list[Input], plan: BuildPlan, finished: "_Finished") -> Iterator[tuple[Input, Piece]]:
    """Every piece with its input; `finished` is told of the end of each input."""
    for item in inputs:
        num_pieces = 0
        for piece in cut_pieces(read_rows(item, plan.config), input_key(item), plan.config):
            num_pieces += 1
            yield item, piece
        check_not_empty(item, num_pieces)
        finished.add(item, None)


class _Finished:
    """Waits for pieces in their order and marks an input when all of its pieces are there."""

    def __init__(self, work: WorkFolder) -> None:
        self._work = work
        self._waiting: deque[tuple[Input, Future | None]] = deque()
        self._num_pieces = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def add(self, item: Input, future: Future | None) -> None:
        self._waiting.append((item, future))

    def take(self) -> None:
        item, future = self._waiting.popleft()
        if future is not None:
            future.result()
            self._num_pieces += 1
            return
        self._work.set_cut(item, self._num_pieces)
        self._num_pieces = 0


@dataclass(frozen=True)
class _Here:
    """Makes pieces in this process, at once."""

    context: PieceContext

    def __call__(self, piece: Piece) -> Future:
        run_piece(piece, self.context)
        future: Future = Future()
        future.set_result(None)
        return future


@dataclass(frozen=True)
class _There:
    """Hands pieces to a pool."""

    context: PieceContext
    pool: ProcessPoolExecutor

    def __call__(self, piece: Piece) -> Future:
        return self.pool.submit(run_piece, piece, self.context)


@contextlib.contextmanager
def _workers(num_workers: int, context: PieceContext) -> Iterator[_Here | _There]:
    if num_workers == 1:
        yield _Here(context)
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=keep_memory_private) as pool:
        try:
            yield _There(context, pool)
        except BrokenProcessPool:
            raise UnfinishedError(
                f"one of {num_workers} workers was killed, perhaps for memory; run the same command again to go on, "
                "with fewer --workers if it happens again."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
