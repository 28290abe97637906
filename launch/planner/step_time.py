"""Seconds of a training step, by part, from data sheets and stated shares.

A layer takes the time of its matrix products (at a share of the peak, or at memory bandwidth where they are too small),
of attention, and of the pointwise kernels between them, which wait for memory; or that of starting its kernels, if that
is longer. Its tensor ranks exchange activations, pipeline stages wait for one another (Narayanan et al. 2021, section
2.2), data ranks reduce gradients and gather weights behind the backward and forward pass of one micro-batch.

Letters: T tokens of a micro-batch, M masked ones, H hidden size, F feed-forward size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from launch.planner.activations import BYTES
from launch.planner.cluster import Cluster
from launch.planner.memory import optimizer_bytes
from launch.planner.parameters import Shape, rank_parameters, word_embeddings
from launch.planner.rows import Rows
from pretrain.config import PretrainConfig
from pretrain.flops import train_flops_per_token
from pretrain.parallel.layout import Layout


@dataclass(frozen=True)
class Kernels:
    """Pointwise kernels of a layer, and what they read and write."""

    number: tuple[int, int]
    """Kernels of the whole layer, forward and backward."""
    hidden: tuple[float, float]
    """Times that [T, H] between matrices is read or written. Forward: two norms; two times bias, dropout with its mask
    and residual sum. Backward the same, and two sums where the residual stream forks."""
    qkv: tuple[float, float] = (2, 3)
    """The same of [T, 3 H]: the first matrix's bias; backwards its gradient, and putting the three together."""
    inner: tuple[float, float] = (4, 4)
    """The same of [T, F]: bias and GELU."""


SEPARATE = Kernels(number=(25, 50), hidden=(4 + 2 * 7.5, 6 + 6 + 7))
COMPILED = Kernels(number=(15, 40), hidden=(4 + 2 * 3.5, 6 + 6 + 6), inner=(2, 4))
"""With `model.compile`, the default on CUDA, bias, dropout and residual sum are one, as are bias and GELU."""
_BUCKET_PARAMETERS = 40_000_000
"""Parameters whose gradients megatron-core reduces together, or a million a data rank if that is more."""
_OPTIMIZER_TRAFFIC = 28
"""Bytes that AdamW reads and writes a parameter: gradient once, master and both moments twice."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one optimizer step."""

    compute: float
    """Of the slowest stage over all its micro-batches."""
    tensor: float
    """What it waits for its tensor ranks."""
    bubble: float
    """What the pipeline stands still while it fills and drains, and transfers between stages that nothing hides."""
    data: float
    """Reduction of gradients and gathering of weights, as far as nothing hides it."""
    optimizer: float

    @property
    def total(self) -> float:
        return self.compute + self.tensor + self.bubble + self.data + self.optimizer


def step_time(config: PretrainConfig, shape: Shape, cluster: Cluster) -> StepTime:
    """Step time of a layout that `layout_problems` finds no fault with."""
    return _Step(config, shape, cluster).time()


def layer_seconds(config: PretrainConfig, shape: Shape, cluster: Cluster) -> Passes:
    """One transformer layer for one micro-batch, with what it waits for its tensor ranks."""
    step = _Step(config, shape, cluster)
    return step.layer_compute(step.rows.tokens) + step.layers_tensor()


def mfu(config: PretrainConfig, shape: Shape, cluster: Cluster, seconds: float) -> float:
    """FLOPs a token as the trainer counts them, over the dense 16-bit peak of all GPUs."""
    tokens = config.train.global_batch_size * config.train.seq_len
    return tokens * flops_per_token(config, shape) / seconds / (cluster.num_gpus * cluster.gpu.peak_16bit)


def flops_per_token(config: PretrainConfig, shape: Shape) -> float:
    """FLOPs to train on one token of a row, the mean over a run of what metrics.jsonl counts for `mfu`."""
    return train_flops_per_token(
        num_layers=shape.num_layers,
        hidden_size=shape.hidden_size,
        ffn_hidden_size=shape.ffn_hidden_size,
        vocab_size=shape.vocab_size,
        seq_len=config.attended_tokens,
        mask_probability=(config.data.mask_probability + config.final_mask_probability) / 2,
    )


@dataclass(frozen=True)
class Passes:
    """Seconds of a part of the model for one micro-batch."""

    forward: float
    backward: float

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def times(self, factor: float) -> Passes:
        return Passes(self.forward * factor, self.backward * factor)

    @property
    def total(self) -> float:
        return self.forward + self.backward


class _Step:
    def __init__(self, config: PretrainConfig, shape: Shape, cluster: Cluster) -> None:
        self.config, self.shape, self.cluster, self.gpu = config, shape, cluster, cluster.gpu
        self.layout = Layout.of(config, cluster.num_gpus)
        self.rows = Rows.of(config)
        self.bytes = BYTES[config.train.precision]
        self.num_micro_batches = config.train.global_batch_size // (config.train.micro_batch_size * self.layout.data)
        self.sequence_ranks = config.parallel.tensor if config.parallel.sequence else 1
        self.whole_hidden = self.rows.tokens * shape.hidden_size * self.bytes
        self.hidden = self.whole_hidden / self.sequence_ranks
        self.kernels = SEPARATE if config.model.compile is False else COMPILED
        peak = self.gpu.peak_fp32 if config.train.precision == "fp32" else self.gpu.peak_16bit
        self.matmul_speed, self.attention_speed = peak * self.gpu.matmul_share, peak * self.gpu.attention_share
        self.memory_speed = self.gpu.memory_bandwidth * cluster.memory_bandwidth_share

    def time(self) -> StepTime:
        pipeline, virtual = self.layout.pipeline, self.config.parallel.virtual_stages
        # All between the first and the last stage are alike.
        middle = [self.stage_compute(1)] * (pipeline - 2) if pipeline > 2 else []
        compute = [self.stage_compute(0), *middle, *([self.stage_compute(pipeline - 1)] if pipeline > 1 else [])]
        waiting = self.layers_tensor().times(self.shape.num_layers / pipeline)
        slowest = max(compute, key=lambda passes: passes.total)
        per_stage = [passes.total + waiting.total for passes in compute]
        fill = (sum(per_stage) - max(per_stage)) / virtual
        return StepTime(
            compute=self.num_micro_batches * slowest.total,
            tensor=self.num_micro_batches * waiting.total,
            bubble=fill + self.transfers(),
            data=self.exposed_data(compute[0] + waiting) + self.tied_embeddings(),
            optimizer=self.optimizer(),
        )

    # ---- compute ---------------------------------------------------------------------------------------------------

    def stage_compute(self, stage: int) -> Passes:
        """All that a stage computes for one micro-batch."""
        layers = self.shape.num_layers / self.layout.pipeline
        passes = self.layer_compute(self.rows.tokens).times(layers)
        if stage == self.layout.pipeline - 1 and self.sequence_ranks == 1:
            # Behind its attention the last layer sees only what the heads read; under sequence parallelism all.
            passes += self.layer_compute(self.rows.read) + self.layer_compute(self.rows.tokens).times(-1)
        if self.config.train.recompute == "full":
            passes += Passes(0, passes.forward)
        if stage == 0:
            passes += self.pointwise(8 * self.hidden, 4 * self.hidden)
        if stage == self.layout.pipeline - 1:
            passes += self.heads_compute()
        passes += self.pointwise(0, self.accumulation(stage))
        return passes.times(self.cluster.slowdown)

    def layer_compute(self, going_on: int) -> Passes:
        """A layer that goes on from its attention with so many tokens."""
        tokens, hidden, inner = self.rows.tokens, self.shape.hidden_size, self.shape.ffn_hidden_size
        tensor, share = self.layout.tensor, going_on / self.rows.tokens
        matrices = (
            self.matrix(tokens, hidden, 3 * hidden // tensor)
            + self.matrix(going_on, hidden // tensor, hidden)
            + self.matrix(going_on, hidden, inner // tensor)
            + self.matrix(going_on, inner // tensor, hidden)
        )
        attention_flops = 4 * self.config.attended_tokens * tokens * hidden / tensor
        # FlashAttention computes the scores again in the backward pass.
        attention = Passes(attention_flops / self.attention_speed, 2.5 * attention_flops / self.attention_speed)
        qkv, wide = 3 * self.whole_hidden / tensor, going_on * inner * self.bytes / tensor
        traffic = [
            self.kernels.hidden[way] * self.hidden * (1 + share) / 2
            + self.kernels.qkv[way] * qkv
            + self.kernels.inner[way] * wide
            for way in (0, 1)
        ]
        gpu = matrices + attention + self.pointwise(*traffic)
        started = [number * self.cluster.launch_seconds for number in self.kernels.number]
        return Passes(max(gpu.forward, started[0]), max(gpu.backward, started[1]))

    def heads_compute(self) -> Passes:
        masked, hidden, vocab = self.rows.masked, self.shape.hidden_size, self.shape.vocab_size // self.layout.tensor
        logits = masked * vocab
        if self.layout.tensor == 1 and self.config.train.precision != "fp16":
            # Bias; fp32 copy, softmax, two maxima, gradient in the place of the logits; and its factor.
            losses = self.pointwise(logits * (4 * self.bytes + 24), logits * 2 * self.bytes)
        else:
            # Bias; fp32 copy, maximum, exponential, sum, division; and backwards.
            losses = self.pointwise(logits * (3 * self.bytes + 4 * 7), logits * (4 * 2 + 3 * self.bytes))
        return self.matrix(masked, hidden, hidden) + self.matrix(masked, hidden, vocab) + losses

    def matrix(self, rows: int, inner: int, columns: int) -> Passes:
        """A product [rows, inner] x [inner, columns], and the two of its backward pass."""
        flops = 2 * rows * inner * columns
        traffic = self.bytes * (rows * inner + inner * columns + rows * columns)
        once = max(flops / self.matmul_speed, traffic / self.memory_speed)
        return Passes(once, 2 * once)

    def pointwise(self, forward: float, backward: float) -> Passes:
        """Time to move so many bytes."""
        return Passes(forward / self.memory_speed, backward / self.memory_speed)

    def accumulation(self, stage: int) -> float:
        """Bytes to add a micro-batch's gradients to the fp32 ones."""
        return self.parameters(stage) * (2 * self.bytes + 8)

    # ---- communication ---------------------------------------------------------------------------------------------

    def ring(self, size: float, group: int, stride: int) -> float:
        """Seconds of a reduce-scatter or an all-gather of `size` bytes; an all-reduce takes two."""
        if group == 1:
            return 0.0
        speed, latency = self.cluster.link(group, stride)
        return (group - 1) * (size / group / speed + latency)

    def layers_tensor(self) -> Passes:
        """What a layer waits for its tensor ranks.

        Forward two all-reduces, or as many bytes in gathers and scatters under sequence parallelism. Backward these are
        hidden behind the gradients of the weights, but for the two gathers of sequence parallelism.
        """
        tokens, hidden, tensor = self.rows.tokens, self.shape.hidden_size, self.layout.tensor
        half = self.ring(self.whole_hidden, tensor, 1)
        forward = 4 * half
        inner = self.shape.ffn_hidden_size
        weights = (
            self.matrix(tokens, hidden, 3 * hidden // tensor) + self.matrix(tokens, hidden, inner // tensor)
        ).forward
        backward = 2 * half if self.sequence_ranks > 1 else max(0.0, 4 * half - weights)
        if self.config.train.recompute == "full":
            backward += forward
        return Passes(forward, backward)

    def transfers(self) -> float:
        """Activations and gradients sent between stages; interleaved they are hidden but while the pipeline fills."""
        pipeline = self.layout.pipeline
        if pipeline == 1:
            return 0.0
        speed, latency = self.cluster.link(pipeline, self.layout.tensor * self.layout.data)
        once = 2 * (self.hidden / speed + latency)
        is_interleaved = self.config.parallel.virtual_stages > 1
        return (pipeline - 1 if is_interleaved else self.num_micro_batches + pipeline - 2) * once

    def exposed_data(self, first_stage: Passes) -> float:
        """Gradients are reduced behind the last backward pass and weights gathered behind the first forward pass."""
        data, zero = self.layout.data, self.config.engine.zero_stage
        if data == 1:
            return 0.0
        parameters = self.parameters(0)
        reduce = self.ring(4 * parameters, data, self.layout.tensor)
        gather = self.ring(self.bytes * parameters, data, self.layout.tensor)
        # ZeRO-2 reduces after every micro-batch, ZeRO-3 gathers weights for every forward and backward pass.
        num_reduces = self.num_micro_batches if zero >= 2 else 1
        num_gathers = 2 * self.num_micro_batches if zero == 3 else 1
        if self.config.parallel.overlap is False:
            return num_reduces * reduce + num_gathers * gather
        buckets = max(1.0, parameters / max(_BUCKET_PARAMETERS, 1_000_000 * data))
        exposed_reduce = max(reduce - first_stage.backward * (1 - 1 / buckets), reduce / buckets)
        exposed_gather = max(gather - first_stage.forward * (1 - 1 / buckets), gather / buckets)
        return num_reduces * exposed_reduce + num_gathers * exposed_gather

    def tied_embeddings(self) -> float:
        """First and last stage add up their gradients of the word embeddings."""
        if self.layout.pipeline == 1:
            return 0.0
        size = 4 * word_embeddings(self.shape, self.layout.tensor)
        return 2 * self.ring(size, 2, self.layout.tensor * self.layout.data)

    def optimizer(self) -> float:
        """Zeroing gradients, their norm and clipping, AdamW, new weights: all of it waits for memory."""
        parameters = max(self.parameters(stage) for stage in {0, self.layout.pipeline - 1})
        shard = parameters / self.layout.data
        masters = self.bytes if optimizer_bytes(self.config) == 12 else 0
        return (4 * parameters + shard * (4 + 8 + _OPTIMIZER_TRAFFIC + masters)) / self.memory_speed

    def parameters(self, stage: int) -> int:
        return rank_parameters(self.shape, tensor=self.layout.tensor, pipeline=self.layout.pipeline, stage=stage)


def calibrated(cluster: Cluster, config: PretrainConfig, shape: Shape, efficiency: float | None) -> Cluster:
    """The cluster as slow as one of its GPUs was measured, in MFU, with this model and micro-batch, nothing split."""
    if efficiency is None:
        return cluster
    return replace(cluster, slowdown=predicted_efficiency(config, shape, cluster) / efficiency)


def predicted_efficiency(config: PretrainConfig, shape: Shape, cluster: Cluster) -> float:
    """MFU of the same model and micro-batch on one GPU of the cluster, if it had the memory."""
    alone = replace(
        config,
        parallel=replace(config.parallel, tensor=1, pipeline=1, virtual_stages=1, sequence=False),
        train=replace(config.train, recompute="none"),
    )
    one = replace(cluster, nodes=1, gpus_per_node=1)
    return mfu(alone, shape, one, step_time(alone, shape, one).total)
