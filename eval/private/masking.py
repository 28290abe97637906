"""Masked language modelling of one window: which pieces are predicted, and what stands in their place (Devlin 2019)."""

from dataclasses import dataclass

import numpy as np

_TO_MASK, _TO_OTHER = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class MaskedWindow:
    input_ids: np.ndarray
    """[length], special pieces included, some of them replaced."""
    places: np.ndarray
    """[predicted]: positions, in order."""
    targets: np.ndarray
    """[predicted]: what stood there."""


@dataclass(frozen=True)
class Masking:
    cls_id: int
    sep_id: int
    mask_id: int
    vocab_size: int
    share: float

    def __call__(self, pieces: np.ndarray, rng: np.random.Generator) -> MaskedWindow:
        """Mask `share` of `pieces`, one at least: 80% become the mask piece, 10% any other piece, 10% stay."""
        ids = np.concatenate(([self.cls_id], pieces, [self.sep_id])).astype(np.int64)
        count = max(1, round(self.share * len(pieces)))
        places = 1 + np.sort(rng.choice(len(pieces), size=count, replace=False))
        targets = ids[places]
        coins = rng.random(count)
        others = rng.integers(self.vocab_size, size=count)
        kept = np.where(coins < _TO_MASK + _TO_OTHER, others, targets)
        ids[places] = np.where(coins < _TO_MASK, self.mask_id, kept)
        return MaskedWindow(ids, places, targets)
