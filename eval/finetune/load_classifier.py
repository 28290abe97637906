"""A sequence-classification folder, ours or anyone's, ready to classify notes and to be fine-tuned further."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.examples import Dataset, LabelledText
from eval.finetune.cls import ClsHead
from eval.finetune.encoder import read_model
from eval.finetune.loop import Classifier, Trainer
from eval.finetune.model_config import load_config_of, max_positions, set_dropout
from eval.finetune.recipe import ClsRecipe
from eval.finetune.save_classifier import AsItIs, SequenceClassifier
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError


class FolderHead(ClsHead):
    """`ClsHead` whose classes are those of a folder, in its order."""

    def __init__(self, folder: Path, labels: Sequence[str], dataset: Dataset, text: TextEncoder, recipe: ClsRecipe):
        self._folder, self._order = folder, tuple(labels)
        super().__init__(dataset, text, recipe)

    def _classes(self, seen: Sequence[str]) -> tuple[str, ...]:
        unknown = sorted(set(seen) - set(self._order))
        if unknown:
            raise NotemillError(
                f"{self.dataset.path} has the label '{unknown[0]}', which the model in {self._folder} does not know; "
                f"its labels are {', '.join(self._order)}."
            )
        return self._order


@dataclass(frozen=True)
class LoadedClassifier:
    folder: Path
    text: TextEncoder
    head: FolderHead
    trainer: Trainer

    @property
    def labels(self) -> tuple[str, ...]:
        return self.head.labels

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self.trainer.model.encoder.model

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, labels]: the softmax of the mean scores of each text's windows, which cover all of it."""
        items = self.head.windows([LabelledText("", text, "") for text in texts], with_targets=False)
        scores = self.head.mean_scores(len(texts), items, self.trainer.read(items, self.head.reduce))
        return torch.softmax(torch.tensor(scores, dtype=torch.float64), dim=-1).numpy()


def load_classifier(folder: Path, dataset: Dataset, recipe: ClsRecipe) -> LoadedClassifier:
    """The model in `folder` for the labels of `dataset`'s training split; windows are no longer than it was trained on.

    Raises NotemillError where the folder holds no classifier of whole texts or does not know a label.
    """
    from transformers import AutoModelForSequenceClassification

    config = load_config_of(folder)
    names = config.architectures or []
    if not any(name.endswith("ForSequenceClassification") for name in names) or config.num_labels < 2:
        raise NotemillError(
            f"{folder} holds {names[0] if names else 'no named model'}, not a sequence classifier; make one with "
            "`notemill eval run --task cls … save_model=true`."
        )
    set_dropout(config, recipe.hidden_dropout, recipe.attention_dropout)
    model = read_model(AutoModelForSequenceClassification, folder, config, "the classifier", "save the model again")
    text = TextEncoder(folder)
    # Words that were added for it are in its tokenizer; the model has no rows for others.
    length = min(recipe.max_length, text.max_length, max_positions(config))
    recipe = replace(recipe, max_length=length, added_words=0)
    labels = [str(config.id2label[index]) for index in range(config.num_labels)]
    head = FolderHead(folder, labels, dataset, text, recipe)
    trainer = Trainer(Classifier(SequenceClassifier(model), AsItIs()), head, recipe)
    return LoadedClassifier(folder, text, head, trainer)
