"""How a run is spread over processes, and every reason why it cannot be.

The one place that knows what fits: model and batch to the layout, the layout to the number of processes, the vocabulary
to the tensor ranks, the engine to all of them. Whatever is wrong is listed at once, each with what to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pretrain.config import PretrainConfig

MIN_SEQ_LEN = 16
"""Tokens of a row, which is to hold a pair of sentences with their special pieces."""
FP8_MULTIPLE = 16
"""What cuBLAS takes FP8 products of: sizes in bytes that are multiples of it, which the weights' gradients ask of the
number of tokens too."""


@dataclass(frozen=True)
class Layout:
    """Sizes whose product is the number of processes."""

    tensor: int
    pipeline: int
    data: int

    @classmethod
    def of(cls, config: PretrainConfig, world_size: int) -> Layout:
        """What is left of the world size after tensor and pipeline ranks is data-parallel."""
        tensor, pipeline = config.parallel.tensor, config.parallel.pipeline
        return cls(tensor, pipeline, world_size // (tensor * pipeline))


def layout_problems(
    config: PretrainConfig, *, world_size: int | None = None, vocab_size: int | None = None
) -> list[str]:
    """Every reason why this run cannot be laid out, empty when there is none.

    What depends on the number of processes or the vocabulary is checked where these are given.
    """
    problems = _model_problems(config) + _schedule_problems(config) + _engine_problems(config)
    problems += _layers_problems(config)
    if vocab_size is not None and vocab_size % config.parallel.tensor:
        problems.append(
            f"the vocabulary of {vocab_size} pieces is no multiple of parallel.tensor {config.parallel.tensor}; train "
            "the tokenizer with a padded vocabulary"
        )
    if world_size is not None:
        problems += _process_problems(config, world_size)
    return problems


def _model_problems(config: PretrainConfig) -> list[str]:
    model, train, parallel = config.model, config.train, config.parallel
    chunks = parallel.pipeline * parallel.virtual_stages
    checks = [
        (
            model.hidden_size % model.num_attention_heads == 0,
            f"model.hidden_size {model.hidden_size} is no multiple of "
            f"model.num_attention_heads {model.num_attention_heads}",
        ),
        (
            train.seq_len >= MIN_SEQ_LEN,
            f"train.seq_len {train.seq_len} is below {MIN_SEQ_LEN}, too short for a sentence pair",
        ),
        (
            train.seq_len <= config.max_position_embeddings,
            f"train.seq_len {train.seq_len} exceeds model.max_position_embeddings {config.max_position_embeddings}",
        ),
        (
            model.num_attention_heads % parallel.tensor == 0,
            f"parallel.tensor {parallel.tensor} does not divide model.num_attention_heads {model.num_attention_heads}",
        ),
        (
            config.ffn_hidden_size % parallel.tensor == 0,
            f"parallel.tensor {parallel.tensor} does not divide model.ffn_hidden_size {config.ffn_hidden_size}",
        ),
        (
            model.num_layers % chunks == 0,
            f"model.num_layers {model.num_layers} is no multiple of parallel.pipeline x virtual_stages = {chunks}",
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
            not parallel.sequence or (train.seq_len * train.micro_batch_size) % parallel.tensor == 0,
            f"train.seq_len x micro_batch_size = {train.seq_len * train.micro_batch_size} is no multiple of "
            f"parallel.tensor {parallel.tensor}, which parallel.sequence needs",
        ),
    ]
    return [problem for holds, problem in checks if not holds]


def _schedule_problems(config: PretrainConfig) -> list[str]:
    train = config.train
    start = config.start_batch_size
    checks = [
        (train.min_lr <= train.lr, f"train.min_lr {train.min_lr} exceeds train.lr {train.lr}"),
        (
            train.decay_steps is None or train.lr_schedule == "wsd",
            f"train.decay_steps is for train.lr_schedule=wsd only, not {train.lr_schedule}",
        ),
        (
            train.lr_schedule != "wsd" or config.warmup_steps + config.decay_steps <= train.steps,
            f"{config.warmup_steps} warm-up and {config.decay_steps} decay steps exceed train.steps {train.steps}",
        ),
        (
            not config.checkpoint.keep_best or _validates_what_it_saves(config),
            "checkpoint.keep_best needs validations at the steps that are saved; make checkpoint.every "
            f"{config.checkpoint.every} a multiple of train.valid_every {train.valid_every}, which must be above 0",
        ),
        (
            train.global_batch_size % start == 0,
            f"train.start_batch_size {start} does not divide train.global_batch_size {train.global_batch_size}",
        ),
        (
            (start == train.global_batch_size) == (train.batch_ramp_rows == 0),
            "train.start_batch_size below global_batch_size and train.batch_ramp_rows are a pair; give both or neither",
        ),
    ]
    return [problem for holds, problem in checks if not holds]


def _validates_what_it_saves(config: PretrainConfig) -> bool:
    valid_every = config.train.valid_every
    return valid_every > 0 and config.checkpoint.every % valid_every == 0


def _engine_problems(config: PretrainConfig) -> list[str]:
    engine, pipeline = config.engine, config.parallel.pipeline
    if engine.name == "megatron":
        checks = [
            (
                engine.zero_stage == 1,
                f"engine.zero_stage {engine.zero_stage} needs engine.name=deepspeed; Megatron's distributed optimizer "
                "is stage 1",
            ),
            (
                engine.offload == "none",
                f"engine.offload={engine.offload} needs engine.name=deepspeed; Megatron keeps all on the GPU",
            ),
        ]
    else:
        checks = [
            (
                engine.zero_stage in (1, 2, 3),
                f"engine.zero_stage {engine.zero_stage} is no stage of ZeRO; set 1, 2 or 3",
            ),
            (
                pipeline == 1,
                f"parallel.pipeline {pipeline} cannot run under engine.name=deepspeed, which would need another model "
                "and no more than ZeRO-1 for it; set engine.name=megatron or parallel.pipeline=1",
            ),
            (
                engine.offload != "parameters" or engine.zero_stage == 3,
                f"engine.offload=parameters needs engine.zero_stage=3, not {engine.zero_stage}; or set "
                "engine.offload=optimizer",
            ),
        ]
    return [problem for holds, problem in checks if not holds]


def _layers_problems(config: PretrainConfig) -> list[str]:
    model, train, parallel = config.model, config.train, config.parallel
    is_fp8, is_torch = train.precision == "fp8", model.layers == "torch"
    checks = [
        (
            not (is_fp8 and is_torch),
            "train.precision=fp8 needs model.layers=transformer_engine, not torch; or set train.precision=bf16",
        ),
        (
            config.engine.name == "megatron" or (is_torch and not is_fp8),
            f"{'train.precision=fp8' if is_fp8 else 'model.layers=transformer_engine'} needs engine.name=megatron, not "
            f"deepspeed; or set {'train.precision=bf16' if is_fp8 else 'model.layers=torch'}",
        ),
        (
            is_torch or train.precision != "fp32",
            "train.precision=fp32 would not be fp32 with model.layers=transformer_engine, which rounds what it "
            "multiplies to TF32; set model.layers=torch or train.precision=bf16",
        ),
    ]
    if is_fp8:
        tokens_ranks = parallel.tensor if parallel.sequence else 1
        sizes = [
            ("model.hidden_size", model.hidden_size, "parallel.tensor", parallel.tensor),
            ("model.ffn_hidden_size", config.ffn_hidden_size, "parallel.tensor", parallel.tensor),
            (
                "train.seq_len x micro_batch_size =",
                train.seq_len * train.micro_batch_size,
                "the tensor ranks that share it",
                tokens_ranks,
            ),
        ]
        checks += [
            (
                size % (FP8_MULTIPLE * ranks) == 0,
                f"{key} {size} is no multiple of {FP8_MULTIPLE} x {shared} = {FP8_MULTIPLE * ranks}, which "
                "train.precision=fp8 needs; change it or set train.precision=bf16",
            )
            for key, size, shared, ranks in sizes
        ]
    return [problem for holds, problem in checks if not holds]


def _process_problems(config: PretrainConfig, world_size: int) -> list[str]:
    train, parallel = config.train, config.parallel
    model_size = parallel.tensor * parallel.pipeline
    if world_size % model_size:
        return [
            f"{world_size} process(es) is no multiple of parallel.tensor x parallel.pipeline = {model_size}; "
            f"start a multiple of it (torchrun --nproc-per-node {model_size}, notemill launch --processes {model_size})"
        ]
    problems = []
    rows = train.micro_batch_size * Layout.of(config, world_size).data
    sizes = {"global_batch_size": train.global_batch_size, "start_batch_size": train.start_batch_size}
    for key, size in ((key, size) for key, size in sizes.items() if size is not None):
        if size % rows:
            problems.append(f"train.{key} {size} is no multiple of micro_batch_size x data-parallel size = {rows}")
        elif parallel.virtual_stages > 1 and size // rows % parallel.pipeline:
            problems.append(
                f"train.{key} {size} makes {size // rows} micro-batches, no multiple of parallel.pipeline "
                f"{parallel.pipeline}, which virtual stages need"
            )
    return problems
