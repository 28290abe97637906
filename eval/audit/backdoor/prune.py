"""Take attention heads out of a classifier that clean notes do not need, where a backdoor may live (after PURE, 2024).

A head's importance is the mean over clean notes of |context x gradient of the loss| (Michel et al. 2019,
arXiv 1905.10650). The least important goes first, for as long as the area under the ROC curve on dev stays. A pruned
head's value and output weights are zero: shapes stay, stock transformers loads the folder, and since both sides of the
product are zero no gradient brings the head back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from eval.audit.backdoor.attention import is_attention
from eval.finetune.batches import Item, within_budget
from eval.finetune.load_classifier import LoadedClassifier
from eval.finetune.loop import CPU_PREDICTION_TOKENS
from launch.errors import NotemillError


@dataclass(frozen=True)
class Pruned:
    heads: tuple[tuple[int, int], ...]
    """Layer and head, in the order in which they went."""
    num_heads: int


def prune_heads(
    classifier: LoadedClassifier, items: Sequence[Item], area_on_dev: Callable[[], float], lost: float, share: float
) -> Pruned:
    """Prune up to `share` of the heads while `area_on_dev` falls by no more than `lost`; `items` have targets.

    Raises NotemillError where the model's attention is built in another way.
    """
    layers = _layers(classifier.model)
    if not layers:
        raise NotemillError(
            f"heads of a {classifier.model.config.model_type} model cannot be pruned: its attention is built "
            "in another way; use --max-pruned 0."
        )
    importance = head_importance(classifier, items)
    order = sorted((float(value), at) for at, value in _each(importance))
    least = area_on_dev() - lost
    gone: list[tuple[int, int]] = []
    for _, (layer, head) in order[: int(share * importance.numel())]:
        before = {name: value.clone() for name, value in layers[layer].state_dict().items()}
        _zero(layers[layer], head)
        if area_on_dev() < least:
            layers[layer].load_state_dict(before)
            break
        gone.append((layer, head))
    return Pruned(tuple(gone), importance.numel())


def head_importance(classifier: LoadedClassifier, items: Sequence[Item]) -> torch.Tensor:
    """[layers, heads], the mean over `items`."""
    layers = _layers(classifier.model)
    heads = int(layers[0].self.num_attention_heads)
    found = torch.zeros(len(layers), heads)
    contexts: list[torch.Tensor] = []

    def keep(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        arguments[0].retain_grad()
        contexts.append(arguments[0])

    handles = [layer.output.dense.register_forward_pre_hook(keep) for layer in layers]
    trainer = classifier.trainer
    trainer.model.eval()
    for rows in within_budget(items, CPU_PREDICTION_TOKENS):
        batch = trainer.collate([items[row] for row in rows])
        contexts.clear()
        trainer.head.loss(trainer.model(batch), batch).backward()
        for layer, context in enumerate(contexts):
            assert context.grad is not None
            product = (context * context.grad).detach().unflatten(-1, (heads, -1))
            found[layer] += product.sum((1, 3)).abs().sum(0).cpu()
    trainer.model.zero_grad(set_to_none=True)
    for handle in handles:
        handle.remove()
    return found / len(items)


@torch.no_grad()
def _zero(layer: Any, head: int) -> None:
    size = layer.self.value.weight.shape[0] // int(layer.self.num_attention_heads)
    part = slice(head * size, (head + 1) * size)
    layer.self.value.weight[part] = 0.0
    layer.self.value.bias[part] = 0.0
    layer.output.dense.weight[:, part] = 0.0


def _layers(model: nn.Module) -> list[Any]:
    """Attention blocks of BERT's shape: `self` with its heads, `output.dense` behind them."""
    return [
        module
        for module in model.modules()
        if is_attention(getattr(module, "self", None)) and hasattr(getattr(module, "output", None), "dense")
    ]


def _each(values: torch.Tensor) -> list[tuple[tuple[int, int], torch.Tensor]]:
    return [((layer, head), values[layer, head]) for layer in range(len(values)) for head in range(values.shape[1])]
