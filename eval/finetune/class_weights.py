"""What each class weighs in the loss, as `class_weights` of a recipe says it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from launch.errors import NotemillError


def weights_of_classes(
    given: str | Mapping[str, float],
    labels: Sequence[str],
    seen: Callable[[], Iterable[str]],
    class_of: Callable[[str], str] = lambda label: label,
) -> torch.Tensor | None:
    """Weights [labels], or None where all are 1.

    `seen` gives the label of everything that training learns from, for `balanced`: number of all / (number of labels x
    number of this one), which is 1 on average. `class_of` is the name by which `given` knows a label. Raises
    NotemillError where `given` names a class that training does not have.
    """
    if given == "none":
        return None
    if isinstance(given, Mapping):
        classes = list(dict.fromkeys(map(class_of, labels)))
        unknown = [name for name in given if name not in classes]
        if unknown:
            raise NotemillError(
                f"class_weights names '{unknown[0]}', which is no class of the training split; there are "
                f"{', '.join(classes)}."
            )
        return torch.tensor([float(given.get(class_of(label), 1.0)) for label in labels])
    counts = Counter(seen())
    # A label that is never learnt (no I- tag where all mentions are of one word) has no say, whatever it weighs.
    present = [label for label in labels if counts[label]]
    total = sum(counts.values())
    return torch.tensor([total / (len(present) * counts[label]) if counts[label] else 1.0 for label in labels])
