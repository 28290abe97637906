"""Which types of mention a data set relates: the pairs that become candidates."""

from collections.abc import Sequence

from eval.examples import Document


def related_types(documents: Sequence[Document]) -> set[tuple[str, str]]:
    """The (head label, tail label) combinations that some relation of `documents` joins."""
    pairs: set[tuple[str, str]] = set()
    for document in documents:
        label_of = {entity.id: entity.label for entity in document.entities}
        pairs |= {(label_of[r.head], label_of[r.tail]) for r in document.relations if {r.head, r.tail} <= set(label_of)}
    return pairs
