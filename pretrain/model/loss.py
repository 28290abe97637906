"""Cross entropy over the vocabulary.

Shapes: M masked positions, V this rank's share of the vocabulary.
"""

from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.tensor_parallel import vocab_parallel_cross_entropy

_BYTES_AT_ONCE = {"cpu": 2**22, "cuda": 2**28}
"""fp32 logits that are worked on at once: about what a core's caches hold, or enough to fill a GPU."""


def masked_token_losses(logits_MV: torch.Tensor, labels_M: torch.Tensor) -> torch.Tensor:
    """Losses [M] in fp32. Logits that have a gradient are lost: it is written over them in the forward pass.

    With several tensor ranks it is megatron-core's function, which makes fp32 copies of all logits, several times; with
    fp16 too, as small probabilities have to be scaled before they are rounded.
    """
    if parallel_state.get_tensor_model_parallel_world_size() > 1 or logits_MV.dtype is torch.float16:
        return vocab_parallel_cross_entropy(logits_MV.float()[:, None], labels_M[:, None])[:, 0]
    losses_M: torch.Tensor = _CrossEntropy.apply(logits_MV, labels_M)
    return losses_M


class _CrossEntropy(torch.autograd.Function):
    """Some rows at a time, so that what is between the logits and their gradient stays in the caches."""

    @staticmethod
    def forward(ctx: Any, logits_MV: torch.Tensor, labels_M: torch.Tensor) -> torch.Tensor:
        losses_M = torch.empty(len(labels_M), dtype=torch.float32, device=logits_MV.device)
        rows = max(1, _BYTES_AT_ONCE.get(logits_MV.device.type, 2**28) // (4 * logits_MV.shape[1]))
        for raw_RV, labels_R, losses_R in zip(
            logits_MV.detach().split(rows), labels_M.split(rows), losses_M.split(rows), strict=True
        ):
            logits_RV, labels_R1 = raw_RV.float(), labels_R[:, None]
            probabilities_RV = logits_RV.softmax(dim=-1)
            # The largest probability is never 0, as that of the label may be.
            log_sum_R = logits_RV.amax(dim=-1) - probabilities_RV.amax(dim=-1).log()
            torch.sub(log_sum_R, logits_RV.gather(1, labels_R1)[:, 0], out=losses_R)
            if ctx.needs_input_grad[0]:
                ones_R1 = probabilities_RV.new_ones(labels_R1.shape)
                raw_RV.copy_(probabilities_RV.scatter_add_(1, labels_R1, -ones_R1))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(logits_MV.detach())
        return losses_M

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient_MV,) = ctx.saved_tensors
        return gradient_MV.mul_(gradients[0].to(gradient_MV.dtype)[:, None]), None
