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

    `seen` gives the label of everything that training learns from, for `balanced`: number of all / (number of classes x
    number of this one), which is 1 on average. `class_of` is the class of a label: in NER a tag's entity type, or O.
    Raises NotemillError where `given` names a class that training does not have.
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
    counts = Counter(map(class_of, seen()))
    # A class that is never learnt has no say, whatever it weighs.
    total = sum(counts.values())
    weights = {name: total / (len(counts) * count) for name, count in counts.items()}
    return torch.tensor([weights.get(class_of(label), 1.0) for label in labels])
