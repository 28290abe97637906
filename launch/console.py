"""What a user sees while a stage works: a live bar on a terminal, plain lines elsewhere.

Everything here goes to standard error; standard output is kept for results that scripts read (JSON).
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

ItemT = TypeVar("ItemT")

PLAIN_INTERVAL_S = 10.0
"""Seconds between progress lines when standard error is no terminal."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line to the user; square brackets, as in [**NAME**], are printed as they are."""
    console.print(message, markup=False)


def track(items: Iterable[ItemT], description: str, total: int | None = None) -> Iterator[ItemT]:
    """Yield `items` while showing how many are done; `total` defaults to `len(items)` where there is one."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield from progress.track(items, total=total, description=description)
    else:
        yield from _track_plainly(items, description, total)


def _track_plainly(items: Iterable[ItemT], description: str, total: int | None) -> Iterator[ItemT]:
    of_total = f"/{total}" if total is not None else ""
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= PLAIN_INTERVAL_S:
            last = time.monotonic()
            print(f"{description}: {done}{of_total}", file=sys.stderr, flush=True)
