"""The micro-batches of one step on this rank, with those of the next step prepared meanwhile."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pretrain.config import PretrainConfig
from pretrain.data.batch import Batch
from pretrain.data.loader import PackedLoader
from pretrain.guard import next_rows
from pretrain.parallel.distributed import Ranks
from pretrain.schedule import batch_size, mask_probability


@dataclass(frozen=True)
class StepRows:
    """What one step works on."""

    rows: list[int]
    """The step's rows over all ranks, in the run's sequence."""
    batches: list[Batch]
    """This rank's micro-batches of them."""


class RowFeed:
    """Follows the loop wherever it goes; a step that is no successor of the one before is prepared when asked for."""

    def __init__(self, loader: PackedLoader, config: PretrainConfig, ranks: Ranks) -> None:
        self._loader, self._config, self._ranks = loader, config, ranks
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows")
        self._ahead: tuple[tuple[int, list[int]], Future[list[Batch]]] | None = None

    def take(self, step: int, rows_seen: int, skipped: list[tuple[int, int]]) -> StepRows:
        """The rows of step `step`, counted from 0, which comes after `rows_seen` rows and leaves out `skipped`."""
        rows = self._rows_after(rows_seen, skipped)
        if self._ahead is not None and self._ahead[0] == (step, rows):
            batches = self._ahead[1].result()
        else:
            batches = self._pool.submit(self._load, step, rows).result()
        following = (step + 1, self._rows_after(rows[-1] + 1, skipped))
        self._ahead = (following, self._pool.submit(self._load, *following))
        return StepRows(rows, batches)

    def mask_probability(self, step: int) -> float:
        """Share of the tokens of step `step` that are to be predicted."""
        return mask_probability(
            step,
            first=self._config.data.mask_probability,
            last=self._config.final_mask_probability,
            total_steps=self._config.train.steps,
        )

    def close(self) -> None:
        """Forget what is prepared."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _rows_after(self, rows_seen: int, skipped: list[tuple[int, int]]) -> list[int]:
        train = self._config.train
        count = batch_size(
            rows_seen,
            start=self._config.start_batch_size,
            full=train.global_batch_size,
            ramp_rows=train.batch_ramp_rows,
        )
        return next_rows(rows_seen, count, skipped)

    def _load(self, step: int, rows: list[int]) -> list[Batch]:
        return self._loader.batches_of_step(
            rows,
            micro_batch_size=self._config.train.micro_batch_size,
            dp_rank=self._ranks.data_rank,
            dp_size=self._ranks.data_size,
            mask_probability=self.mask_probability(step),
        )
