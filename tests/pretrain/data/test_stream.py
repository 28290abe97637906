"""The stream of rows as properties, over invented token folders, seeds, weights and layouts."""

from collections import Counter
from threading import Thread

import numpy as np
import pytest
import torch

from launch.errors import NotemillError
from pretrain.data.batch import Batch
from pretrain.data.loader import PackedLoader
from pretrain.data.plan import RowPlan, WindowStart
from tests.pretrain.invented_tokens import FIRST_TEXT_ID, LAST_TEXT_ID

SEQ_LEN = 64
SOURCES = ("notes", "letters", "faxes")
COUNT_IDS = LAST_TEXT_ID - FIRST_TEXT_ID + 1


@pytest.fixture(params=range(6))
def case(request, write_tokens, invent_documents):
    """A random generator and a folder of one to three sources, notes short or long, sentences short or over-long."""
    rng = np.random.default_rng(request.param)
    content = {
        ("train", source): invent_documents(
            int(rng.integers(20, 80)), rng.uniform(1.5, 30), rng.choice([5, 14, 60]), seed=int(rng.integers(1_000))
        )
        for source in SOURCES[: rng.integers(1, 4)]
    }
    return rng, write_tokens(content), content


def loader_of(tokens, **settings) -> PackedLoader:
    settings = {"seq_len": SEQ_LEN, "seed": 7, "pieces_per_window": 60, **settings}
    return PackedLoader(tokens, tokens / "tokenizer", **settings)


def text_ids(batch: Batch) -> np.ndarray:
    """All tokens of text, masks taken off."""
    ids = batch.input_ids[0].clone()
    ids[batch.masked_positions] = batch.masked_labels
    return ids[ids >= FIRST_TEXT_ID].numpy()


def epoch_of(loader: PackedLoader, epoch: int) -> Batch:
    first = sum(loader.rows_in_epoch(earlier) for earlier in range(epoch))
    return loader.batch_of_rows(range(first, first + loader.rows_in_epoch(epoch)))


def planned_tokens(plan: RowPlan, epoch: int, sizes: list[int]) -> list[np.ndarray]:
    """For each source how often the epoch's rows hold each of its tokens, by their places in the index."""
    times = [np.zeros(size + 1, np.int64) for size in sizes]
    for number in range(plan.windows_per_epoch):
        window = plan.plan(epoch, number)
        ends = window.start + window.first_len + window.second_len
        for source, of_source in enumerate(times):
            mine = window.source == source
            np.add.at(of_source, window.start[mine], 1)
            np.add.at(of_source, ends[mine], -1)
    return [np.cumsum(of_source)[:-1] for of_source in times]


def test_no_token_is_lost_and_none_comes_twice_in_an_epoch(case):
    rng, tokens, content = case
    loader = loader_of(tokens, seed=int(rng.integers(2**31)))
    whole = np.concatenate([sentence for documents in content.values() for note in documents for sentence in note])
    expected = np.bincount(whole, minlength=COUNT_IDS)
    for epoch in (0, 1, 5):
        sizes = [len(index.tokens) for index in loader._indexes]
        assert all((times == 1).all() for times in planned_tokens(loader._plan, epoch, sizes))
    # And the rows hold what was planned.
    np.testing.assert_array_equal(np.bincount(text_ids(epoch_of(loader, 1)), minlength=COUNT_IDS), expected)


def test_ranks_taken_together_see_one_stream_and_no_row_twice(case):
    rng, tokens, _ = case
    loader = loader_of(tokens)
    first, total = int(rng.integers(0, 2 * loader.rows_in_epoch(0))), 8
    straight = [loader.batch_of_rows([row]).input_ids[0].tolist() for row in range(first, first + total)]
    for dp_size in (1, 2, 4):
        rows = range(first, first + total)
        of_ranks = [
            loader_of(tokens).batches_of_step(rows, micro_batch_size=2, dp_rank=rank, dp_size=dp_size)
            for rank in range(dp_size)
        ]
        micro_batches = [batch for micro in zip(*of_ranks, strict=True) for batch in micro]
        seen = [row for batch in micro_batches for row in batch.input_ids.view(2, SEQ_LEN).tolist()]
        assert seen == straight


def test_a_start_gives_the_rows_and_masks_of_a_straight_run_and_plans_one_window(case, monkeypatch):
    rng, tokens, _ = case
    straight = loader_of(tokens)
    row = int(rng.integers(straight.rows_in_epoch(0), 3 * straight.rows_in_epoch(0)))
    start = straight.start_of(row)
    assert start.first_row <= row
    planned = []
    real = RowPlan.plan
    monkeypatch.setattr(RowPlan, "plan", lambda self, *window: planned.append(window) or real(self, *window))
    resumed = loader_of(tokens)
    resumed.start_at(start)
    ours, theirs = resumed.batch_of_rows([row]), straight.batch_of_rows([row])
    assert planned[0] == divmod(start.window, resumed.windows_per_epoch)
    assert set(planned) == {planned[0]}, "no other window than the row's own is planned"
    for name in ("input_ids", "masked_positions", "masked_labels", "sop_labels", "cu_seqlens"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))
    later = [row, row + 40, row + 1]
    assert torch.equal(resumed.batch_of_rows(later).input_ids, straight.batch_of_rows(later).input_ids)
    # A row before the start is still found, by counting.
    assert torch.equal(resumed.batch_of_rows([0]).input_ids, straight.batch_of_rows([0]).input_ids)


def test_any_window_of_any_epoch_can_be_begun_with_and_reads_alike_under_any_number(case):
    rng, tokens, _ = case
    one, other = loader_of(tokens), loader_of(tokens)
    window = int(rng.integers(10**9))
    one.start_at(WindowStart(window, 0))
    other.start_at(WindowStart(window, 123_456_789))
    ours, theirs = one.batch_of_rows(range(9)), other.batch_of_rows(range(123_456_789, 123_456_798))
    assert torch.equal(ours.input_ids, theirs.input_ids)
    assert torch.equal(ours.masked_positions, theirs.masked_positions)


def test_weights_give_each_document_its_share(write_tokens):
    """Over as many epochs as make a whole number of passes every document comes equally often, in each source."""
    rng = np.random.default_rng(3)
    content = {
        ("train", source): [[np.full(rng.integers(1, 9), 5 + number)] for number in range(40)] for source in SOURCES
    }
    tokens = write_tokens(content)
    weights = {"notes": 1.75, "letters": 0.25, "faxes": 3.0}
    loader = loader_of(tokens, weights=weights)
    names = sorted(SOURCES)
    sizes = [len(index.tokens) for index in loader._indexes]
    times = [sum(planned_tokens(loader._plan, epoch, sizes)[source] for epoch in range(4)) for source in range(3)]
    for name, of_source in zip(names, times, strict=True):
        assert (of_source == 4 * weights[name]).all()
    shares = np.array([of_source.sum() for of_source in times]) / sum(of_source.sum() for of_source in times)
    expected = np.array([size * weights[name] for name, size in zip(names, sizes, strict=True)])
    np.testing.assert_allclose(shares, expected / expected.sum(), rtol=0, atol=1e-12)


def test_sources_are_mixed_within_windows(write_tokens, invent_documents):
    tokens = write_tokens({("train", source): invent_documents(400, seed=n) for n, source in enumerate(SOURCES)})
    loader = loader_of(tokens, pieces_per_window=300)
    windows = [loader._plan.plan(0, number) for number in range(loader.windows_per_epoch)]
    assert len(windows) >= 4
    for window in windows:
        tokens_of = Counter()
        for source, count in zip(window.source.tolist(), (window.first_len + window.second_len).tolist(), strict=True):
            tokens_of[source] += count
        assert all(0.2 < tokens_of[source] / sum(tokens_of.values()) < 0.5 for source in range(3))


def test_weights_that_leave_nothing_are_refused(write_tokens, invent_documents):
    tokens = write_tokens({("train", "notes"): invent_documents(2)})
    with pytest.raises(NotemillError, match=r"no tokens of split 'train' at the weights \{'notes': 0.1\}"):
        loader_of(tokens, weights={"notes": 0.1})


def test_rows_of_512_are_full(write_tokens, invent_documents):
    for name, mean_sentences, mean_length in (("short", 6, 12), ("long", 60, 18)):
        documents = invent_documents(60_000 // mean_sentences, mean_sentences, mean_length)
        tokens = write_tokens({("train", "notes"): documents}, name=name)
        loader = PackedLoader.from_tokens(tokens, seq_len=512, seed=1)
        rows = loader.rows_in_epoch(0)
        assert loader.batch_of_rows(range(rows)).num_real_tokens / (rows * 512) >= 0.98


def test_two_threads_count_no_window_twice(case):
    _, tokens, _ = case
    expected, shared = loader_of(tokens), loader_of(tokens)
    rows = range(0, 3 * expected.rows_in_epoch(0), 2)
    threads = [Thread(target=lambda: [shared.start_of(row) for row in rows]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [shared.start_of(row) for row in rows] == [expected.start_of(row) for row in rows]
