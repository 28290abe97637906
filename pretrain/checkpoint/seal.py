"""The end of every save: what stands beside the weights, checksums, the marker last, and then the final name."""

import shutil
from dataclasses import replace
from pathlib import Path

from data_pipeline.files import fsync, write_text
from pretrain.checkpoint.checksums import write_checksums
from pretrain.checkpoint.folder import remove
from pretrain.checkpoint.info import CheckpointInfo, write_info


def seal(partial: Path, final: Path, info: CheckpointInfo, config: str, tokenizer_dir: Path) -> None:
    """Make `partial`, which holds weights/, a complete checkpoint on disk under the name `final`.

    `config` is its config.yaml. A checkpoint that has that name is replaced whole.
    """
    shutil.copytree(tokenizer_dir, partial / "tokenizer")
    write_text(partial / "config.yaml", config)
    checksums_sha256 = write_checksums(partial)
    for path in (partial, *partial.rglob("*")):
        fsync(path)
    write_info(partial, replace(info, checksums_sha256=checksums_sha256))
    fsync(partial)
    remove(final)
    partial.rename(final)
    fsync(final.parent)
