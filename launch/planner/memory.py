"""Peak memory of a rank in training, by part.

Weights are what the forward pass reads, in fp8 with copies of the layers' for the products; gradients are fp32
throughout; the optimizer has fp32 masters (unless weights are fp32 themselves) and two moments, split over the data
ranks. The peak of a step is one of a few moments: the end of the forward pass, when the logits are there; the backward
pass of the heads, or of the last layers. On a CPU it may also be the reduction of the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

from launch.planner.activations import BYTES, Activations, Device
from launch.planner.parameters import Shape, layer, rank_parameters, word_embeddings
from launch.planner.rows import Rows
from pretrain.config import PretrainConfig
from pretrain.parallel.layout import Layout

_REDUCE_BUCKET, _MAX_LIVE_PARAMETERS = 500_000_000, 1_000_000_000
"""DeepSpeed's defaults: gradients that it reduces at once, weights that ZeRO-3 keeps gathered."""
_FP8_COPIES = 2
"""Bytes of a layer's weight for its copies in FP8: as it is and transposed, as Hopper's products need them."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank at the peak of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Kept for the backward pass."""
    buffers: float
    """Tensors that are there for a while, copies of the communication library, and what a GPU's runtime takes."""

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers


def worst_rank(
    config: PretrainConfig, shape: Shape, *, world_size: int, device: Device = "cuda", reserved: float = 0
) -> Memory:
    """Memory of the pipeline stage that needs most."""
    return max(
        (
            rank_memory(config, shape, world_size=world_size, stage=stage, device=device, reserved=reserved)
            for stage in {0, config.parallel.pipeline - 1}
        ),
        key=lambda memory: memory.total,
    )


def rank_memory(
    config: PretrainConfig,
    shape: Shape,
    *,
    world_size: int,
    stage: int,
    device: Device = "cuda",
    rows: Rows | None = None,
    reserved: float = 0,
) -> Memory:
    """Memory of a rank of `stage`. `rows`: what its largest micro-batch holds, where it is known."""
    layout = Layout.of(config, world_size)
    parameters = rank_parameters(shape, tensor=layout.tensor, pipeline=layout.pipeline, stage=stage)
    zero = config.engine.zero_stage
    micro_batches = max(1, config.train.global_batch_size // (config.train.micro_batch_size * layout.data))
    kept, working = peak_activations(
        config,
        shape,
        rows or Rows.of(config),
        stage=stage,
        num_micro_batches=micro_batches,
        device=device,
    )
    if device == "cpu" and kept + working < 4 * parameters:
        # By then no activation is left.
        kept, working = 0, 4 * parameters
    offload = config.engine.offload
    weights = parameters * BYTES[config.train.precision] / (layout.data if zero == 3 else 1)
    if config.train.precision == "fp8":
        weights += _FP8_COPIES * (shape.num_layers // layout.pipeline) * layer(shape, layout.tensor)
    return Memory(
        weights=0 if offload == "parameters" else weights,
        gradients=parameters * 4 / (layout.data if zero >= 2 else 1),
        optimizer=0 if offload != "none" else parameters * optimizer_bytes(config) / layout.data,
        activations=kept,
        buffers=working + reserved + zero_buffers(config, parameters, device),
    )


def zero_buffers(config: PretrainConfig, parameters: int, device: Device) -> float:
    """What DeepSpeed sets aside: two buckets for gradients at ZeRO-2; at ZeRO-3 one in fp32, the copy of it that is
    reduced and the weights that are gathered. A CPU's memory is taken only as far as buckets are filled, and as they
    are reduced the activations are gone there."""
    width, zero = BYTES[config.train.precision], config.engine.zero_stage
    filled = min(parameters, _REDUCE_BUCKET)
    if zero == 2 and device == "cuda":
        return 2 * _REDUCE_BUCKET * width
    if zero == 3:
        bucket, copy = (4 * _REDUCE_BUCKET, 4 * filled) if device == "cuda" else (4 * filled, 0)
        return bucket + copy + min(parameters, _MAX_LIVE_PARAMETERS) * width
    return 0


def optimizer_bytes(config: PretrainConfig) -> int:
    """Bytes a parameter over all data ranks: two moments, and masters where the weights are no fp32."""
    return 8 if config.train.precision == "fp32" else 12


def peak_activations(
    config: PretrainConfig, shape: Shape, rows: Rows, *, stage: int, num_micro_batches: int, device: Device
) -> tuple[float, float]:
    """Bytes kept for the backward pass, and bytes of what is there for a while, at the peak of a step."""
    modules = Activations(config, shape, rows, device)
    pipeline, virtual = config.parallel.pipeline, config.parallel.virtual_stages
    is_first, is_last = stage == 0, stage == pipeline - 1
    chunks = chunks_in_flight(pipeline, virtual, stage, num_micro_batches)
    layers = chunks * shape.num_layers / (pipeline * virtual)
    kept = layers * modules.layer()
    if is_first:
        # Micro-batches whose first chunk is in flight.
        kept += min(chunks, num_micro_batches, pipeline * 2 - 1 if virtual > 1 else pipeline) * modules.embeddings()
    passed_on = 0.0
    if pipeline > 1:
        # What a stage sent stays until its gradient is back, and that is received into a tensor of its own.
        kept += (chunks - 1 if is_last else chunks) * modules.hidden
        passed_on = modules.hidden
    decoder = word_embeddings(shape, config.parallel.tensor) * modules.bytes
    # In a single stage the decoder's gradient waits for that of the embeddings, with which it is tied.
    waiting = decoder if is_first and is_last else 0.0
    waiting += passed_on
    feed_forward = modules.working_in_feed_forward_backward()
    if not is_last:
        return kept, waiting + feed_forward
    before_last = kept - modules.layer()
    with_last = before_last + modules.last_layer()
    with_heads = with_last + sum(modules.heads().values())
    moments = [
        (with_heads, passed_on + modules.working_in_loss()),
        (with_heads, passed_on + modules.working_in_heads_backward(decoder)),
        (with_last, waiting + modules.working_in_attention_backward()),
        (before_last, waiting + feed_forward),
    ]
    return max(moments, key=sum)


def chunks_in_flight(pipeline: int, virtual: int, stage: int, num_micro_batches: int) -> int:
    """Forward passes of a chunk of layers whose backward passes are still to come, at most.

    1F1B and its interleaved form as in megatron-core's `get_pp_rank_microbatches` (Narayanan et al. 2021, section 2.2).
    """
    if pipeline == 1:
        return 1
    warmup = pipeline - stage - 1
    if virtual > 1:
        warmup = 2 * warmup + (virtual - 1) * pipeline
    return min(warmup + 1, num_micro_batches * virtual)
