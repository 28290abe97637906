"""One save at a time, beside training.

    begin     main thread, all ranks: what is to be saved is copied; this is where training stands still
    write     a thread of each rank writes its part
    complete  main thread, all ranks, at a step boundary when all parts are written: who wrote what
    seal      a thread of the main rank: list of parts, tokenizer, configuration, checksums, marker, rename, retention

The loop asks at every step boundary whether any rank is busy and calls `advance` on all ranks when none is. A failure
anywhere is agreed on by all ranks; the partial folder goes and the last complete checkpoint stays.
"""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from data_pipeline.files import make_private_folder
from launch.config import to_yaml
from launch.console import say
from launch.errors import NotemillError
from pretrain.checkpoint import folder as checkpoints
from pretrain.checkpoint.info import CheckpointInfo
from pretrain.checkpoint.seal import seal
from pretrain.config import PretrainConfig
from pretrain.engines.base import Engine, Saving
from pretrain.parallel.distributed import first_problem


class Saver:
    """Saves of one run. All ranks call the same methods in the same order."""

    def __init__(self, config: PretrainConfig, engine: Engine, tokenizer_dir: Path, *, is_main: bool) -> None:
        self._config, self._engine, self._tokenizer_dir, self._is_main = config, engine, tokenizer_dir, is_main
        self._run_dir = Path(config.run.dir)
        self._info: CheckpointInfo | None = None
        self._writing: Saving | None = None
        self._sealing: Future[None] | None = None
        self._seals = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal")
        self._began = 0.0
        self._stall_of_save = 0.0
        self.stall_seconds = 0.0
        """How long saving has held up training so far on this rank."""
        self.problem: str | None = None
        """Why the last save failed, None when it did not; the same on all ranks."""

    @property
    def is_active(self) -> bool:
        """Whether a save has begun and not ended; the same on all ranks."""
        return self._info is not None

    @property
    def is_busy(self) -> bool:
        """Whether this rank still works on its part of what goes on beside training."""
        if self._writing is not None:
            return not self._writing.is_done()
        return self._sealing is not None and not self._sealing.done()

    def begin(self, info: CheckpointInfo) -> None:
        """Begin the save of this step; one that is still going on is waited for first.

        Raises NotemillError when that one or this one fails and `checkpoint.on_failure=stop`.
        """
        self.wait()
        with _Stopwatch(self):
            self._info, self._began, self._stall_of_save = info, time.perf_counter(), 0.0
            problem = first_problem(_problem_of(self._make_folder) if self._is_main else None)
            if problem is None:
                self._writing = self._engine.begin_save(self._partial / "weights")
            else:
                self._end(problem)
        if not self._config.checkpoint.asynchronous:
            self.wait()

    def advance(self) -> None:
        """Take the next step of a save that no rank is busy with. Raises NotemillError as `begin` does."""
        with _Stopwatch(self):
            if self._writing is not None:
                writing, self._writing = self._writing, None
                problem = first_problem(_problem_of(writing.wait))
                if problem is not None:
                    self._end(problem)
                    return
                rest = writing.complete()
                self._sealing = self._seals.submit(self._seal, rest) if self._is_main else None
            elif self.is_active:
                problem = first_problem(None if self._sealing is None else _problem_of(self._sealing.result))
                self._sealing = None
                self._end(problem)

    def wait(self) -> None:
        """End the save that is going on, if any. Raises NotemillError as `begin` does."""
        while self.is_active:
            with _Stopwatch(self):
                if self._writing is not None:
                    _problem_of(self._writing.wait)
                elif self._sealing is not None:
                    _problem_of(self._sealing.result)
            self.advance()

    @property
    def _final(self) -> Path:
        assert self._info is not None
        return checkpoints.folder_of(self._run_dir, self._info.step)

    @property
    def _partial(self) -> Path:
        return checkpoints.partial_of(self._final)

    def _make_folder(self) -> None:
        make_private_folder(self._final.parent)
        shutil.rmtree(self._partial, ignore_errors=True)
        make_private_folder(self._partial)
        (self._partial / "weights").mkdir()

    def _seal(self, rest: Callable[[], object]) -> None:
        assert self._info is not None
        rest()
        seal(self._partial, self._final, self._info, to_yaml(self._config), self._tokenizer_dir)
        try:
            checkpoints.retain(self._run_dir, self._config.checkpoint)
        except (OSError, NotemillError) as error:
            say(f"{self._final} is saved, but the checkpoints before it could not be tidied: {error}")

    def _end(self, problem: str | None) -> None:
        final, partial = self._final, self._partial
        self._info, self.problem = None, None
        if problem is None:
            if self._is_main:
                seconds = time.perf_counter() - self._began
                say(f"saved {final} in {seconds:.1f} s, for {self._stall_of_save:.2f} s of which training stood still")
            return
        if self._is_main:
            shutil.rmtree(partial, ignore_errors=True)
        self.problem = f"{final} could not be saved ({problem}); the checkpoints before it are untouched"
        if self._config.checkpoint.on_failure == "stop":
            raise NotemillError(f"{self.problem}: make room or set checkpoint.on_failure=continue, and resume.")
        if self._is_main:
            say(self.problem)

    def add_stall(self, seconds: float) -> None:
        self.stall_seconds += seconds
        self._stall_of_save += seconds


class _Stopwatch:
    """Adds the time inside to what saving has held up training."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._saver.add_stall(time.perf_counter() - self._began)


def _problem_of(work: Callable[[], object]) -> str | None:
    """What kept `work` from writing, in a few words."""
    try:
        work()
    except NotemillError as error:
        return str(error).rstrip(".")
    except (OSError, RuntimeError) as error:
        reason = _system_error_behind(error) or str(error)
        return " ".join(reason.split())[:200]
    return None


def _system_error_behind(error: BaseException | None) -> str | None:
    """As in "No space left on device"; torch's writers raise errors of their own over those of the system."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return None
