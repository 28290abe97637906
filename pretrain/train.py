"""Pretraining: `notemill train` in one process, `torchrun -m pretrain.train` in several.

    notemill train --config configs/tiny.yaml data.path=tokens run.dir=run
    torchrun --nproc-per-node 2 -m pretrain.train --config configs/tiny.yaml data.path=tokens parallel.tensor=2

Rows of a global batch follow from (seed, step), dropout from (seed, step, rank) and initial weights from (seed, name):
a run that is killed and resumed gives bitwise the losses of one that was not.
"""

import argparse
import os
import sys
from pathlib import Path

from launch.errors import NotemillError
from launch.jobs.binding import bind_rank
from launch.process import end_with_parent, prepare_process
from pretrain.config import PretrainConfig, load_pretrain_config


def main(arguments: list[str] | None = None) -> None:
    """Command line of one rank."""
    parser = argparse.ArgumentParser(prog="python -m pretrain.train", description="Pretrain; one call a rank.")
    parser.add_argument("--config", metavar="F", help="YAML file with the run's configuration")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that go over the file's")
    options = parser.parse_args(arguments)
    prepare_process()
    bind_rank()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # Whatever becomes of torchrun, its processes save and leave.
        end_with_parent()
    try:
        run(load_pretrain_config(options.config, options.overrides))
    except NotemillError as error:
        print(f"notemill train: {error}", file=sys.stderr)
        sys.exit(2)


def run(config: PretrainConfig) -> Path:
    """Train to `train.steps` and return the last checkpoint. Raises NotemillError for bad input on every rank."""
    # Must come before anything imports megatron.core.
    from pretrain import megatron_on_cpu

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    from pretrain.data.index import read_tokens_manifest
    from pretrain.loop import Trainer
    from pretrain.parallel import distributed

    ranks = distributed.start(config, read_tokens_manifest(Path(config.data.path)).vocab_size)
    try:
        return Trainer(config, ranks).run()
    finally:
        distributed.stop()


if __name__ == "__main__":
    main()
