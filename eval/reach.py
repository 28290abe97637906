"""Gold relations that no candidate reaches, by split, label and reason: what no model can find."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from eval.candidates import OutOfReach, out_of_reach, related_types
from eval.examples import Dataset, Document

_HEADER = ("split", "relation", "gold", "reached", "out of reach")


class ReachRow(TypedDict):
    split: str
    label: str
    gold: int
    reached: int
    reasons: dict[str, int]
    """Gold relations out of reach by reason; with `reached` they add up to `gold`."""


def reach_rows(dataset: Dataset, max_sentence_distance: int) -> list[ReachRow]:
    """A row for every label of every split, with type pairs from train; none where relations are marked sentences."""
    train = [example for example in dataset.splits.get("train", ()) if isinstance(example, Document)]
    if dataset.task != "re" or not train:
        return []
    pairs = related_types(train)
    rows: list[ReachRow] = []
    for split, examples in dataset.splits.items():
        documents = [example for example in examples if isinstance(example, Document)]
        rows += _rows_of(split, documents, out_of_reach(documents, pairs, max_sentence_distance))
    return rows


def count_out_of_reach(rows: Sequence[ReachRow]) -> dict[str, int]:
    """Totals by split, for the notes of a result."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals[f"{row['split']} relations out of reach"] += row["gold"] - row["reached"]
    return {note: count for note, count in totals.items() if count}


def reach_table(rows: Sequence[ReachRow], max_sentence_distance: int) -> list[str]:
    """Lines of a table for the console: every row, and what a larger distance would reach is among the reasons."""
    if not rows:
        return []
    cells: list[tuple[str, ...]] = [_HEADER]
    for row in rows:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in row["reasons"].items())
        cells.append((row["split"], row["label"], f"{row['gold']:,}", f"{row['reached']:,}", reasons or "-"))
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines = [f"gold relations and candidates, with max_sentence_distance={max_sentence_distance}:"]
    for cell in cells:
        texts = (value.ljust(width) for value, width in zip(cell[:2], widths[:2], strict=True))
        numbers = (value.rjust(width) for value, width in zip(cell[2:4], widths[2:4], strict=True))
        lines.append("  ".join(["", *texts, *numbers, cell[4]]))
    return lines


def _rows_of(split: str, documents: Sequence[Document], lost: Sequence[OutOfReach]) -> list[ReachRow]:
    gold = Counter(relation.label for document in documents for relation in document.relations)
    reasons: dict[str, Counter[str]] = {label: Counter() for label in gold}
    for item in lost:
        reasons[item.relation.label][item.reason] += 1
    return [
        {
            "split": split,
            "label": label,
            "gold": count,
            "reached": count - reasons[label].total(),
            "reasons": dict(sorted(reasons[label].items())),
        }
        for label, count in sorted(gold.items())
    ]
