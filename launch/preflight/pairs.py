"""Who talks to whom when links are timed, and which of them are slow."""

from collections.abc import Mapping, Sequence
from statistics import median

SLOW_SHARE = 0.5
"""A link with less than this share of the median bandwidth is told."""


def rounds(members: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Every pair once, in rounds in which nobody is in two pairs: the circle method of a tournament."""
    circle: list[int | None] = [*members, *([None] if len(members) % 2 else [])]
    found = []
    for _ in range(len(circle) - 1):
        pairs = zip(circle[: len(circle) // 2], reversed(circle[len(circle) // 2 :]), strict=True)
        found.append([(min(a, b), max(a, b)) for a, b in pairs if a is not None and b is not None])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return found


def members_of(hosts: Sequence[str], most: int = 16) -> list[int]:
    """The ranks whose links are timed: all, or the first of each host where they are more than `most`."""
    ranks = list(range(len(hosts)))
    return ranks if len(ranks) <= most else [rank for rank in ranks if rank == hosts.index(hosts[rank])]


def slow_links(bandwidths: Mapping[tuple[int, int], float], hosts: Sequence[str]) -> dict[tuple[int, int], float]:
    """Links whose bandwidth is below the share of the median over their kind, within a host or between two."""
    found: dict[tuple[int, int], float] = {}
    for is_within in (True, False):
        kind = {pair: speed for pair, speed in bandwidths.items() if (hosts[pair[0]] == hosts[pair[1]]) is is_within}
        if len(kind) > 1:
            found |= {pair: speed for pair, speed in kind.items() if speed < SLOW_SHARE * median(kind.values())}
    return found
