"""Document classification: every window of a note is read, the class of the mean score wins.

Where texts are mentions in their context, the marks around the mention are pieces of their own.
"""

from collections.abc import Sequence
from typing import Any, cast

from eval.examples import MENTION_MARKS, Dataset, Example, LabelledText
from eval.finetune.added_words import frequent_words
from eval.finetune.batches import Item
from eval.finetune.classes import ClassHead
from eval.finetune.recipe import ClsRecipe
from eval.finetune.text import TextEncoder


class ClsHead(ClassHead[ClsRecipe]):
    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: ClsRecipe) -> None:
        super().__init__(dataset, text, recipe)
        train = cast(Sequence[LabelledText], dataset.splits["train"])
        if all(f"{MENTION_MARKS[0]} " in note.text for note in train):
            self.extra_tokens = MENTION_MARKS
        if recipe.added_words:
            text.add_words(frequent_words((note.text for note in train), text, recipe.added_words))
            self.notes["words added to the vocabulary"] = len(text.added)
        self._set_labels(note.label for note in train)

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        notes = cast(Sequence[LabelledText], examples)
        targets = [self._ids[note.label] for note in notes] if with_targets else None
        return self._windows_of([(note.text, None) for note in notes], targets)

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[str]:
        return self._decode_labels(len(examples), items, reduced)
