"""How far the exported model's logits are from the training model's, on the same tokens.

Pieces of seeded random ids and lengths go through the training model in one packed row, as in training, and through
the Hugging Face model one at a time. Both run in fp32 with the same weights; what remains is the order of sums.
"""

from pathlib import Path
from typing import Any

import torch

from pretrain.data.batch import Batch
from pretrain.model.bert import MegatronBert

TOLERANCE = 1e-4
NUM_PIECES = 8


def exported_model(hf_dir: Path) -> Any:
    """The model of an exported folder, as stock transformers loads it."""
    from transformers import MegatronBertForPreTraining

    return MegatronBertForPreTraining.from_pretrained(
        hf_dir, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    )


@torch.no_grad()
def measure_parity(chunk: MegatronBert, reference: Any, *, vocab_size: int, max_length: int) -> dict[str, Any]:
    """Largest absolute difference of language-model and sentence-order logits, and what it was measured on.

    `reference` is a MegatronBertForPreTraining in fp32 with eager attention.
    """
    reference.eval()
    pieces = _random_pieces(vocab_size, max_length)
    chunk.eval()
    lm_logits, order_logits = chunk(_as_one_row(pieces))
    largest_lm = largest_order = largest = 0.0
    offset = 0
    for index, (ids, types) in enumerate(pieces):
        expected = reference(input_ids=ids[None], token_type_ids=types[None])
        ours = lm_logits[offset : offset + len(ids), 0]
        largest_lm = max(largest_lm, (ours - expected.prediction_logits[0]).abs().max().item())
        order = (order_logits[index] - expected.seq_relationship_logits[0]).abs().max().item()
        largest_order = max(largest_order, order)
        largest = max(largest, ours.abs().max().item())
        offset += len(ids)
    return {
        "max_abs_logit_difference": max(largest_lm, largest_order),
        "max_abs_mlm_logit_difference": largest_lm,
        "max_abs_sop_logit_difference": largest_order,
        "max_abs_mlm_logit": largest,
        "tolerance": TOLERANCE,
        "pieces": len(pieces),
        "tokens": offset,
        "dtype": "float32",
    }


def _random_pieces(vocab_size: int, max_length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    pieces = []
    for index in range(NUM_PIECES):
        # The longest length is always among them: its last positions are trained least and break first.
        length = max_length if index == 0 else int(torch.randint(4, max_length + 1, (1,), generator=generator))
        ids = torch.randint(0, vocab_size, (length,), generator=generator)
        pieces.append((ids, (torch.arange(length) >= length // 2).long()))
    return pieces


def _as_one_row(pieces: list[tuple[torch.Tensor, torch.Tensor]]) -> Batch:
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
        rows=1,
    )
