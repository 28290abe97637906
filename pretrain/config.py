"""The configuration of one pretraining run: `configs/*.yaml`, then `section.key=value`.

Defaults are GatorTron-base's shape at a small batch. `validate` holds every check that needs no cluster;
`parallel.distributed.check_layout` checks the layout against the world size.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from launch.config import load_config

RUNNABLE_ENGINES = ("megatron",)


@dataclass
class DataConfig:
    path: str = "tokens"
    """Folder that `notemill tokens build` wrote."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often an epoch goes over each source of the tokens, as in {letters: 2, faxes: 0.5}; 1 where nothing is said,
    0 leaves a source out."""
    mask_probability: float = 0.15
    """Share of the tokens of a row that are to be predicted; whole words are chosen."""
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
    max_position_embeddings: int | None = None
    """Positions the embedding holds; train.seq_len when not given."""
    hidden_dropout: float = 0.1
    """Dropout on embeddings and on the outputs of attention and feed-forward blocks."""
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
    layernorm_epsilon: float = 1e-12
    """Added to variances; 1e-12 is what Hugging Face's megatron-bert assumes."""


@dataclass
class TrainConfig:
    steps: int = 1000
    """Optimizer steps in the whole run."""
    seq_len: int = 512
    """Tokens in a packed row."""
    micro_batch_size: int = 4
    """Rows a rank works on at once."""
    global_batch_size: int = 32
    """Rows an optimizer step sees over all ranks and accumulated micro-batches."""
    lr: float = 1e-4
    """Peak learning rate."""
    min_lr: float = 1e-5
    """Learning rate at the last step."""
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
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16 keeps bf16 parameters with fp32 masters in the optimizer; fp32 is fp32 throughout."""
    seed: int = 1234
    """Decides initial weights, order of documents, masks and dropout."""
    log_every: int = 10
    """Steps between rows of metrics.jsonl."""
    valid_every: int = 200
    """Steps between validations; the first and last step validate too. 0 turns validation off."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA when there is one."""


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


@dataclass
class EngineConfig:
    name: Literal["megatron", "deepspeed"] = "megatron"
    """What drives the optimizer and the communication."""
    zero_stage: int = 1
    """ZeRO stage under DeepSpeed; Megatron's distributed optimizer is stage 1."""


@dataclass
class CheckpointConfig:
    every: int = 500
    """Steps between checkpoints; the last step is always saved. 0 saves only the last."""
    keep: int = 2
    """Newest checkpoints kept; 0 keeps all."""
    resume: str = "auto"
    """auto goes on from the newest complete checkpoint of run.dir, none starts anew, a path resumes from it."""


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
    def warmup_steps(self) -> int:
        if self.train.warmup_steps is not None:
            return min(self.train.warmup_steps, self.train.steps)
        return max(1, self.train.steps // 100)

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
        }
        if model.ffn_hidden_size is not None:
            positive["model.ffn_hidden_size"] = model.ffn_hidden_size
        not_negative = {
            "train.warmup_steps": train.warmup_steps or 0,
            "train.valid_every": train.valid_every,
            "train.weight_decay": train.weight_decay,
            "train.adam_epsilon": train.adam_epsilon,
            "train.min_lr": train.min_lr,
            "train.seed": train.seed,
            "data.valid_rows": self.data.valid_rows,
            "checkpoint.every": self.checkpoint.every,
            "checkpoint.keep": self.checkpoint.keep,
        }
        above_zero = {
            "train.lr": train.lr,
            "train.clip_grad": train.clip_grad,
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
        # Written so that nan fails as well.
        problems = [f"{key} is {value} and must be at least 1" for key, value in positive.items() if not value >= 1]
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
        problems += [
            f"{key} is {value} and must be at least 0 and below 1"
            for key, value in shares.items()
            if not 0 <= value < 1
        ]
        if train.seed >= 2**63:
            problems.append(f"train.seed {train.seed} has more than 63 bits")
        return problems

    def validate(self) -> list[str]:
        """Every contradiction that shows without a cluster, each with what to change."""
        problems = self._out_of_range()
        if problems:
            return problems
        model, train, parallel = self.model, self.train, self.parallel
        checks = [
            (
                model.hidden_size % model.num_attention_heads == 0,
                f"model.hidden_size {model.hidden_size} is no multiple of "
                f"model.num_attention_heads {model.num_attention_heads}",
            ),
            (train.seq_len >= 16, f"train.seq_len {train.seq_len} is below 16, too short for a sentence pair"),
            (
                train.seq_len <= self.max_position_embeddings,
                f"train.seq_len {train.seq_len} exceeds model.max_position_embeddings {self.max_position_embeddings}",
            ),
            (
                0 < self.data.mask_probability < 1,
                f"data.mask_probability {self.data.mask_probability} is not between 0 and 1",
            ),
            (
                self.engine.zero_stage == 1,
                f"engine.zero_stage {self.engine.zero_stage} cannot run; Megatron's distributed optimizer is stage 1",
            ),
            (train.min_lr <= train.lr, f"train.min_lr {train.min_lr} exceeds train.lr {train.lr}"),
            (
                self.engine.name in RUNNABLE_ENGINES,
                f"engine.name={self.engine.name} cannot run yet; use engine.name=megatron, whose distributed "
                "optimizer shards as ZeRO-1 does",
            ),
            (
                parallel.virtual_stages == 1 or parallel.pipeline > 1,
                f"parallel.virtual_stages {parallel.virtual_stages} needs parallel.pipeline of at least 2",
            ),
            (
                not parallel.sequence or parallel.tensor > 1,
                "parallel.sequence=true needs parallel.tensor of at least 2",
            ),
            (
                model.num_attention_heads % parallel.tensor == 0,
                f"parallel.tensor {parallel.tensor} does not divide "
                f"model.num_attention_heads {model.num_attention_heads}",
            ),
            (
                model.num_layers % (parallel.pipeline * parallel.virtual_stages) == 0,
                f"model.num_layers {model.num_layers} is no multiple of parallel.pipeline x virtual_stages = "
                f"{parallel.pipeline * parallel.virtual_stages}",
            ),
            (
                not parallel.sequence or (train.seq_len * train.micro_batch_size) % parallel.tensor == 0,
                f"train.seq_len x micro_batch_size = {train.seq_len * train.micro_batch_size} is no multiple of "
                f"parallel.tensor {parallel.tensor}, which parallel.sequence needs",
            ),
        ]
        return [problem for holds, problem in checks if not holds]


def load_pretrain_config(file: str | None, overrides: list[str]) -> PretrainConfig:
    """The run's configuration from a YAML file and `section.key=value` overrides. Raises NotemillError."""
    return load_config(PretrainConfig, file, overrides)
