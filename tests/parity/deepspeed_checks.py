"""What the training loop relies on beside the losses, checked on two data ranks: `torchrun -m` this with tokens.

Gradients that are discarded or not finite leave nothing behind, at any stage and with offload: the next step is
bitwise that of an engine that never saw them. One rank alone has the bad gradients, and all must decide alike.
"""

import math
import sys
from pathlib import Path

import torch

from launch.process import prepare_process
from pretrain.config import PretrainConfig, load_pretrain_config
from tests.pretrain.launching import TINY

VARIANTS = [
    # (stage, offload, precision)
    (1, "none", "fp32"),
    (1, "none", "bf16"),
    (2, "none", "bf16"),
    (3, "none", "bf16"),
    (2, "optimizer", "fp32"),
    (3, "parameters", "fp32"),
    (1, "optimizer", "fp16"),
    (2, "none", "fp16"),
    (3, "none", "fp16"),
]
POISONED = "lm_head.dense.weight"


def main() -> None:
    prepare_process()
    from pretrain import megatron_on_cpu

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    from pretrain.data.index import read_tokens_manifest
    from pretrain.parallel import distributed

    configs = [
        load_pretrain_config(
            None,
            [
                *TINY,
                f"data.path={sys.argv[1]}",
                "engine.name=deepspeed",
                f"engine.zero_stage={stage}",
                f"engine.offload={offload}",
                f"train.precision={precision}",
                "train.initial_loss_scale=1024",
            ],
        )
        for stage, offload, precision in VARIANTS
    ]
    ranks = distributed.start(configs[0], read_tokens_manifest(Path(sys.argv[1])).vocab_size)
    for variant, config in zip(VARIANTS, configs, strict=True):
        print(variant, flush=True)
        check(config, ranks)
    distributed.stop()


def check(config: PretrainConfig, ranks) -> None:
    from pretrain.loop import Trainer

    trainer, fresh = Trainer(config, ranks), Trainer(config, ranks)
    first, second = batches_from(trainer, 0), batches_from(trainer, config.train.global_batch_size)
    engine = trainer.engine
    start = state_of(engine)

    engine.accumulate(first)
    engine.discard()
    assert state_of(engine) == start

    poison = None
    if ranks.is_main:
        poison = engine.parameters[POISONED].register_hook(lambda gradient: gradient * math.nan)
    for _ in range(2):  # The loss scale is halved at the second overflow.
        engine.accumulate(first)
        update = engine.update(1e-3)
        assert not update.is_applied and not math.isfinite(update.grad_norm), update
        assert state_of(engine) == start
    if config.train.precision == "fp16":
        assert (engine.loss_scale, fresh.engine.loss_scale) == (512, 1024)
        fresh.engine.optimizer.loss_scaler.cur_scale = 512
    if poison is not None:
        poison.remove()

    assert engine.accumulate(second) == fresh.engine.accumulate(second)
    update = engine.update(1e-3)
    assert update.is_applied and update == fresh.engine.update(1e-3)
    assert state_of(engine) == state_of(fresh.engine) != start


def batches_from(trainer, first_row: int) -> list:
    """This rank's micro-batches of the step that begins at that row."""
    train, ranks = trainer.config.train, trainer.ranks
    return trainer.loader.batches_of_step(
        range(first_row, first_row + train.global_batch_size),
        micro_batch_size=train.micro_batch_size,
        dp_rank=ranks.data_rank,
        dp_size=ranks.data_size,
    )


def state_of(engine) -> list[bytes]:
    """Masters, moments and the count of updates that this rank keeps, as bytes."""
    from pretrain.engines.deepspeed.optimizer import updates_of

    values = [value for part in engine.parts for value in part.state.values()]
    return [str(updates_of(engine.optimizer)).encode(), *(value.cpu().numpy().tobytes() for value in values)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
