"""Several runs in one start of the processes, which costs more than such runs take: `torchrun -m` this with one JSON
list a run, of its `key=value` settings. All have the layout and the tokens of the first."""

import json
import sys
from pathlib import Path

from launch.process import prepare_process
from pretrain.config import load_pretrain_config


def main() -> None:
    prepare_process()
    from pretrain import megatron_on_cpu

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    from pretrain.data.index import read_tokens_manifest
    from pretrain.loop import Trainer
    from pretrain.parallel import distributed

    configs = [load_pretrain_config(None, json.loads(settings)) for settings in sys.argv[1:]]
    ranks = distributed.start(configs[0], read_tokens_manifest(Path(configs[0].data.path)).vocab_size)
    for config in configs:
        Trainer(config, ranks).run()
    distributed.stop()


if __name__ == "__main__":
    main()
