"""CoNLL columns and the tag schemes of the field; entities are those that seqeval finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from eval.formats import load_dataset, read_predictions, write_predictions
from launch.errors import NotemillError

TAGS = st.sampled_from(["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"])


def words_and_labels(document):
    starts = [start for start, _ in document.tokens]
    ends = [end for _, end in document.tokens]
    return [(e.label, starts.index(e.start), ends.index(e.end)) for e in document.entities]


@given(st.lists(TAGS, min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_entities_are_those_of_seqeval(tmp_path_factory, tags):
    path = tmp_path_factory.mktemp("conll") / "test.tsv"
    path.write_text("".join(f"w{index}\t{tag}\n" for index, tag in enumerate(tags)))
    (document,) = load_dataset("ner", f"conll:{path}").splits["test"]
    assert words_and_labels(document) == get_entities(tags)
    assert document.text == " ".join(f"w{index}" for index in range(len(tags)))


def test_columns_spaces_and_document_marks(tmp_path):
    path = tmp_path / "test.conll"
    path.write_bytes(b"\xef\xbb\xbf-DOCSTART- -X- O\r\n\r\nhigh JJ B-P\r\nfever NN I-P\r\n\r\n\r\nnone NN O\r\n")
    first, second = load_dataset("ner", f"conll:{path}").splits["test"]
    assert (first.text, first.tokens) == ("high fever", ((0, 4), (5, 10)))
    assert words_and_labels(first) == [("P", 0, 1)]
    assert second.entities == ()


def test_predictions_come_back_equal(tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("a\tB-A\nb\tB-A\nc\tI-A\n\nd\tO\ne\tI-B\n")
    dataset = load_dataset("ner", f"conll:{path}")
    gold = list(dataset.splits["test"])
    assert read_predictions("ner", "conll", write_predictions(dataset, "test", gold, tmp_path / "out"), gold) == gold


@pytest.mark.parametrize(("content", "problem"), [("a\tO\nsecret\n", "one column"), ("a\tO\nsecret\tB\n", "no tag")])
def test_a_broken_line_is_named_by_number_and_not_shown(tmp_path, content, problem):
    path = tmp_path / "test.tsv"
    path.write_text(content)
    with pytest.raises(NotemillError, match=f"line 2.*{problem}") as refused:
        load_dataset("ner", f"conll:{path}")
    assert "secret" not in str(refused.value)


def test_a_token_may_hold_a_no_break_space(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("a\u00a0b O\nc  B-X\n\u00a0 I-X\n")
    (document,) = load_dataset("ner", f"conll:{path}").splits["test"]
    assert [document.text[start:end] for start, end in document.tokens] == ["a\u00a0b", "c", "\u00a0"]
    assert [(entity.start, entity.end) for entity in document.entities] == [(4, 7)]
