"""The configuration of one pretraining run: `configs/*.yaml`, then `section.key=value`.

Defaults are GatorTron-base's shape at a small batch. Values that are wrong by themselves are told here;
`parallel.layout` says whether they fit each other, the processes and the vocabulary.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from launch.config import load_config

NUM_TOKEN_TYPES = 2
"""Rows of the token-type embedding: a piece's first run of sentences and its second."""


@dataclass
class DataConfig:
    path: str = "tokens"
    """Folder that `notemill tokens build` wrote."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often an epoch goes over each source of the tokens, as in {letters: 2, faxes: 0.5}; 1 where nothing is said,
    0 leaves a source out."""
    mask_probability: float = 0.15
    """Share of the tokens of a row that are to be predicted; whole words are chosen."""
    final_mask_probability: float | None = None
    """The same at the last step, reached in a straight line; held-out rows are masked at this rate throughout. A start
    at 0.3 learns faster (Ankner et al. 2023, "Dynamic Masking Rate Schedules for MLM Pretraining")."""
    valid_rows: int = 256
    """Rows of held-out patients' text scored at each validation, over all ranks; 0 takes all there are."""


@dataclass
class RunConfig:
    dir: str = "run"
    """Folder for config.yaml, metrics.jsonl, checkpoints and TensorBoard events."""


@dataclass
class ModelConfig:
    num_layers: int = 24
    """Transformer layers."""
    hidden_size: int = 1024
    """Width of the residual stream."""
    num_attention_heads: int = 16
    """Attention heads; divides hidden_size."""
    ffn_hidden_size: int | None = None
    """Width of the feed-forward layer; 4 x hidden_size when not given."""
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    """GELU by the error function, or by tanh as Megatron-LM's fused kernels compute it; in layers and head alike."""
    max_position_embeddings: int | None = None
    """Positions the embedding holds; train.seq_len when not given."""
    hidden_dropout: float = 0.1
    """Dropout on embeddings and on the outputs of attention and feed-forward blocks."""
    attention_window: int | None = None
    """Tokens that a token attends to, half on either side, besides [CLS], which sees all of its piece and is seen by
    all; even. The whole piece when not given."""
    attention_dropout: float = 0.0
    """Dropout on attention weights; torch's packed attention on CUDA has none, so there it must be 0."""
    init_std: float = 0.02
    """Standard deviation of initial weights; output projections get init_std / sqrt(2 x num_layers)."""
    embedding_std: float | None = None
    """The same for embeddings; init_std when not given. In runs of some thousand steps 0.5 keeps the first layer from
    outweighing all others."""
    init: Literal["normal", "local"] = "normal"
    """local starts with heads that look at neighbouring tokens, which spares a small model a long plateau."""
    compile: bool | None = None
    """Compile what stands between the matrices of a layer (torch.compile, a minute at the start); when not given, on
    CUDA only, since a CPU gains little."""
    layers: Literal["torch", "transformer_engine"] = "torch"
    """Whose norms and matrices layers have: torch's, or Transformer Engine's fused ones, which need that package, CUDA
    and engine.name=megatron. Checkpoints are the same."""
    layernorm_epsilon: float = 1e-12
    """Added to variances; 1e-12 is what Hugging Face's megatron-bert assumes."""


@dataclass
class TrainConfig:
    steps: int = 1000
    """Optimizer steps in the whole run."""
    sentence_order: bool = True
    """Also learn whether the two runs of sentences of a piece were swapped; without it a piece is one run."""
    seq_len: int = 512
    """Tokens in a packed row."""
    micro_batch_size: int = 4
    """Rows a rank works on at once."""
    global_batch_size: int = 32
    """Rows an optimizer step sees over all ranks and accumulated micro-batches."""
    start_batch_size: int | None = None
    """The same at the first step, a divisor of global_batch_size; global_batch_size when not given."""
    batch_ramp_rows: int = 0
    """Rows over which the batch grows to global_batch_size, by start_batch_size at a time."""
    lr: float = 1e-4
    """Peak learning rate."""
    min_lr: float = 1e-5
    """Learning rate at the last step."""
    lr_schedule: Literal["linear", "cosine", "wsd"] = "linear"
    """How the rate falls from lr to min_lr after warm-up; wsd (warm-up, stable, decay) stays at lr until the last
    decay_steps."""
    decay_steps: int | None = None
    """Steps of wsd's decay; a tenth of `steps` when not given."""
    warmup_steps: int | None = None
    """Steps of linear warm-up; 1% of `steps` when not given, as GatorTron did."""
    weight_decay: float = 0.01
    """AdamW's decoupled decay; biases and norms have none."""
    beta1: float = 0.9
    """AdamW's decay of the first moment."""
    beta2: float = 0.999
    """AdamW's decay of the second moment."""
    adam_epsilon: float = 1e-6
    """AdamW's epsilon."""
    clip_grad: float = 1.0
    """Largest global gradient norm; larger gradients are scaled down to it."""
    precision: Literal["bf16", "fp16", "fp32", "fp8"] = "bf16"
    """bf16 and fp16 keep such parameters with fp32 masters in the optimizer, fp16 with dynamic loss scaling; fp32 is
    fp32 throughout; fp8 is bf16 but for the products of the layers, and needs model.layers=transformer_engine."""
    initial_loss_scale: float = 65536.0
    """fp16 only: what losses are multiplied with at first; halved when gradients overflow, from the second time on."""
    loss_scale_window: int = 1000
    """fp16 only: steps without overflow after which the loss scale is doubled."""
    recompute: Literal["none", "selective", "full"] = "none"
    """What the backward pass computes again instead of keeping it: nothing, attention (which pays on a CPU only: CUDA's
    fused kernel keeps no weights anyway), or whole layers."""
    seed: int = 1234
    """Decides initial weights, order of documents, masks and dropout."""
    log_every: int = 10
    """Steps between rows of metrics.jsonl."""
    valid_every: int = 200
    """Steps between validations; the first and last step validate too. 0 turns validation off."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA when there is one."""
    deterministic: bool = False
    """Bitwise the same run on every repetition also on CUDA, where it is slower; on CPUs runs are so anyway."""
    spike_deviations: float = 0.0
    """A step whose loss is so many standard deviations above the mean of the last spike_window steps is left out; 0
    leaves out only steps that are not finite. 6 or more is no chance; it is off because other data or settings may
    raise the loss for good reason."""
    spike_window: int = 128
    """Steps that spikes are told by; until there are as many, none is."""
    skip_limit: int = 3
    """Steps left out in a row after which the run goes back to the newest checkpoint from before them."""
    rollback_limit: int = 3
    """How often it goes back before it gives up."""
    hang_timeout_s: float = 600.0
    """Seconds without progress on a rank after which all ranks end and the culprit is named; longer than loading, a
    validation or a save takes."""


@dataclass
class ParallelConfig:
    tensor: int = 1
    """Ranks that share each layer's matrices."""
    pipeline: int = 1
    """Ranks that share the stack of layers."""
    virtual_stages: int = 1
    """Chunks of layers a pipeline rank holds (interleaved schedule)."""
    sequence: bool = False
    """Split activations outside the matrices over the tensor ranks as well."""
    overlap: bool | None = None
    """Reduce gradients during the backward and gather weights during the forward pass; on CUDA when not given."""


@dataclass
class EngineConfig:
    name: Literal["megatron", "deepspeed"] = "megatron"
    """What drives the optimizer and the communication."""
    zero_stage: int = 1
    """What the data ranks share: 1 masters and moments, as Megatron's distributed optimizer does; 2 also gradients and
    3 also parameters, under DeepSpeed only."""
    offload: Literal["none", "optimizer", "parameters"] = "none"
    """Under DeepSpeed, what is kept and computed in the host's memory rather than the GPU's: masters and moments, or at
    stage 3 the parameters as well."""


@dataclass
class CheckpointConfig:
    every: int = 500
    """Steps between checkpoints; the last step is always saved. 0 saves only the last."""
    keep: int = 2
    """Newest checkpoints kept; 0 keeps all."""
    keep_every: int = 0
    """Checkpoints of steps that this divides are kept for ever; 0 keeps none for that."""
    keep_best: bool = False
    """Also keep the checkpoint with the lowest held-out loss; `checkpoints/best` names it."""
    asynchronous: bool = True
    """Write checkpoints beside training, from a copy in host memory; the last one is waited for."""
    on_failure: Literal["continue", "stop"] = "continue"
    """What a checkpoint that cannot be written, as on a full disk, does to the run; the last one always ends it."""
    resume: str = "auto"
    """auto goes on from the newest undamaged checkpoint of run.dir, none starts anew, a path resumes from it."""


@dataclass
class PretrainConfig:
    data: DataConfig = field(default_factory=DataConfig)
    run: RunConfig = field(default_factory=RunConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    @property
    def ffn_hidden_size(self) -> int:
        return self.model.ffn_hidden_size or 4 * self.model.hidden_size

    @property
    def max_position_embeddings(self) -> int:
        return self.model.max_position_embeddings or self.train.seq_len

    @property
    def attended_tokens(self) -> int:
        """Most tokens that one attends to: a row, or the window with the token itself and [CLS]."""
        window = self.model.attention_window
        return self.train.seq_len if window is None else min(self.train.seq_len, window + 2)

    @property
    def warmup_steps(self) -> int:
        if self.train.warmup_steps is not None:
            return min(self.train.warmup_steps, self.train.steps)
        return max(1, self.train.steps // 100)

    @property
    def decay_steps(self) -> int:
        """Steps of decay under the wsd schedule."""
        return max(1, self.train.steps // 10) if self.train.decay_steps is None else self.train.decay_steps

    @property
    def start_batch_size(self) -> int:
        given = self.train.start_batch_size
        return self.train.global_batch_size if given is None else given

    @property
    def final_mask_probability(self) -> float:
        given = self.data.final_mask_probability
        return self.data.mask_probability if given is None else given

    def _out_of_range(self) -> list[str]:
        """Values that are wrong whatever the others are."""
        model, train, parallel = self.model, self.train, self.parallel
        positive = {
            "model.num_layers": model.num_layers,
            "model.hidden_size": model.hidden_size,
            "model.num_attention_heads": model.num_attention_heads,
            "train.steps": train.steps,
            "train.micro_batch_size": train.micro_batch_size,
            "train.global_batch_size": train.global_batch_size,
            "train.log_every": train.log_every,
            "parallel.tensor": parallel.tensor,
            "parallel.pipeline": parallel.pipeline,
            "parallel.virtual_stages": parallel.virtual_stages,
            "train.loss_scale_window": train.loss_scale_window,
            "train.spike_window": train.spike_window,
            "train.skip_limit": train.skip_limit,
        }
        if train.start_batch_size is not None:
            positive["train.start_batch_size"] = train.start_batch_size
        if train.decay_steps is not None:
            positive["train.decay_steps"] = train.decay_steps
        if model.ffn_hidden_size is not None:
            positive["model.ffn_hidden_size"] = model.ffn_hidden_size
        not_negative = {
            "train.warmup_steps": train.warmup_steps or 0,
            "train.valid_every": train.valid_every,
            "train.weight_decay": train.weight_decay,
            "train.adam_epsilon": train.adam_epsilon,
            "train.min_lr": train.min_lr,
            "train.batch_ramp_rows": train.batch_ramp_rows,
            "train.seed": train.seed,
            "data.valid_rows": self.data.valid_rows,
            "checkpoint.every": self.checkpoint.every,
            "checkpoint.keep": self.checkpoint.keep,
            "checkpoint.keep_every": self.checkpoint.keep_every,
            "train.spike_deviations": train.spike_deviations,
            "train.rollback_limit": train.rollback_limit,
        }
        above_zero = {
            "train.lr": train.lr,
            "train.clip_grad": train.clip_grad,
            "train.initial_loss_scale": train.initial_loss_scale,
            "train.hang_timeout_s": train.hang_timeout_s,
            "model.init_std": model.init_std,
            "model.embedding_std": model.init_std if model.embedding_std is None else model.embedding_std,
            "model.layernorm_epsilon": model.layernorm_epsilon,
        }
        shares = {
            "model.hidden_dropout": model.hidden_dropout,
            "model.attention_dropout": model.attention_dropout,
            "train.beta1": train.beta1,
            "train.beta2": train.beta2,
        }
        folders = {"data.path": self.data.path, "run.dir": self.run.dir}
        problems = [f"{key} is empty and must name a folder" for key, value in folders.items() if not value.strip()]
        problems += [f"{key} has bytes that are no UTF-8" for key, value in folders.items() if not _is_utf8(value)]
        # Written so that nan fails as well.
        problems += [f"{key} is {value} and must be at least 1" for key, value in positive.items() if not value >= 1]
        problems += [
            f"{key} is {value} and must not be negative or infinite"
            for key, value in not_negative.items()
            if not 0 <= value < math.inf
        ]
        problems += [
            f"{key} is {value} and must be above 0 and finite"
            for key, value in above_zero.items()
            if not 0 < value < math.inf
        ]
        masked = {
            "data.mask_probability": self.data.mask_probability,
            "data.final_mask_probability": self.final_mask_probability,
        }
        problems += [f"{key} {value} is not between 0 and 1" for key, value in masked.items() if not 0 < value < 1]
        problems += [
            f"{key} is {value} and must be at least 0 and below 1"
            for key, value in shares.items()
            if not 0 <= value < 1
        ]
        if model.attention_window is not None and (model.attention_window < 2 or model.attention_window % 2):
            problems.append(
                f"model.attention_window is {model.attention_window} and must be even and at least 2, as half of it is "
                "on either side"
            )
        if train.seed >= 2**63:
            problems.append(f"train.seed {train.seed} has more than 63 bits")
        return problems

    def validate(self) -> list[str]:
        """Every contradiction that shows without a cluster, each with what to change."""
        problems = self._out_of_range()
        if problems:  # The fit of senseless values is no news.
            return problems
        from pretrain.parallel.layout import layout_problems

        return layout_problems(self)


def _is_utf8(text: str) -> bool:
    try:
        return bool(text.encode()) or not text
    except UnicodeEncodeError:
        return False


def load_pretrain_config(file: str | None, overrides: list[str]) -> PretrainConfig:
    """The run's configuration from a YAML file and `section.key=value` overrides. Raises NotemillError."""
    return load_config(PretrainConfig, file, overrides)
