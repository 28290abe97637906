"""metrics.jsonl and TensorBoard: one object a logged step, continued without gap or double rows after a resume."""

import contextlib
from pathlib import Path
from typing import Any

import orjson

from data_pipeline.files import atomic_write

FILE = "metrics.jsonl"


class MetricsLog:
    """Appends rows to RUN/metrics.jsonl and the same numbers to RUN/tensorboard. Only the main rank has one."""

    def __init__(self, run_dir: Path, resumed_step: int) -> None:
        self._run_dir = run_dir
        self._open(resumed_step)

    def _open(self, resumed_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = self._run_dir / FILE
        _drop_rows_after(path, resumed_step)
        self._stream = path.open("ab")
        self._tensorboard = SummaryWriter(str(self._run_dir / "tensorboard"), purge_step=resumed_step + 1)

    def go_back_to(self, step: int) -> None:
        """Forget the rows after this step, which the run does again."""
        self.close()
        self._open(step)

    def write(self, row: dict[str, Any]) -> None:
        """Write one row; it is on its way to disk when this returns, so that a kill loses no logged step."""
        self._stream.write(orjson.dumps(row) + b"\n")
        self._stream.flush()
        for name, value in row.items():
            if name != "step" and value is not None:
                group = "valid" if name.startswith("valid_") else "train"
                self._tensorboard.add_scalar(f"{group}/{name.removeprefix('valid_')}", value, row["step"])

    def close(self) -> None:
        self._stream.close()
        self._tensorboard.close()


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl; a line that a kill or a power cut spoilt is left out."""
    path = run_dir / FILE
    rows = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with contextlib.suppress(orjson.JSONDecodeError):
            row = orjson.loads(line)
            if _is_row(row):
                rows.append(row)
    return rows


def _is_row(row: object) -> bool:
    """Whether this is the step's number and other numbers, some of which may be null."""
    return (
        isinstance(row, dict)
        and type(row.get("step")) is int
        and all(value is None or isinstance(value, int | float) for value in row.values())
    )


def _drop_rows_after(path: Path, step: int) -> None:
    """Rows that an earlier life wrote after the checkpoint it is resumed from would stand twice."""
    # A run that starts anew validates step 0 again.
    kept = [row for row in read_metrics(path.parent) if row["step"] <= step] if step else []
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in kept))
