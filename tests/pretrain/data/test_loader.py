"""Rows are a function of seed and number, hold every token once an epoch, and are the same for every layout."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from launch.errors import NotemillError
from pretrain.data.batch import Batch
from pretrain.data.loader import PackedLoader

SEQ_LEN = 64
PAD, CLS, SEP, MASK = 0, 2, 3, 4


@pytest.fixture
def tokens(write_tokens, invent_documents) -> Path:
    return write_tokens(
        {
            ("train", "notes"): invent_documents(150, seed=1),
            ("train", "letters"): invent_documents(40, seed=2),
            ("valid", "notes"): invent_documents(20, seed=3),
        }
    )


def make_loader(tokens: Path, **settings) -> PackedLoader:
    settings = {"seq_len": SEQ_LEN, "seed": 7, "pieces_per_window": 200, **settings}
    return PackedLoader(tokens, tokens / "tokenizer", **settings)


def unmasked(batch: Batch) -> np.ndarray:
    ids = batch.input_ids[0].clone()
    ids[batch.masked_positions] = batch.masked_labels
    return ids.numpy()


def texts_in_document_order(batch: Batch) -> list[tuple[int, ...]]:
    """The text of every piece, special tokens removed and swapped halves put back."""
    ids = unmasked(batch)
    label_at = dict(zip(batch.sequence_starts.tolist(), batch.sop_labels.tolist(), strict=True))
    texts = []
    for start, end in zip(batch.cu_seqlens[:-1].tolist(), batch.cu_seqlens[1:].tolist(), strict=True):
        piece = ids[start:end]
        if piece[0] == PAD:
            assert (piece == PAD).all()
            continue
        assert piece[0] == CLS and piece[-1] == SEP
        first, *rest = np.split(piece[1:-1], np.flatnonzero(piece[1:-1] == SEP))
        assert len(rest) == (start in label_at)
        runs = [first, *(run[1:] for run in rest)]
        if label_at.get(start):
            runs.reverse()
        texts.append(tuple(np.concatenate(runs).tolist()))
    return texts


def rows_of(loader: PackedLoader, first: int, count: int) -> list[torch.Tensor]:
    return [loader.batch_of_rows([row]).input_ids[0] for row in range(first, first + count)]


def test_every_token_is_in_an_epoch_exactly_once(write_tokens, invent_documents):
    documents = {name: invent_documents(90, seed=seed) for seed, name in enumerate(("a", "b"))}
    loader = make_loader(write_tokens({("train", name): content for name, content in documents.items()}))
    whole = [tuple(np.concatenate(document).tolist()) for content in documents.values() for document in content]
    for epoch in range(3):
        first = sum(loader.rows_in_epoch(earlier) for earlier in range(epoch))
        texts = texts_in_document_order(loader.batch_of_rows(range(first, first + loader.rows_in_epoch(epoch))))
        assert sum(map(len, texts)) == sum(map(len, whole))
        _assert_pieces_tile_documents(texts, whole)


def _assert_pieces_tile_documents(texts: list[tuple[int, ...]], documents: list[tuple[int, ...]]) -> None:
    """Remove from each document the pieces that begin it until nothing is left of any."""
    waiting = Counter(texts)
    for document in documents:
        position = 0
        while position < len(document):
            candidates = [text for text in waiting if document[position : position + len(text)] == text]
            assert candidates, "a part of a document is in no piece"
            # Random text of a few tokens may begin another document too; the longest match is the document's own.
            text = max(candidates, key=len)
            waiting -= Counter([text])
            position += len(text)
    assert not waiting


def test_ranks_together_see_the_same_rows_for_every_layout(tokens):
    loader = make_loader(tokens)
    for step in (0, 3):
        expected = torch.stack(rows_of(loader, step * 16, 16))
        for dp_size, micro_batch_size in ((1, 4), (2, 4), (4, 2), (4, 4)):
            rows = range(step * 16, step * 16 + 16)
            of_ranks = [
                loader.batches_of_step(rows, micro_batch_size=micro_batch_size, dp_rank=rank, dp_size=dp_size)
                for rank in range(dp_size)
            ]
            seen = [batch.input_ids for micro in zip(*of_ranks, strict=True) for batch in micro]
            assert torch.equal(torch.cat(seen, dim=1).view(16, SEQ_LEN), expected)


def test_any_row_can_be_asked_for_first_also_in_a_later_epoch(tokens):
    straight = make_loader(tokens)
    rows_per_epoch = straight.rows_in_epoch(0)
    rows = rows_of(straight, 0, 2 * rows_per_epoch)
    for row in (rows_per_epoch - 1, rows_per_epoch, 2 * rows_per_epoch - 3):
        assert torch.equal(rows_of(make_loader(tokens), row, 1)[0], rows[row])
    assert not torch.equal(torch.stack(rows[:rows_per_epoch]), torch.stack(rows[rows_per_epoch:]))


def test_seed_decides_the_rows(tokens):
    first, again, other = (torch.stack(rows_of(make_loader(tokens, seed=seed), 0, 8)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shapes_positions_types_and_segments(tokens):
    batch = make_loader(tokens).batch_of_rows(range(40))
    total = 40 * SEQ_LEN
    for name in ("input_ids", "token_type_ids", "position_ids"):
        tensor = getattr(batch, name)
        assert tensor.shape == (1, total) and tensor.dtype == torch.int64
    bounds = batch.cu_seqlens.tolist()
    assert batch.cu_seqlens.dtype == torch.int32 and bounds[0] == 0 and bounds[-1] == total
    assert set(range(0, total, SEQ_LEN)) <= set(bounds), "a segment crosses rows"
    assert batch.max_seqlen == max(np.diff(bounds)) <= SEQ_LEN
    ids = unmasked(batch)
    labelled = set(batch.sequence_starts.tolist())
    for start, end in pairwise(bounds):
        assert batch.position_ids[0, start:end].tolist() == list(range(end - start))
        types = batch.token_type_ids[0, start:end].numpy()
        if start in labelled:
            middle = int(np.flatnonzero(ids[start:end] == SEP)[0])
            assert not types[: middle + 1].any() and types[middle + 1 :].all()
        else:
            assert not types.any()
    assert batch.num_real_tokens == (ids != PAD).sum()
    assert 0.3 < batch.sop_labels.float().mean() < 0.7


def test_masks_are_independent_of_the_micro_batch_and_change_with_the_epoch(tokens):
    loader = make_loader(tokens)
    together = loader.batch_of_rows([5, 6, 7])
    alone = loader.batch_of_rows([6])
    in_row = (together.masked_positions >= SEQ_LEN) & (together.masked_positions < 2 * SEQ_LEN)
    assert torch.equal(together.masked_positions[in_row] - SEQ_LEN, alone.masked_positions)
    assert torch.equal(together.masked_labels[in_row], alone.masked_labels)


def test_rows_are_filled(write_tokens, invent_documents):
    tokens = write_tokens({("train", "notes"): invent_documents(900, mean_sentences=30, mean_length=16)})
    loader = PackedLoader.from_tokens(tokens, seq_len=256, seed=1)
    rows = loader.rows_in_epoch(0)
    batch = loader.batch_of_rows(range(rows))
    assert batch.num_real_tokens / (rows * 256) >= 0.98


def test_weights_repeat_and_halve_sources(write_tokens):
    documents = {
        name: [[np.full(10, base + number)] for number in range(20)] for name, base in (("a", 10), ("b", 40), ("c", 70))
    }
    tokens = write_tokens({("train", name): content for name, content in documents.items()})
    loader = make_loader(tokens, weights={"a": 2, "b": 0.5, "c": 0})
    rows = [loader.rows_in_epoch(0), loader.rows_in_epoch(1)]
    epochs = [
        Counter(text[0] for text in texts_in_document_order(loader.batch_of_rows(range(first, first + count))))
        for first, count in ((0, rows[0]), (rows[0], rows[1]))
    ]
    for epoch in epochs:
        assert all(epoch[10 + number] == 2 for number in range(20))
        assert sum(epoch[40 + number] for number in range(20)) == 10
        assert not any(epoch[70 + number] for number in range(20))
    assert all((epochs[0] + epochs[1])[40 + number] == 1 for number in range(20)), "two halves make one pass"


def test_validation_is_fixed_and_shared_out_without_loss(tokens):
    def held_out(seed: int, dp_size: int, max_rows: int = 0) -> tuple[list[torch.Tensor], list[int], int]:
        loader = make_loader(tokens, seed=seed)
        batches = [list(loader.iter_validation(3, rank, dp_size, max_rows)) for rank in range(dp_size)]
        rows = [row for rank in batches for batch in rank for row in batch.input_ids.view(3, SEQ_LEN)]
        masked = sum(len(batch.masked_positions) for rank in batches for batch in rank)
        return [row for row in rows if row.any()], [len(rank) for rank in batches], masked

    rows, _, masked = held_out(seed=7, dp_size=1)
    for seed, dp_size in ((8, 1), (7, 2), (7, 4)):
        others, batches_of_rank, masked_there = held_out(seed, dp_size)
        assert len(set(batches_of_rank)) == 1, "ranks must make equally many collective calls"
        assert sorted(row.tolist() for row in others) == sorted(row.tolist() for row in rows)
        assert masked_there == masked
    first, _, _ = held_out(7, 2, max_rows=5)
    assert sorted(row.tolist() for row in first) == sorted(row.tolist() for row in rows[:5])


def test_no_held_out_tokens_no_validation(write_tokens, invent_documents):
    loader = make_loader(write_tokens({("train", "notes"): invent_documents(5)}))
    assert list(loader.iter_validation(2, 0, 1)) == []


def test_fingerprint_tells_settings_and_data_apart(tokens, write_tokens, invent_documents):
    fingerprints = {
        make_loader(tokens).fingerprint,
        make_loader(tokens, seed=8).fingerprint,
        make_loader(tokens, seq_len=32).fingerprint,
        make_loader(tokens, mask_probability=0.2).fingerprint,
        make_loader(tokens, weights={"notes": 2.0}).fingerprint,
        make_loader(write_tokens({("train", "notes"): invent_documents(3)}, name="others")).fingerprint,
    }
    assert len(fingerprints) == 6
    assert make_loader(tokens).fingerprint in fingerprints


def test_refusals(tokens, write_tokens, invent_documents, tmp_path):
    other = write_tokens({("train", "notes"): invent_documents(2)}, pieces=[*make_pieces(), "more"], name="other")
    with pytest.raises(NotemillError, match="another tokenizer"):
        PackedLoader(tokens, other / "tokenizer", seq_len=SEQ_LEN, seed=1)
    with pytest.raises(NotemillError, match="no token manifest"):
        PackedLoader.from_tokens(tmp_path / "nothing", seq_len=SEQ_LEN, seed=1)
    with pytest.raises(NotemillError, match=r"source 'faxes'.*letters, notes"):
        make_loader(tokens, weights={"faxes": 1})
    with pytest.raises(NotemillError, match="no tokens of split 'test'"):
        make_loader(tokens, split="test")
    with pytest.raises(NotemillError, match="seq_len 8"):
        make_loader(tokens, seq_len=8)
    with (tokens / "train-notes.bin").open("ab") as stream:
        stream.truncate(100)
    with pytest.raises(NotemillError, match=r"train-notes\.bin has 100 bytes"):
        make_loader(tokens)


def make_pieces() -> list[str]:
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(100))]


def test_without_pairs_every_piece_is_one_run_and_no_token_is_lost(tokens):
    loader = make_loader(tokens, has_pairs=False)
    batch = loader.batch_of_rows(range(loader.rows_in_epoch(0)))
    assert len(batch.sequence_starts) == 0
    assert not batch.token_type_ids.any()
    with_pairs = make_loader(tokens)
    texts = [
        Counter(token for text in texts_in_document_order(epoch) for token in text)
        for epoch in (batch, with_pairs.batch_of_rows(range(with_pairs.rows_in_epoch(0))))
    ]
    assert texts[0] == texts[1]
    assert loader.fingerprint != with_pairs.fingerprint


def test_masking_rate_can_differ_from_step_to_step(tokens):
    loader = make_loader(tokens)
    rates = [
        len(batch.masked_positions) / batch.num_real_tokens
        for batch in (loader.batch_of_rows(range(64), rate) for rate in (0.1, 0.3))
    ]
    assert rates == pytest.approx([0.1, 0.3], abs=0.03)


def test_held_out_tokens_and_pieces_know_their_source(write_tokens, invent_documents):
    # Sources that share no id, so that a token tells where it is from.
    documents = {
        source: [[first + sentence % 45 for sentence in document] for document in invent_documents(12, seed=first)]
        for source, first in (("a", 5), ("b", 50))
    }
    splits = {("valid", source): content for source, content in documents.items()}
    loader = make_loader(write_tokens({("train", "a"): documents["a"], **splits}))
    assert loader.sources_of("valid") == ["a", "b"]
    for batch in loader.iter_validation(4, 0, 1):
        assert torch.equal(batch.masked_sources, (batch.masked_labels >= 50).long())
        ids = torch.from_numpy(unmasked(batch))
        assert torch.equal(batch.order_sources, (ids[batch.sequence_starts + 1] >= 50).long())
    assert loader.batch_of_rows([0]).masked_sources is None
