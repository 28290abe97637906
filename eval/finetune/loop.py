"""The training loop of every task: AdamW, linear warm-up and decay, the epoch with the best dev score kept in memory.

Weights, optimizer state and loss are fp32; the forward pass may run in bf16. The learning rate is a function of the
share of training done, so heads may sample other windows every epoch. Nothing here sees the test split.
"""

import contextlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from eval.examples import Example
from eval.finetune.batches import Batch, Item, collate, training_batches, within_budget
from eval.finetune.encoder import Encoder
from eval.finetune.head import Head
from eval.finetune.recipe import Recipe
from launch.errors import NotemillError

MAX_GRAD_NORM = 1.0
HEAD_DROPOUT = 0.1


@dataclass
class Epoch:
    epoch: int
    steps: int
    loss: float
    dev: float | None
    """Dev score by the task's primary metric; None without a dev split."""


@dataclass
class Fit:
    """What training did."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    tokens: int = 0
    """Real pieces trained on."""
    seconds: float = 0.0


class Classifier(nn.Module):
    """Encoder and head network; scores come out in fp32."""

    def __init__(self, encoder: Encoder, network: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = network

    def forward(self, batch: Any) -> torch.Tensor:
        return self.network(self.encoder(batch), batch).float()


class Trainer:
    """One model on one head; `fit` then `predict`."""

    def __init__(self, model: Classifier, head: Head[Any], recipe: Recipe) -> None:
        self.device = torch.device(resolve_device(recipe.device))
        self.model = model.to(self.device)
        self.head = head
        self.recipe = recipe
        self.bf16 = resolve_precision(recipe.precision, self.device) == "bf16"

    def fit(self, items: list[Item], seed: int, dev_score: Callable[[], float] | None) -> Fit:
        """Train on `items`; `dev_score` is asked after every epoch. Raises NotemillError if the loss is not finite."""
        if not items:
            raise NotemillError("the training split gives no window to learn from; check the data and train_fraction.")
        recipe, fit, rng = self.recipe, Fit(), random.Random(seed)
        optimizer = _optimizer(self.model, recipe)
        best_score, best_state, waited = -math.inf, None, 0
        started = time.monotonic()
        for epoch in range(1, recipe.epochs + 1):
            batches = training_batches(self.head.epoch_items(items, rng), recipe.batch_size, rng)
            if not batches:
                raise NotemillError(
                    "no window of the training split holds anything to learn; raise max_length, lower stride or check "
                    "the gold's offsets."
                )
            planned = _planned_steps(fit.steps, len(batches), recipe.epochs - epoch + 1, recipe.max_steps)
            total_loss, seen = 0.0, 0
            self.model.train()
            for batch in batches[: planned - fit.steps]:
                _set_lr(optimizer, recipe.lr * lr_factor(fit.steps, planned, recipe.warmup))
                total_loss += self._step(batch, optimizer)
                seen += 1
                fit.steps += 1
                fit.tokens += sum(len(item.input_ids) for item in batch)
            if not math.isfinite(total_loss):
                raise NotemillError(f"the training loss is not finite in epoch {epoch}; lower lr (now {recipe.lr:g}).")
            score = dev_score() if dev_score is not None else None
            fit.epochs.append(Epoch(epoch, fit.steps, total_loss / max(1, seen), score))
            if score is None or score > best_score or best_state is None:
                best_score, fit.best_epoch, waited = (score if score is not None else best_score), epoch, 0
                best_state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            else:
                waited += 1
            if fit.steps >= planned or (recipe.patience and waited >= recipe.patience):
                break
        if best_state is not None:
            self.model.load_state_dict(best_state)
        fit.seconds = time.monotonic() - started
        return fit

    def predict(self, examples: Sequence[Example], items: list[Item]) -> Any:
        """Predictions of `examples` from their windows."""
        return self.head.decode(examples, items, self.read(items, self.head.reduce))

    def read(self, items: list[Item], reduce: Callable[[torch.Tensor, Batch], list[Any]]) -> list[Any]:
        """What `reduce` keeps of the scores of each window."""
        self.model.eval()
        reduced: list[Any] = [None] * len(items)
        with torch.inference_mode():
            for indices in within_budget(items, self.recipe.max_batch_tokens):
                batch = self._collate([items[i] for i in indices])
                with self._autocast():
                    scores = self.model(batch)
                for index, value in zip(indices, reduce(scores, batch), strict=True):
                    reduced[index] = value
        return reduced

    def _step(self, items: list[Item], optimizer: torch.optim.Optimizer) -> float:
        """One update; the loss is the weighted mean over the items, however many forward passes it took."""
        weight = sum(item.weight for item in items)
        total = 0.0
        for indices in within_budget(items, self.recipe.max_batch_tokens):
            batch = self._collate([items[i] for i in indices])
            with self._autocast():
                scores = self.model(batch)
            loss = self.head.loss(scores, batch) / weight
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    def _collate(self, items: list[Item]) -> Any:
        encoder = self.model.encoder
        return collate(items, self.head.text.pad_id, encoder.num_segments > 1, encoder.max_positions, self.device)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()


def lr_factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` of `total`: up over the first `warmup`, then down to zero."""
    warm = round(total * warmup)
    if step < warm:
        return (step + 1) / (warm + 1)
    return (total - step) / max(1, total - warm)


def resolve_device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(device)
    except RuntimeError:
        raise NotemillError(f"device '{device}' is unknown to torch; use auto, cpu or cuda.") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise NotemillError(f"device '{device}' was asked for but torch sees no GPU; use device=cpu.")
    return device


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is bf16 where the hardware multiplies it natively; elsewhere bf16 would be slower than fp32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def _planned_steps(done: int, batches: int, epochs_left: int, max_steps: int) -> int:
    planned = done + batches * epochs_left
    return min(planned, max_steps) if max_steps else planned


def _set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
