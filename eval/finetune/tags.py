"""Entities to BIO tags over words and back, pure.

One word carries one tag a layer. Entities that overlap go to further layers: longest first, each into the first layer
where its words are free. A discontinuous entity becomes one run a part. What this form cannot hold is counted.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from eval.examples import Entity, Span

Run = tuple[int, int, str]
"""First word, word after the last, label."""


def entity_runs(entities: Iterable[Entity], words: Sequence[Span], notes: Counter[str]) -> list[Run]:
    """The words each entity part touches; counts parts wider than drawn and parts that touch no word."""
    starts = [start for start, _ in words]
    ends = [end for _, end in words]
    runs: list[Run] = []
    for entity in entities:
        if len(entity.spans) > 1:
            notes["discontinuous entities tagged by their parts"] += 1
        for start, end in entity.spans:
            first, last = _words_touched(starts, ends, start, end)
            if first >= last:
                notes["entity parts without a word"] += 1
                continue
            if starts[first] != start or ends[last - 1] != end:
                notes["entity parts widened to whole words"] += 1
            runs.append((first, last, entity.label))
    return runs


def layer_runs(runs: Iterable[Run], max_layers: int, notes: Counter[str]) -> list[list[Run]]:
    """Spread overlapping runs over at most `max_layers`; those left over are counted. Always at least one layer."""
    layers: list[list[Run]] = [[]]
    taken: list[set[int]] = [set()]
    for run in sorted(set(runs), key=lambda r: (r[0] - r[1], r)):
        positions = set(range(run[0], run[1]))
        for layer, used in zip(layers, taken, strict=True):
            if not positions & used:
                layer.append(run)
                used |= positions
                break
        else:
            if len(layers) == max_layers:
                notes["overlapping entities beyond the last layer"] += 1
                continue
            layers.append([run])
            taken.append(positions)
    return layers


def to_tags(runs: Iterable[Run], num_words: int) -> list[str]:
    tags = ["O"] * num_words
    for first, last, label in runs:
        tags[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
    return tags


def from_tags(tags: Sequence[str]) -> list[Run]:
    """Runs of a tag sequence; an I- tag that continues nothing of its label starts a run, as conlleval reads it."""
    runs: list[Run] = []
    for index, tag in enumerate(tags):
        if tag == "O":
            continue
        prefix, label = tag[0], tag[2:]
        if prefix == "I" and runs and runs[-1][1] == index and runs[-1][2] == label:
            runs[-1] = (runs[-1][0], index + 1, label)
        else:
            runs.append((index, index + 1, label))
    return runs


def _words_touched(starts: list[int], ends: list[int], start: int, end: int) -> tuple[int, int]:
    return bisect_right(ends, start), bisect_left(starts, end)
