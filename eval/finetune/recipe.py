"""What a fine-tuning run is told: one flat dataclass a task, so that `key=value` on the command line stays short.

The defaults are the recipes published with GatorTron where it had the task (epochs, learning rate, warm-up, the MQA
window and answer lengths); what it did not state is the field's usual value. Selection always uses the dev split.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from eval.examples import Task
from eval.finetune.grid import grid_problems, trial_settings
from launch.config import load_config, overrides_of

MIN_WINDOW = 16
"""Pieces below which a window is too short to hold special pieces and a text."""


@dataclass(frozen=True)
class Recipe:
    epochs: int = 5
    """Passes over the training split; the weights of the best one on dev are kept."""
    lr: float = 2e-5
    """Peak learning rate of AdamW; it warms up linearly and decays linearly to zero."""
    batch_size: int = 8
    """Windows an update."""
    max_length: int = 512
    """Pieces a window, special pieces included; limited by the model's positions."""
    stride: int = 0
    """Pieces from the start of one window of a long text to the start of the next; 0 leaves no overlap."""
    warmup: float = 0.1
    """Share of the updates in which the learning rate rises."""
    weight_decay: float = 0.01
    """AdamW's decay of matrices; biases and layer norms have none."""
    max_steps: int = 0
    """Updates after which training ends whatever `epochs` says; 0 sets no limit."""
    patience: int = 0
    """Epochs without a better dev score after which training ends; 0 always runs all epochs."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """One full training each; results give their mean and standard deviation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; weights and loss are fp32. `auto` is bf16 where the hardware has it."""
    hidden_dropout: float = 0.1
    """Dropout on hidden states while fine-tuning, whatever the model was pretrained with."""
    attention_dropout: float = 0.0
    """Dropout on attention weights. Zero lets torch use its fused kernel."""
    head_dropout: float = 0.1
    """Dropout on what the task's own layers read."""
    train_fraction: float = 1.0
    """Share of the training split used, drawn with the seed; for learning curves and quick looks. Nothing is learnt
    from the rest: no class, weight or word. Baselines without a model have the first seed's share."""
    initial: Literal["pretrained", "random"] = "pretrained"
    """`random` keeps the architecture and tokenizer and draws new weights: what pretraining is compared with."""
    baseline: Literal["none", "untrained"] = "none"
    """`untrained` also runs the recipe from random weights and shows it beside the result."""
    device: str = "auto"
    """torch device; `auto` takes a GPU where there is one."""
    threads: int = 1
    """CPU threads of torch."""
    max_batch_tokens: int = 8192
    """Padded pieces in one forward pass: prediction fills it on a GPU, larger training batches are split."""
    search: dict[str, Any] = field(default_factory=dict)
    """Lists of values of other keys to try, the best on dev with the first seed is taken for all seeds; `trials` in it
    draws so many of the combinations at random instead of trying all."""

    def validate(self) -> list[str]:
        problems = [
            f"{name} is {getattr(self, name)} but must be at least 1"
            for name in ("epochs", "batch_size", "threads", "max_batch_tokens")
            if getattr(self, name) < 1
        ]
        problems += [
            f"{name} is {getattr(self, name)} but must not be negative"
            for name in ("max_steps", "patience", "stride", "weight_decay")
            if getattr(self, name) < 0
        ]
        if self.max_length < MIN_WINDOW:
            problems.append(f"max_length is {self.max_length} but a window needs at least {MIN_WINDOW} pieces")
        if not 0 <= self.warmup < 1:
            problems.append(f"warmup is {self.warmup} but is a share of the updates, from 0 to below 1")
        if not 0 < self.train_fraction <= 1:
            problems.append(f"train_fraction is {self.train_fraction} but is a share, above 0 to 1")
        problems += [
            f"{name} is {getattr(self, name)} but is a probability below 1"
            for name in ("hidden_dropout", "attention_dropout", "head_dropout")
            if not 0 <= getattr(self, name) < 1
        ]
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        problems += [
            f"{name} is {value} but must be a finite number"
            for name, value in values.items()
            if isinstance(value, float) and not math.isfinite(value)
        ]
        if self.lr <= 0:
            problems.append(f"lr is {self.lr} but must be above 0")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            problems.append(f"seeds is {self.seeds} but needs one or more different numbers")
        problems += [f"{seed} in seeds must be below 2**32" for seed in self.seeds if abs(seed) >= 2**32]
        return problems + grid_problems(self.search, [item.name for item in fields(self)])


@dataclass(frozen=True)
class WeightedRecipe(Recipe):
    class_weights: Any = "none"
    """What a class's examples weigh in the loss: `none` (all 1), `balanced` (inverse to their number in training) or
    `{class: weight}`, where classes without one weigh 1. For NER classes are entity types and O."""

    def validate(self) -> list[str]:
        problems = super().validate()
        given = self.class_weights
        if isinstance(given, dict):
            numbers = [w for w in given.values() if isinstance(w, int | float) and not isinstance(w, bool)]
            if not given or len(numbers) < len(given) or not all(0 <= w < float("inf") for w in numbers):
                problems.append(f"class_weights is {given} but needs a number of at least 0 for each class it names")
        elif given not in ("none", "balanced"):
            problems.append(f"class_weights is {given} but is one of none, balanced, {{class: weight}}")
        return problems


@dataclass(frozen=True)
class NerRecipe(WeightedRecipe):
    epochs: int = 10
    stride: int = 384
    save_model: bool = False
    """Keep the model of the seed that was best on dev in OUT/model, as a token-classification folder."""


@dataclass(frozen=True)
class ReRecipe(WeightedRecipe):
    epochs: int = 20
    max_length: int = 256
    max_sentence_distance: int = 1
    """Sentences between the two mentions of a candidate pair; pairs further apart are counted as out of reach."""
    pooling: Literal["markers", "markers+mean"] = "markers"
    """What a pair is judged by: the states of [CLS], [s1] and [s2] (as published), or also the mean over all pieces."""
    mentions: Literal["text", "masked"] = "text"
    """`masked` puts [MASK] in the place of each piece of both mentions: the context alone tells, and no name is learnt
    by heart."""


@dataclass(frozen=True)
class PairRecipe(Recipe):
    pooling: Literal["cls", "mean"] = "cls"
    """What the text is judged by: the state of the first piece (as published) or the mean over all pieces."""
    train_windows: int = 0
    """Windows of a long text used an epoch, drawn anew each time; 0 uses all. Prediction always reads all windows."""
    max_windows: int = 0
    """Windows of a long text that are read at all, from its start; 0 reads all. 1 is how models are often run on texts
    that are too long for them; texts that lose something are counted."""

    def validate(self) -> list[str]:
        problems = super().validate()
        problems += [
            f"{name} is {getattr(self, name)} but must not be negative"
            for name in ("train_windows", "max_windows")
            if getattr(self, name) < 0
        ]
        return problems


@dataclass(frozen=True)
class StsRecipe(PairRecipe):
    lr: float = 5e-5
    max_length: int = 256


@dataclass(frozen=True)
class ClassRecipe(PairRecipe, WeightedRecipe):
    pass


@dataclass(frozen=True)
class NliRecipe(ClassRecipe):
    pass


@dataclass(frozen=True)
class ClsRecipe(ClassRecipe):
    save_model: bool = False
    """Keep the model of the seed that was best on dev in OUT/model, as a sequence-classification folder."""
    added_words: int = 0
    """Frequent words of the training split that become pieces of their own, where the tokenizer cuts them into three or
    more; each starts as the mean of these."""

    def validate(self) -> list[str]:
        problems = super().validate()
        if self.added_words < 0:
            problems.append(f"added_words is {self.added_words} but must not be negative")
        return problems


@dataclass(frozen=True)
class MqaRecipe(Recipe):
    lr: float = 1e-5
    stride: int = 384
    max_question: int = 96
    """Pieces of a question; the rest is cut and counted."""
    max_answer: int = 96
    """Pieces of an answer that may be predicted."""
    negatives: float = 1.0
    """Windows without the answer used an epoch, for each window with it; drawn anew each epoch."""

    def validate(self) -> list[str]:
        problems = super().validate()
        if self.max_question + MIN_WINDOW > self.max_length:
            problems.append(
                f"max_question is {self.max_question} and leaves no room for text in max_length {self.max_length}"
            )
        if self.negatives < 0:
            problems.append(f"negatives is {self.negatives} but must not be negative")
        if self.max_answer < 1 or self.max_question < 1:
            problems.append("max_question and max_answer must be at least 1")
        return problems


RECIPES: dict[Task, type[Recipe]] = {
    "ner": NerRecipe,
    "re": ReRecipe,
    "sts": StsRecipe,
    "nli": NliRecipe,
    "mqa": MqaRecipe,
    "cls": ClsRecipe,
}


def load_recipe(task: Task, file: Path | str | None = None, overrides: list[str] | None = None) -> Recipe:
    """The task's defaults, then `file`, then `key=value` overrides. Raises NotemillError."""
    recipe = load_config(RECIPES[task], file, overrides or [])
    trials_of(recipe)
    return recipe


def trials_of(recipe: Recipe) -> list[tuple[dict[str, Any], Recipe]]:
    """Each trial of the recipe's search: what it sets, and the whole recipe with one seed and no search.

    Raises NotemillError where a value is of the wrong type or does not fit the others.
    """
    alone = asdict(recipe) | {"search": {}, "seeds": recipe.seeds[:1]}
    return [
        (settings, load_config(type(recipe), None, overrides_of(alone | settings)))
        for settings in trial_settings(recipe.search)
    ]
