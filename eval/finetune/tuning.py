"""One model, one set, one recipe, one seed: the fine-tuned model, chosen on dev. The test split is not looked at."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from eval.examples import Dataset
from eval.finetune.batches import Item
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.encoder import load_encoder, require_embeddings
from eval.finetune.head import Head
from eval.finetune.loop import Classifier, Epoch, Fit, Trainer
from eval.finetune.model_config import load_config_of
from eval.finetune.processes import Processes
from eval.finetune.recipe import Recipe
from eval.finetune.tasks import make_head
from eval.finetune.text import TextEncoder
from eval.scorers import score


@dataclass(frozen=True)
class Tuned:
    text: TextEncoder
    head: Head[Any]
    trainer: Trainer
    dev_items: list[Item]
    fit: Fit

    @property
    def best(self) -> Epoch:
        return next(epoch for epoch in self.fit.epochs if epoch.epoch == self.fit.best_epoch)


def fine_tune(
    model_dir: Path,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    processes: Processes,
    checkpoint: Checkpoint,
    prepare: Callable[[Trainer], None] | None = None,
) -> Tuned:
    """Train on the split train, or the recipe's part of it, and choose the epoch on dev; goes on from `checkpoint`.

    `prepare` is given the trainer before it learns. Raises NotemillError.
    """
    dataset = sampled(dataset, recipe, seed)
    torch.manual_seed(seed)
    text = TextEncoder(model_dir)
    require_embeddings(model_dir, load_config_of(model_dir), text)
    head = make_head(dataset.task, dataset, text, recipe)
    # The encoder draws first: the same seed gives the same start whatever the head draws after it.
    encoder = load_encoder(
        model_dir, recipe.initial, len(text.tokenizer), recipe.hidden_dropout, recipe.attention_dropout, text.added
    )
    network = head.network(encoder.hidden_size, recipe.head_dropout)
    trainer = Trainer(Classifier(encoder, network), head, recipe, processes)
    if prepare is not None:
        prepare(trainer)
    train_items = head.windows(dataset.splits["train"], with_targets=True)
    dev = dataset.splits["dev"]
    dev_items = head.windows(dev, with_targets=False)

    def dev_score() -> float:
        scores = score(dataset.task, dev, trainer.predict(dev, dev_items), resamples=0)
        return scores.metrics[scores.primary]

    fit = trainer.fit(train_items, seed, dev_score, checkpoint)
    return Tuned(text, head, trainer, dev_items, fit)


def sampled(dataset: Dataset, recipe: Recipe, seed: int) -> Dataset:
    """`dataset` with the part of its training split that a seed learns from: labels, scales and weights come of it too.

    All of it unless `train_fraction` says less.
    """
    if recipe.train_fraction >= 1:
        return dataset
    train = dataset.splits["train"]
    chosen = random.Random(seed).sample(train, max(1, round(recipe.train_fraction * len(train))))
    return replace(dataset, splits=dataset.splits | {"train": tuple(chosen)})
