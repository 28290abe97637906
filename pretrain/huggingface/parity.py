"""How far the exported model's logits are from the training model's, on the same tokens.

Pieces of held-out text, masked as in training, go through the training model in one packed row and through the Hugging
Face model one at a time; where the tokens are not at hand, seeded random ids and lengths do. Both models run in fp32
with the same weights; what remains is the order of sums. The training model's logits are taken first, so that the two
models need not be in memory together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from launch.attention.long_form import attention_window
from launch.errors import NotemillError
from pretrain.data.batch import Batch
from pretrain.model.bert import MegatronBert

TOLERANCE = 1e-4
NUM_PIECES = 8

Piece = tuple[torch.Tensor, torch.Tensor]
"""Ids and token types, [tokens] int64 each."""


@dataclass(frozen=True)
class Logits:
    """The training model's, of all pieces one after another."""

    words: torch.Tensor
    """[tokens, vocabulary] fp32."""
    order: torch.Tensor
    """[pieces, 2] fp32."""


def exported_model(hf_dir: Path) -> Any:
    """The model of an exported folder, as stock transformers loads it, with a long model's own code."""
    from transformers import MegatronBertConfig

    config = MegatronBertConfig.from_pretrained(hf_dir, local_files_only=True)
    return load_reference(hf_dir, config, local_files_only=True)


def load_reference(source: Path | None, config: Any, **settings: Any) -> Any:
    """A MegatronBertForPreTraining in fp32 with eager attention, or with a sliding window where `config` has one."""
    from transformers import MegatronBertForPreTraining

    if attention_window(config) is None:
        return MegatronBertForPreTraining.from_pretrained(
            source, config=config, dtype=torch.float32, attn_implementation="eager", **settings
        )
    from launch.attention.modeling_sliding_window import SlidingWindowMegatronBertForPreTraining
    from launch.attention.self_attention import SLIDING_WINDOW

    return SlidingWindowMegatronBertForPreTraining.from_pretrained(
        source, config=config, dtype=torch.float32, attn_implementation=SLIDING_WINDOW, **settings
    )


def random_pieces(vocab_size: int, max_length: int, count: int = NUM_PIECES) -> list[Piece]:
    """Seeded random ids; the longest length is always among them, as its last positions break first."""
    generator = torch.Generator().manual_seed(0)
    pieces = []
    for index in range(count):
        length = max_length if index == 0 else int(torch.randint(4, max_length + 1, (1,), generator=generator))
        ids = torch.randint(0, vocab_size, (length,), generator=generator)
        pieces.append((ids, (torch.arange(length) >= length // 2).long()))
    return pieces


def held_out_pieces(tokens_dir: Path, tokenizer_dir: Path, seq_len: int, count: int = NUM_PIECES) -> list[Piece]:
    """Masked pieces of held-out rows; none where the tokens are not there, are others' or hold no held-out text."""
    from pretrain.data.loader import PackedLoader

    try:
        loader = PackedLoader(tokens_dir, tokenizer_dir, seq_len=seq_len, seed=0)
    except NotemillError:
        return []
    pieces: list[Piece] = []
    for batch in loader.iter_validation(1, 0, 1, max_rows=count):
        bounds = batch.cu_seqlens.tolist()
        for begin, end in pairwise(bounds):
            # The row's padding is a segment as well.
            if begin < batch.num_real_tokens and len(pieces) < count:
                pieces.append((batch.input_ids[0, begin:end], batch.token_type_ids[0, begin:end]))
    return pieces


@torch.no_grad()
def training_logits(chunk: MegatronBert, pieces: Sequence[Piece]) -> Logits:
    """What the training model, whole and in fp32, says of every token of `pieces`."""
    chunk.eval()
    words, order = chunk(_as_one_row(pieces))
    return Logits(words[:, 0], order)


@torch.no_grad()
def measure_parity(ours: Logits, pieces: Sequence[Piece], reference: Any) -> dict[str, Any]:
    """Largest absolute difference of language-model and sentence-order logits, and what it was measured on.

    `reference` is what `load_reference` gives; its vocabulary may have other padding.
    """
    reference.eval()
    of_words, of_order = [], []
    offset = 0
    for index, (ids, types) in enumerate(pieces):
        expected = reference(input_ids=ids[None], token_type_ids=types[None])
        theirs = expected.prediction_logits[0]
        pieces_of_both = min(theirs.shape[1], ours.words.shape[1])
        difference = ours.words[offset : offset + len(ids), :pieces_of_both] - theirs[:, :pieces_of_both]
        of_words.append(difference.abs().max())
        of_order.append((ours.order[index] - expected.seq_relationship_logits[0]).abs().max())
        offset += len(ids)
    # torch's maximum keeps a NaN, which Python's may lose.
    largest_logit = ours.words.abs().max().item()
    return {
        "max_abs_logit_difference": torch.stack(of_words + of_order).max().item(),
        "max_abs_mlm_logit_difference": torch.stack(of_words).max().item(),
        "max_abs_sop_logit_difference": torch.stack(of_order).max().item(),
        "max_abs_mlm_logit": largest_logit,
        # Logits of a trained model may be large, and fp32 keeps seven digits.
        "tolerance": TOLERANCE * max(1.0, largest_logit),
        "pieces": len(pieces),
        "tokens": offset,
        "dtype": "float32",
    }


def require_parity(parity: dict[str, Any], what: str) -> None:
    """Raise NotemillError where the difference is not within tolerance; `what` differs from what, in words."""
    difference, tolerance = parity["max_abs_logit_difference"], parity["tolerance"]
    if not difference <= tolerance:  # NaN is not.
        raise NotemillError(
            f"{what} by {difference:.1e}, over the tolerance of {tolerance:.1e}; nothing was written: please report "
            "this with the model's configuration."
        )


def _as_one_row(pieces: Sequence[Piece]) -> Batch:
    lengths = torch.tensor([len(ids) for ids, _ in pieces])
    bounds = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    total = int(bounds[-1])
    return Batch(
        input_ids=torch.cat([ids for ids, _ in pieces])[None],
        token_type_ids=torch.cat([types for _, types in pieces])[None],
        position_ids=torch.cat([torch.arange(length) for length in lengths.tolist()])[None],
        cu_seqlens=bounds.int(),
        max_seqlen=int(lengths.max()),
        masked_positions=torch.arange(total),
        masked_labels=torch.zeros(total, dtype=torch.long),
        sequence_starts=bounds[:-1],
        sop_labels=torch.zeros(len(pieces), dtype=torch.long),
        num_real_tokens=total,
    )
