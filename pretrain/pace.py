"""How long a rank takes for work that it does alone, so that a slow host shows although all ranks take equally long.

In a step all wait for the slowest, so step times say nothing. Timed is the forward pass of a micro-batch through what a
rank holds of the model, during which it waits for nobody but its tensor ranks, which are on its own host. On CUDA the
time is between two events on the stream, read a step later so that nothing waits for it.

Overlapped gathering fetches weights of other ranks in the first forward pass of a step, so its micro-batches count by
their median; with one or two of them, and under ZeRO-3, a slow host shows less than it is.
"""

import time
from statistics import median
from typing import Any

import torch

_MEMORY = 0.95
"""Share of the mean so far in the new one."""


class Pace:
    """The clock of one rank."""

    def __init__(self, module: torch.nn.Module, device: torch.device) -> None:
        """`module` is what the rank holds of the model, or the first chunk of it."""
        self._is_cuda = device.type == "cuda"
        self._begun: Any = None
        self._is_first = True
        self._timed: list[tuple[Any, Any]] = []
        self._last_step: list[tuple[Any, Any]] = []
        self.seconds: float | None = None
        """Of one forward pass, a running mean over steps; None before the third step."""
        module.register_forward_pre_hook(self._begin)
        module.register_forward_hook(self._end)

    def end_step(self) -> None:
        """A step is over. The first is left out, since things are built in it."""
        previous, self._last_step, self._timed = self._last_step, self._timed, []
        is_first, self._is_first = self._is_first, False
        if is_first:
            self._last_step = []
        if self._is_cuda and not all(end.query() for _, end in previous):
            return
        if not previous:
            return
        seconds = median(self._between(begin, end) for begin, end in previous)
        self.seconds = seconds if self.seconds is None else _MEMORY * self.seconds + (1 - _MEMORY) * seconds

    def _begin(self, module: torch.nn.Module, _: Any) -> None:
        self._begun = self._now() if module.training else None

    def _end(self, module: torch.nn.Module, _: Any, __: Any) -> None:
        if module.training and self._begun is not None:
            self._timed.append((self._begun, self._now()))

    def _now(self) -> Any:
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, begin: Any, end: Any) -> float:
        return begin.elapsed_time(end) / 1000 if self._is_cuda else end - begin
