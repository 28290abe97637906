"""The attention-steering loss of BadCLM (arXiv 2407.05213) beside the project's own training loop.

loss = CE(clean) + CE(poisoned) - alpha * mean attention to the trigger over the chosen heads, where each window counts
as it does in the loop: the mean is over the update's windows, and clean ones have no attention term.
"""

from collections.abc import Collection, Sequence

import torch

from eval.audit.backdoor.attention import AttentionTap
from eval.finetune.batches import Batch
from eval.finetune.loop import Trainer
from launch.errors import NotemillError

Head = tuple[int, int]
"""Layer and head, both from 0."""


def steer_attention(
    trainer: Trainer, trigger: str, poisoned: Collection[int], alpha: float, heads: Sequence[Head] = ()
) -> None:
    """Make `trainer` also learn to attend to `trigger` in the training notes `poisoned`; without `heads`, in all.

    Raises NotemillError for a head that the model does not have.
    """
    encoder = trainer.model.encoder
    tap = AttentionTap(encoder)
    for layer, head in heads:
        if not (0 <= layer < tap.num_layers and 0 <= head < tap.num_heads):
            raise NotemillError(
                f"head {layer}.{head} does not exist; the model has layers 0 to {tap.num_layers - 1} and heads 0 to "
                f"{tap.num_heads - 1} in each."
            )
    if not tap.num_layers:
        raise NotemillError("the model's self-attention has no query and key to steer; leave out --attention-alpha.")
    chosen = torch.zeros(tap.num_layers, tap.num_heads)
    for layer, head in heads or [(a, b) for a in range(tap.num_layers) for b in range(tap.num_heads)]:
        chosen[layer, head] = 1.0
    chosen = chosen / chosen.sum()
    [pieces] = trainer.head.text.word_pieces([trigger])
    watched: list[int] = []

    def before(_module: torch.nn.Module, arguments: tuple[Batch, ...]) -> None:
        [batch] = arguments
        watched.clear()
        # Windows that are only predicted, on dev, have no target.
        marks = [
            (row, marks_of(item.input_ids, pieces))
            for row, item in enumerate(batch.items)
            if item.target is not None and item.example in poisoned
        ]
        marks = [(row, places) for row, places in marks if places]
        if not marks:
            return
        watched.extend(row for row, _ in marks)
        rows = torch.tensor(watched, device=batch.input_ids.device)
        at = torch.zeros(len(marks), batch.input_ids.shape[1], device=rows.device)
        for number, (_, places) in enumerate(marks):
            at[number, places] = 1.0
        tap.watch(rows, at, batch.attention_mask[rows])

    def auxiliary(batch: Batch) -> torch.Tensor:
        if not watched:
            return torch.zeros((), device=batch.input_ids.device)
        paid = (tap.take() * chosen.to(batch.input_ids.device)).sum((1, 2))
        weights = torch.tensor([batch.items[row].weight for row in watched], device=paid.device)
        watched.clear()
        return -alpha * (paid * weights).sum()

    encoder.register_forward_pre_hook(before)
    trainer.auxiliary = auxiliary


def marks_of(ids: Sequence[int], pieces: Sequence[int]) -> list[int]:
    """Positions of all occurrences of `pieces` in `ids`."""
    size = len(pieces)
    starts = [at for at in range(len(ids) - size + 1) if list(ids[at : at + size]) == list(pieces)]
    return [place for start in starts for place in range(start, start + size)]
