"""Sharded checkpoints that any layout can load: RUN/checkpoints/step-%08d/.

    weights/         what the engine saved: model, fp32 masters, moments; of an import the model in fp32
    tokenizer/       the tokenizer that the tokens were built with
    config.yaml      the run's resolved configuration
    checksums.json   size and SHA-256 of every file above
    checkpoint.json  step, rows and tokens seen, vocabulary, fingerprints; written last

All of it is written in a folder with a temporary name, which is renamed when it is complete: a kill at any moment
leaves either a whole checkpoint or none under the final name. Beside the folders stand two links: `latest` to the
newest complete checkpoint and, with `checkpoint.keep_best`, `best` to the one with the lowest held-out loss.
"""

from pretrain.checkpoint.folder import candidates, complete_checkpoints, folder_of
from pretrain.checkpoint.info import MARKER, VERSION, CheckpointInfo, read_info

__all__ = ["MARKER", "VERSION", "CheckpointInfo", "candidates", "complete_checkpoints", "folder_of", "read_info"]
