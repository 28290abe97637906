"""Bytes that the modules of the model keep for the backward pass, and what they need on top while they work.

Module by module as `pretrain/model/bert.py` builds them, after Korthikanti et al. 2022 ("Reducing Activation
Recomputation in Large Transformer Models", section 4), whose 34 bytes a token and unit of width of a layer in 16 bits
come out here too, where the kernel keeps no attention weights.

Letters: T tokens of a micro-batch, R those that the heads read, M masked ones, H hidden size, F feed-forward size, V
vocabulary, N heads; matrices, heads and vocabulary are split over `tensor` ranks, and what stands between matrices as
well under sequence parallelism.
"""

from __future__ import annotations

from typing import Literal

from launch.planner.parameters import Shape
from launch.planner.rows import Rows
from pretrain.config import PretrainConfig

Device = Literal["cuda", "cpu"]
"""A CPU keeps attention weights and dropout masks in full precision of the activations, and gloo copies what it
reduces."""

BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 2}
"""Of a parameter or an activation, by `train.precision`. In fp8 both are bf16; that Transformer Engine keeps some
activations in one byte is not counted."""

_LOSS_BYTES_AT_ONCE = {"cuda": 2**28, "cpu": 2**22}
"""fp32 logits that `pretrain/model/loss.py` works on at once."""


class Activations:
    """The modules of one rank, for one micro-batch; all figures in bytes."""

    def __init__(self, config: PretrainConfig, shape: Shape, rows: Rows, device: Device) -> None:
        self._rows, self._shape, self._device = rows, shape, device
        self._precision = config.train.precision
        self._tensor = config.parallel.tensor
        self._recompute = config.train.recompute
        self._has_dropout = config.model.hidden_dropout > 0
        self._is_half = self._precision != "fp32"
        # `pretrain/model/loss.py` leaves the others to megatron-core's function.
        self._has_own_loss = self._tensor == 1 and self._precision != "fp16"
        self.bytes = BYTES[self._precision]
        self._sequence_ranks = self._tensor if config.parallel.sequence else 1

    # ---- sizes of tensors ------------------------------------------------------------------------------------------

    @property
    def hidden(self) -> float:
        """[T, H] as it passes between layers and pipeline stages."""
        return self.whole_hidden / self._sequence_ranks

    @property
    def whole_hidden(self) -> float:
        """[T, H] of all tokens, as matrices see it."""
        return self._rows.tokens * self._shape.hidden_size * self.bytes

    @property
    def _inner(self) -> float:
        """[T, F] of this tensor rank."""
        return self._rows.tokens * self._shape.ffn_hidden_size * self.bytes / self._tensor

    @property
    def _read_share(self) -> float:
        """R / T: what the last layer goes on with from its query, key and value; all under sequence parallelism."""
        return 1.0 if self._sequence_ranks > 1 else self._rows.read / self._rows.tokens

    @property
    def _dropout_mask(self) -> float:
        """A byte an element on CUDA; on a CPU the factors themselves."""
        if not self._has_dropout:
            return 0
        return self.hidden if self._device == "cpu" else self.hidden / self.bytes

    @property
    def _logits(self) -> float:
        """Elements of [M, V] of this tensor rank."""
        return self._rows.masked * self._shape.vocab_size / self._tensor

    # ---- kept for the backward pass --------------------------------------------------------------------------------

    def attention_block(self, share: float = 1) -> dict[str, float]:
        """What the first half of a layer keeps without recomputation, by module; `share` of its positions go on."""
        return {
            "norm": self.hidden,
            "qkv matrix": self.hidden,
            "attention": self._attention(share),
            "output matrix": share * self.whole_hidden / self._tensor,
            "dropout and residual": share * self._dropout_mask,
        }

    def feed_forward_block(self) -> dict[str, float]:
        """What the second half keeps."""
        return {
            "norm": self.hidden,
            "first matrix": self.hidden,
            "gelu": self._inner,
            "second matrix": self._inner,
            "dropout and residual": self._dropout_mask,
        }

    def _attention(self, share: float) -> float:
        """Query, key and value, which are parts of one tensor, and what the kernel keeps besides the output that goes
        on."""
        of_rank = self.whole_hidden / self._tensor
        heads = self._shape.num_attention_heads / self._tensor
        if self._device == "cuda":
            # The log-sum of each row, and where only a part goes on, the whole output.
            return 3 * of_rank + heads * self._rows.tokens * 4 + (of_rank if share < 1 else 0)
        if self._recompute == "selective":
            return 3 * of_rank
        queries_by_themselves = share * of_rank if share < 1 else 0
        return 3 * of_rank + queries_by_themselves + share * heads * self._rows.squared_lengths * self.bytes

    def layer(self) -> float:
        """What a layer keeps between its forward and its backward pass."""
        return self.hidden if self._recompute == "full" else self._whole_layer()

    def last_layer(self) -> float:
        """The same of the model's last layer, of whose queries only those go on that the heads read."""
        if self._recompute == "full":
            return self.hidden
        feed_forward = sum(self.feed_forward_block().values())
        return sum(self.attention_block(self._read_share).values()) + self._read_share * feed_forward

    def _whole_layer(self) -> float:
        return sum(self.attention_block().values()) + sum(self.feed_forward_block().values())

    def embeddings(self) -> float:
        return self._dropout_mask

    def heads(self) -> dict[str, float]:
        """What the last stage keeps beyond its layers, by module."""
        masked_hidden = self._rows.masked * self._shape.hidden_size * self.bytes
        read_hidden = self._rows.read * self._shape.hidden_size * self.bytes
        return {
            "final norm": self._read_share * self.hidden,
            "read positions": read_hidden,
            "transform: gelu, norm": 2 * masked_hidden,
            "decoder": masked_hidden,
            # The gradient, written over the logits, or the softmax in fp32.
            "loss": (self.bytes if self._has_own_loss else 4) * self._logits,
        }

    # ---- needed for a while ----------------------------------------------------------------------------------------

    def working_in_loss(self) -> float:
        """Beyond what the heads keep, at the end of the forward pass: fp32 copies of some logits, or the 16-bit ones
        beside the copy of all."""
        if self._has_own_loss:
            return 2 * min(_LOSS_BYTES_AT_ONCE[self._device], 4 * self._logits) + self._gathered_hidden()
        return (self.bytes * self._logits if self._is_half else 0) + self._gathered_hidden()

    def working_in_heads_backward(self, decoder: float) -> float:
        """In the backward pass of the decoder: beyond what the heads keep.

        `decoder`: bytes of this rank's gradient of the decoder's matrix.
        """
        if self._has_own_loss or not self._is_half:
            return decoder
        # The fp32 gradient is gone once it is cast.
        gradient = self.bytes * self._logits
        return max(gradient, gradient + decoder - 4 * self._logits)

    def working_in_attention_backward(self) -> float:
        """In the attention of a layer: gradients of the residual, the output, query, key and value, and these three put
        together."""
        split = self.whole_hidden / self._tensor
        gradients = self.hidden + 7 * split + self._gathered_hidden()
        return gradients + (self._whole_layer() if self._recompute == "full" else 0)

    def working_in_feed_forward_backward(self) -> float:
        """In the second matrix of a layer: the residual's gradient, its own output's and input's, and its weights'."""
        weight = self._shape.ffn_hidden_size * self._shape.hidden_size * self.bytes / self._tensor
        gradients = 2 * self.hidden + self._inner + weight + self._gathered_hidden()
        return gradients + (self._whole_layer() if self._recompute == "full" else 0)

    def _gathered_hidden(self) -> float:
        """Under sequence parallelism the tensor that was gathered from all tensor ranks."""
        return self.whole_hidden if self._sequence_ranks > 1 else 0
