"""Position embeddings for longer inputs than a model was trained on."""

import torch

from launch.errors import NotemillError


def require_no_cut(positions: int, wanted: int) -> None:
    """Raise NotemillError where fewer positions are asked for than the model has."""
    if wanted < positions:
        raise NotemillError(
            f"--max-positions {wanted} would cut off {positions - wanted} of the {positions} positions that the model "
            f"has; leave it out and train on shorter rows with train.seq_len={wanted}."
        )


def tile_positions(weight_PH: torch.Tensor, positions: int) -> torch.Tensor:
    """[positions, H]: the embeddings that are there, over and over, the last copy cut where it must be.

    As in "Longformer: The Long-Document Transformer" (Beltagy, Peters and Cohan, 2020, section 5), which copied
    RoBERTa's 512 until 4,096 were full: neighbours stay neighbours everywhere but at the seams, and little training
    mends these. Inputs that fit the old length see what they saw.
    """
    return weight_PH[torch.arange(positions) % weight_PH.shape[0]]
