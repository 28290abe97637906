import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tokenizer.encoding import SentenceEncoder
from tokenizer.folder import load_tokenizer

_ODD = st.text(
    st.sampled_from(
        "aB3~ \t\n\r\x0b\x0c\x1c\x1f\x85\u00a0\u2003\u2028\u200b\u3000é\u0301µ中日[]*#.,'’…\x00\ufffd\ufeff\u00ad🙂ǅßİ"
    ),
    max_size=30,
)
_WORDS = st.lists(
    st.sampled_from(
        [
            "[**NAME**]",
            "[**DATE**]th",
            "[SEP]",
            "[MASK]",
            "[unused0]",
            "##a",
            "25mg",
            "12/80",
            "The",
            "denies",
            "x" * 101,
        ]
    ),
    max_size=8,
)


def plainly(tokenizer: Tokenizer, text: str) -> list[int]:
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


@settings(max_examples=400, deadline=None)
@given(texts=st.lists(_ODD | st.text(max_size=40) | _WORDS.map(" ".join) | _WORDS.map("".join), max_size=5))
def test_ids_are_those_of_the_tokenizer_on_any_text(trained_tokenizer, texts):
    encoder = SentenceEncoder(trained_tokenizer, 256)
    assert [ids.tolist() for ids in encoder.encode(texts)] == [plainly(trained_tokenizer, text) for text in texts]


def test_special_tokens_in_a_note_are_text(trained):
    tokenizer = load_tokenizer(trained)
    (ids,) = SentenceEncoder(tokenizer, 256).encode(["a [SEP] b [CLS] [MASK] [PAD]"])
    assert not {tokenizer.token_to_id(piece) for piece in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")} & set(ids.tolist())


def test_long_sentences_are_cut_before_words_and_nothing_is_lost(trained):
    tokenizer = load_tokenizer(trained)
    text = "The hyponatremia denies 1234567 furosemide " * 30 + "z" * 90
    (whole,) = SentenceEncoder(tokenizer, 10_000).encode([text])
    (parts,) = SentenceEncoder(tokenizer, 16).encode_notes([text])
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(parts) > 2 and all(0 < len(part) <= 16 for part in parts)
    begins_inside_word = [tokenizer.id_to_token(int(part[0])).startswith("##") for part in parts]
    # Only the word of 90 letters is longer than a part.
    assert sum(begins_inside_word) == sum(begins_inside_word[-8:]) > 0


def test_notes_without_text_have_no_sentences(trained):
    encoder = SentenceEncoder(load_tokenizer(trained), 256)
    assert [len(note) for note in encoder.encode_notes(["", " \n", "\u200b\u00ad", "Pain. None."])] == [0, 0, 0, 2]
