"""Our reader and writer against Megatron's own."""

import numpy as np
import pytest
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

from launch.errors import NotemillError
from pretrain.data.index import SentenceIndex, read_tokens_manifest
from tokenizer.indexed_dataset import PartWriter, dtype_for, join_parts


@pytest.mark.parametrize("vocab_size", [50_176, 70_000])
def test_pairs_equal_those_of_megatron_byte_for_byte(tmp_path, invent_documents, vocab_size):
    documents = [*invent_documents(30, seed=4), [], *invent_documents(3, seed=5)]
    dtype = dtype_for(vocab_size)
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=dtype.type)
    for document in documents:
        flat = np.concatenate(document) if document else np.empty(0, np.int64)
        builder.add_document(flat, [len(sentence) for sentence in document])
    builder.finalize(str(tmp_path / "theirs.idx"))

    for name, part in (("part-0", documents[:11]), ("part-1", []), ("part-2", documents[11:])):
        with PartWriter(tmp_path / name, dtype) as writer:
            for document in part:
                writer.add_document(document)
    size = join_parts([tmp_path / f"part-{number}" for number in range(3)], tmp_path / "ours", dtype)

    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()
    assert size.documents == len(documents)
    assert size.tokens == sum(len(sentence) for document in documents for sentence in document)
    assert (tmp_path / "ours.bin").stat().st_mode & 0o777 == 0o600


def test_reader_equals_that_of_megatron(tmp_path, invent_documents):
    documents = [[], *invent_documents(20, seed=6)]
    with PartWriter(tmp_path / "part", np.dtype(np.uint16)) as writer:
        for document in documents:
            writer.add_document(document)
    join_parts([tmp_path / "part"], tmp_path / "pair", np.dtype(np.uint16))
    ours, theirs = SentenceIndex(tmp_path / "pair"), IndexedDataset(str(tmp_path / "pair"))

    assert ours.num_documents == len(theirs.document_indices) - 1
    np.testing.assert_array_equal(ours.lengths, theirs.sequence_lengths)
    np.testing.assert_array_equal(ours.document_bounds, theirs.document_indices)
    for number in range(ours.num_documents):
        first, end = theirs.document_indices[number : number + 2]
        sentences = ours.document(number)
        assert len(sentences) == end - first
        # Megatron gives one empty sentence for an empty slice.
        for mine, sentence in zip(sentences, theirs[first:end] if end > first else [], strict=True):
            np.testing.assert_array_equal(mine, sentence)
    starts = ours.token_starts(np.arange(len(theirs)))
    for sentence, start in enumerate(starts):
        np.testing.assert_array_equal(ours.tokens[start : start + ours.lengths[sentence]], theirs[sentence])


def test_an_empty_pair_opens(tmp_path):
    with PartWriter(tmp_path / "part", np.dtype(np.uint16)):
        pass
    join_parts([tmp_path / "part"], tmp_path / "pair", np.dtype(np.uint16))
    index = SentenceIndex(tmp_path / "pair")
    assert index.num_documents == 0 and len(index.tokens) == 0


def test_damaged_files_are_told(write_tokens, invent_documents):
    tokens = write_tokens({("train", "notes"): invent_documents(3)})
    index_file = tokens / "train-notes.idx"
    whole = index_file.read_bytes()
    index_file.write_bytes(b"something else" + whole[14:])
    with pytest.raises(NotemillError, match="no Megatron index"):
        SentenceIndex(tokens / "train-notes")
    index_file.write_bytes(whole[:-8])
    with pytest.raises(NotemillError, match="cut short"):
        SentenceIndex(tokens / "train-notes")
    with pytest.raises(NotemillError, match=rf"train-notes.idx has {len(whole) - 8} bytes"):
        read_tokens_manifest(tokens)
    index_file.unlink()
    with pytest.raises(NotemillError, match=r"train-notes\.idx is missing"):
        read_tokens_manifest(tokens)
    (tokens / "manifest.json").write_text('{"files": []}')
    with pytest.raises(NotemillError, match="is no token manifest"):
        read_tokens_manifest(tokens)
