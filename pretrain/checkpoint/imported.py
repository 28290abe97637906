"""A checkpoint of weights alone, from which a run begins."""

import shutil
from collections.abc import Callable
from pathlib import Path

from data_pipeline.files import make_private_folder
from pretrain.checkpoint.folder import partial_of
from pretrain.checkpoint.info import CheckpointInfo
from pretrain.checkpoint.saver import seal


def write_weights(
    folder: Path, save_model: Callable[[Path], None], info: CheckpointInfo, config: str, tokenizer_dir: Path
) -> None:
    """Write `folder` as a checkpoint without an optimizer, from the one process there is; `config` is its config.yaml.

    It appears under its name when it is complete on disk.
    """
    partial = partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    make_private_folder(partial)
    try:
        (partial / "weights").mkdir()
        save_model(partial / "weights")
        seal(partial, folder, info, config, tokenizer_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
