"""What stands between the matrices of a layer: biases, GELU, dropout, residual sums.

Compiled, each is one kernel instead of three or four that wait for memory; on a GPU that is where the time goes that is
not the matrices'. `model.compile` says whether they are.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from megatron.core.transformer.mlp import MLP

from launch.dropout import dropout


def get_bias_dropout_add(training: bool, fused: bool) -> Callable[..., torch.Tensor]:
    """What megatron-core's layers call with ((output, bias), residual, probability) behind each block."""
    function = _bias_dropout_add_in_training if training else _bias_add
    return _compiled(function) if fused else function


def _bias_dropout_add_in_training(
    output_and_bias: tuple[torch.Tensor, torch.Tensor], residual: torch.Tensor, p: float
) -> torch.Tensor:
    output, bias = output_and_bias
    return residual + dropout(output + bias, p, training=True)


def _bias_add(output_and_bias: tuple[torch.Tensor, torch.Tensor], residual: torch.Tensor, p: float) -> torch.Tensor:
    output, bias = output_and_bias
    return residual + (output + bias)


class FeedForward(MLP):
    """megatron-core's feed-forward block, whose own fusion has GELU in its tanh form only."""

    def forward(
        self, hidden_states: torch.Tensor, per_token_scale: torch.Tensor | None = None, **_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        inner, bias = self.linear_fc1(hidden_states)
        function = _BIASED[self.config.activation_func]
        if self.config.bias_dropout_fusion:
            function = _compiled(function)
        output, output_bias = self.linear_fc2(function(inner, bias))
        return output, output_bias


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """Hendrycks and Gimpel's approximation (2016), transformers' gelu_pytorch_tanh."""
    return F.gelu(x, approximate="tanh")


def _bias_gelu(inner: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.gelu(inner + bias)


def _bias_gelu_tanh(inner: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return gelu_tanh(inner + bias)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"gelu": F.gelu, "gelu_tanh": gelu_tanh}
"""By `model.activation`."""
_BIASED = {F.gelu: _bias_gelu, gelu_tanh: _bias_gelu_tanh}


@lru_cache
def _compiled(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return torch.compile(function)
