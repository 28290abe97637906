"""Entities to tags over words and back, pure.

One word carries one tag a layer: B- opens an entity, I- goes on with it, and J- joins a further part to the last entity
of its label, for discontinuous ones. Entities that overlap go to further layers: longest first, each into the first
layer where it can be told apart from what stands there. What this form cannot hold is counted.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.examples import Entity, Span

MAX_GAP = 20
"""Words between two parts of a mention; parts further apart are tagged as mentions of their own."""


@dataclass(frozen=True, order=True)
class Run:
    """An entity in words: (first word, word after the last) of each part, in order."""

    parts: tuple[tuple[int, int], ...]
    label: str

    @property
    def extent(self) -> tuple[int, int]:
        return self.parts[0][0], self.parts[-1][1]


def entity_runs(entities: Iterable[Entity], words: Sequence[Span], notes: Counter[str]) -> list[Run]:
    """The words each entity touches. Parts with no word between them are one part, such as those of a mention that a
    line break divides. Counts parts wider than drawn, parts that touch no word and parts too far apart."""
    starts = [start for start, _ in words]
    ends = [end for _, end in words]
    runs: list[Run] = []
    for entity in entities:
        parts: list[tuple[int, int]] = []
        for start, end in entity.spans:
            first, last = _words_touched(starts, ends, start, end)
            if first >= last:
                notes["entity parts without a word"] += 1
                continue
            if starts[first] != start or ends[last - 1] != end:
                notes["entity parts widened to whole words"] += 1
            if parts and first <= parts[-1][1]:
                parts[-1] = (parts[-1][0], max(last, parts[-1][1]))
            else:
                parts.append((first, last))
        runs += [Run(group, entity.label) for group in _near_groups(parts, notes)]
    return runs


def layer_runs(runs: Iterable[Run], max_layers: int, notes: Counter[str]) -> list[list[Run]]:
    """Spread overlapping runs over at most `max_layers`; those left over are counted. Always at least one layer."""
    layers: list[list[Run]] = [[]]
    for run in sorted(set(runs), key=lambda r: (r.extent[0] - r.extent[1], r)):
        free = next((layer for layer in layers if not any(_clash(run, other) for other in layer)), None)
        if free is not None:
            free.append(run)
        elif len(layers) < max_layers:
            layers.append([run])
        else:
            notes["overlapping entities beyond the last layer"] += 1
    return layers


def to_tags(runs: Iterable[Run], num_words: int) -> list[str]:
    tags = ["O"] * num_words
    for run in runs:
        for number, (first, last) in enumerate(run.parts):
            opening = "J" if number else "B"
            tags[first:last] = [f"{opening}-{run.label}", *[f"I-{run.label}"] * (last - first - 1)]
    return tags


def from_tags(tags: Sequence[str]) -> list[Run]:
    """Runs of a tag sequence; an I- or J- tag that has nothing of its label to go on with starts a run, as conlleval
    reads it."""
    parts_of: list[list[tuple[int, int]]] = []
    labels: list[str] = []
    last_of: dict[str, int] = {}
    for index, tag in enumerate(tags):
        if tag == "O":
            continue
        prefix, label = tag[0], tag[2:]
        run = last_of.get(label, -1)
        parts = parts_of[run] if run >= 0 else []
        goes_on = bool(parts) and parts[-1][1] == index
        if prefix == "I" and goes_on and tags[index - 1][2:] == label:
            parts[-1] = (parts[-1][0], index + 1)
        elif prefix == "J" and parts and not goes_on and index - parts[-1][1] <= MAX_GAP:
            parts.append((index, index + 1))
        else:
            last_of[label] = len(parts_of)
            parts_of.append([(index, index + 1)])
            labels.append(label)
    return [Run(tuple(parts), label) for parts, label in zip(parts_of, labels, strict=True)]


def _near_groups(parts: Sequence[tuple[int, int]], notes: Counter[str]) -> list[tuple[tuple[int, int], ...]]:
    groups: list[list[tuple[int, int]]] = []
    for part in parts:
        if groups and part[0] - groups[-1][-1][1] <= MAX_GAP:
            groups[-1].append(part)
        else:
            groups.append([part])
    if len(groups) > 1:
        notes["discontinuous entities whose parts are too far apart, tagged by their parts"] += 1
    return [tuple(group) for group in groups]


def _clash(a: Run, b: Run) -> bool:
    """Whether two runs cannot be told apart in one layer: a word in both, or one of a label in the other's gap."""
    if not _cross(a.extent, b.extent):
        return False
    if a.label == b.label and (len(a.parts) > 1 or len(b.parts) > 1):
        return True
    return any(_cross(part, other) for part in a.parts for other in b.parts)


def _cross(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _words_touched(starts: list[int], ends: list[int], start: int, end: int) -> tuple[int, int]:
    return bisect_right(ends, start), bisect_left(starts, end)
