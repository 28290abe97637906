"""The training loop of every task: AdamW, linear warm-up and decay, the epoch with the best dev score kept in memory.

Several processes share each update: every one takes some of its windows, and gradients are summed before the step, so
that the update is that of one process. Batches of a prediction are shared out whole.

Weights, optimizer state and loss are fp32; the forward pass may run in bf16. The learning rate is a function of the
share of training done, so heads may sample other windows every epoch. Nothing here sees the test split.
"""

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from eval.examples import Example
from eval.finetune.batches import Batch, Item, collate, training_batches, within_budget
from eval.finetune.checkpoint import Checkpoint, random_state, restore_random
from eval.finetune.encoder import Encoder
from eval.finetune.head import Head
from eval.finetune.processes import ALONE, Processes
from eval.finetune.recipe import Recipe
from launch.dropout import quicken_dropout
from launch.errors import NotemillError

MAX_GRAD_NORM = 1.0
CPU_PREDICTION_TOKENS = 1024
"""Padded pieces a prediction reads at once on a CPU, where larger batches leave its caches and take longer."""
_RANK_SEED_STRIDE = 1_000_003


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


@dataclass
class _Progress:
    """Where training stands between two epochs."""

    rng: random.Random
    fit: Fit = field(default_factory=Fit)
    best_score: float = -math.inf
    best_state: dict[str, torch.Tensor] | None = None
    waited: int = 0
    """Epochs since the best one."""
    is_done: bool = False


class Classifier(nn.Module):
    """Encoder and head network; scores come out in fp32."""

    def __init__(self, encoder: Encoder, network: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = network
        quicken_dropout(self)

    def forward(self, batch: Any) -> torch.Tensor:
        return self.network(self.encoder(batch), batch).float()


class Trainer:
    """One model on one head; `fit` then `predict`."""

    def __init__(self, model: Classifier, head: Head[Any], recipe: Recipe, processes: Processes = ALONE) -> None:
        self.device = torch.device(resolve_device(recipe.device))
        self.model = model.to(self.device)
        self.head = head
        self.recipe = recipe
        self.processes = processes
        self.bf16 = resolve_precision(recipe.precision, self.device) == "bf16"
        self.auxiliary: Callable[[Batch], torch.Tensor] | None = None
        """What a batch adds to the head's loss, summed over the batch as that is; asked after the forward pass."""

    def fit(
        self,
        items: list[Item],
        seed: int,
        dev_score: Callable[[], float] | None,
        checkpoint: Checkpoint | None = None,
    ) -> Fit:
        """Train on `items`; `dev_score` is asked after every epoch, and all that goes on is kept in `checkpoint`.

        Raises NotemillError if the loss is not finite.
        """
        if not items:
            raise NotemillError("the training split gives no window to learn from; check the data and train_fraction.")
        progress = _Progress(random.Random(seed))
        optimizer = _optimizer(self.model, self.recipe)
        gradients = self._shared_gradients()
        if self.processes.rank:
            torch.manual_seed(seed + _RANK_SEED_STRIDE * self.processes.rank)
        state = checkpoint.load() if checkpoint is not None else None
        if state is not None:
            self._restore(state, progress, optimizer)
        while not progress.is_done:
            started = time.monotonic()
            self._train_epoch(items, progress, optimizer, gradients)
            score = dev_score() if dev_score is not None else None
            self._judge(score, progress)
            progress.fit.seconds += time.monotonic() - started
            if checkpoint is not None:
                checkpoint.save(self._state(progress, optimizer))
        if progress.best_state is not None:
            self.model.load_state_dict(progress.best_state)
        return progress.fit

    def _train_epoch(
        self,
        items: list[Item],
        progress: _Progress,
        optimizer: torch.optim.Optimizer,
        gradients: torch.Tensor | None,
    ) -> None:
        recipe, fit, rng = self.recipe, progress.fit, progress.rng
        epoch = len(fit.epochs) + 1
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
            total_loss += self._step(batch, optimizer, gradients)
            seen += 1
            fit.steps += 1
            fit.tokens += sum(len(item.input_ids) for item in batch)
        # In the order of ranks, so that all processes have the same sum.
        total_loss = sum(self.processes.gather(total_loss))
        if not math.isfinite(total_loss):
            raise NotemillError(f"the training loss is not finite in epoch {epoch}; lower lr (now {recipe.lr:g}).")
        fit.epochs.append(Epoch(epoch, fit.steps, total_loss / max(1, seen), None))
        progress.is_done = fit.steps >= planned

    def _judge(self, score: float | None, progress: _Progress) -> None:
        """Keep the weights of the last epoch if they are the best so far, and see whether that is enough."""
        fit = progress.fit
        fit.epochs[-1].dev = score
        if score is None or score > progress.best_score or progress.best_state is None:
            progress.best_score = score if score is not None else progress.best_score
            fit.best_epoch, progress.waited = fit.epochs[-1].epoch, 0
            progress.best_state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        else:
            progress.waited += 1
        patience = self.recipe.patience
        progress.is_done |= bool(patience and progress.waited >= patience)

    def _state(self, progress: _Progress, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        is_last_best = progress.waited == 0
        return {
            "model": self.model.state_dict(),
            # The best epoch is most often the last one, whose weights are there already.
            "best": None if is_last_best else progress.best_state,
            "optimizer": optimizer.state_dict(),
            "rng": random_state(progress.rng),
            "fit": asdict(progress.fit),
            "best_score": progress.best_score,
            "waited": progress.waited,
            "is_done": progress.is_done,
        }

    def _restore(self, state: dict[str, Any], progress: _Progress, optimizer: torch.optim.Optimizer) -> None:
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        restore_random(progress.rng, state["rng"])
        epochs = [Epoch(**epoch) for epoch in state["fit"].pop("epochs")]
        progress.fit = Fit(epochs=epochs, **state["fit"])
        progress.best_state = state["best"] if state["best"] is not None else state["model"]
        progress.best_score, progress.waited, progress.is_done = (
            state[key] for key in ("best_score", "waited", "is_done")
        )

    def _shared_gradients(self) -> torch.Tensor | None:
        """One buffer that all gradients are views of, so that processes sum them in one go; None for one process."""
        if self.processes.size == 1:
            return None
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        buffer = torch.zeros(sum(parameter.numel() for parameter in learnt), device=self.device)
        for parameter, part in zip(learnt, buffer.split([parameter.numel() for parameter in learnt]), strict=True):
            parameter.grad = part.view_as(parameter)
        return buffer

    def predict(self, examples: Sequence[Example], items: list[Item]) -> Any:
        """Predictions of `examples` from their windows."""
        return self.head.decode(examples, items, self.read(items, self.head.reduce))

    def read(self, items: list[Item], reduce: Callable[[torch.Tensor, Batch], list[Any]]) -> list[Any]:
        """What `reduce` keeps of the scores of each window."""
        self.model.eval()
        limit = self.recipe.max_batch_tokens
        batches = within_budget(items, min(limit, CPU_PREDICTION_TOKENS) if self.device.type == "cpu" else limit)
        found: list[tuple[int, Any]] = []
        with torch.inference_mode():
            for indices in batches[self.processes.rank :: self.processes.size]:
                batch = self.collate([items[i] for i in indices])
                with self._autocast():
                    scores = self.model(batch)
                found += zip(indices, reduce(scores, batch), strict=True)
        reduced: list[Any] = [None] * len(items)
        for part in self.processes.gather(found):
            for index, value in part:
                reduced[index] = value
        return reduced

    def _step(self, items: list[Item], optimizer: torch.optim.Optimizer, gradients: torch.Tensor | None) -> float:
        """One update on all of `items`; returns this process's part of the loss, their weighted mean."""
        size = self.head.loss_size(items)
        share = items[self.processes.rank :: self.processes.size]
        total = 0.0
        for indices in within_budget(share, self.recipe.max_batch_tokens):
            batch = self.collate([share[i] for i in indices])
            with self._autocast():
                scores = self.model(batch)
            loss = self.head.loss(scores, batch)
            if self.auxiliary is not None:
                loss = loss + self.auxiliary(batch)
            loss = loss / size
            loss.backward()
            total += float(loss.detach())
        if gradients is not None:
            self.processes.sum(gradients)
        _clip(self.model.parameters())
        optimizer.step()
        optimizer.zero_grad(set_to_none=gradients is None)
        return total

    def collate(self, items: list[Item]) -> Batch:
        """A batch of `items` on the model's device."""
        encoder = self.model.encoder
        return collate(items, self.head.text.pad_id, encoder.num_segments > 1, encoder.max_positions, self.device)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()


def _clip(parameters: Iterable[nn.Parameter]) -> None:
    """torch's clip_grad_norm_, which would multiply all gradients by one where they are short enough."""
    learnt = [parameter for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in learnt if parameter.grad is not None])
    if not norm <= MAX_GRAD_NORM:
        nn.utils.clip_grads_with_norm_(learnt, MAX_GRAD_NORM, norm)


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
