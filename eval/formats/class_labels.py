"""Whether what stands in the column of labels can be labels of classes, and not the notes themselves.

A wrong `?label=` would make each note a class of its own, and the classes' names go where a note must never go: to the
terminal, into results, into the config.json of a model that is released.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from eval.examples import Example, LabelledText, SentencePair, Task
from launch.errors import NotemillError

_MAX_LETTERS = 100
_CLASSES_UNCHECKED = 20
"""So many classes may have a text each, as in a small test."""
_MIN_TEXTS_PER_CLASS = 2


def require_labels(task: Task, spec: str, splits: Mapping[str, Sequence[Example]]) -> None:
    """Raise NotemillError, which quotes no label, where labels are long or nearly each text has its own."""
    if task not in ("cls", "nli"):
        return
    examples = [example for split in splits.values() for example in split]
    counts = Counter(str(example.label) for example in examples if isinstance(example, LabelledText | SentencePair))
    longest = max(map(len, counts), default=0)
    remedy = "where the format has columns name that of the labels, as in ?label=diagnosis"
    if longest > _MAX_LETTERS:
        raise NotemillError(
            f"a label in '{spec}' has {longest} letters, more than the {_MAX_LETTERS} of a class's name; {remedy}."
        )
    if len(counts) > _CLASSES_UNCHECKED and counts.total() < _MIN_TEXTS_PER_CLASS * len(counts):
        raise NotemillError(
            f"'{spec}' has {len(counts)} labels for {counts.total()} texts, so they name no classes; {remedy}."
        )
