"""From token ids to a checkpoint: the encoder, its packed data, parallel training, checkpoints and export."""
