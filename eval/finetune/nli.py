"""NLI: premise and hypothesis in one input, judged by class; a long premise is read in windows with the hypothesis."""

from collections.abc import Sequence
from typing import Any, cast

from eval.examples import Dataset, Example, SentencePair
from eval.finetune.batches import Item
from eval.finetune.classes import ClassHead
from eval.finetune.recipe import NliRecipe
from eval.finetune.text import TextEncoder


class NliHead(ClassHead[NliRecipe]):
    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: NliRecipe) -> None:
        super().__init__(dataset, text, recipe)
        self._set_labels(pair.label for pair in cast(Sequence[SentencePair], dataset.splits["train"]))

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        pairs = cast(Sequence[SentencePair], examples)
        targets = [self._ids[pair.label or ""] for pair in pairs] if with_targets else None
        return self._windows_of([(pair.first, pair.second) for pair in pairs], targets)

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[str]:
        return self._decode_labels(len(examples), items, reduced)
