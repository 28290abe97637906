"""Text to sentences of ids.

WordPiece two to three times faster than by handing sentences to the tokenizer: BERT's normalizer and pre-tokenizer look
at one character at a time and placeholders hold no space, so the ids of a sentence are those of its space-separated
chunks one after another. The tokenizer itself encodes each different chunk once; notes repeat theirs hundreds of times.
tests/tokenizer/test_encoding.py holds this to be the same on any Unicode.

Where space is part of the pieces (bytebpe, sentencepiece) a sentence is encoded with the white space before it, so a
word has the same pieces at a sentence's start as within one, and a note's ids one after another decode to the note but
for white space at its ends. A tokenizer that puts a space before every text itself gets the bare sentence.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np
from tokenizers import Tokenizer

from tokenizer.kinds import kind_of, word_joins
from tokenizer.sentences import split_sentences

_MAX_CHUNKS_KEPT = 1_000_000
"""About 300 MB."""
_MARK = "~"
"""To BERT's pre-tokenizer a word of its own."""
# Space to Python, but deleted by BERT's normalizer, which thereby joins what stands around it.
_DELETED_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85]")


class SentenceEncoder:
    """Splits texts into sentences and encodes them without special tokens."""

    def __init__(self, tokenizer: Tokenizer, max_sentence_tokens: int) -> None:
        # Notes may hold "[SEP]" or "[MASK]" as text: that must not become a special token.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._max_tokens = max_sentence_tokens
        numbers = tokenizer.get_vocab(with_added_tokens=True)
        pieces = [""] * (1 + max(numbers.values()))
        for piece, number in numbers.items():
            pieces[number] = piece
        self._continues, self._is_continuable = word_joins(pieces, kind_of(tokenizer))
        self._by_chunks = is_bert(tokenizer)
        self._with_space = not begins_words_alike(tokenizer)
        self._ids_of_chunk: dict[str, bytes] = {}

    def encode_notes(self, texts: Sequence[str]) -> Iterator[list[np.ndarray]]:
        """For each text its sentences, overlong ones in parts; what encodes to nothing is left out."""
        spans = [split_sentences(text) for text in texts]
        if self._with_space:
            spans = [_with_space_before(of_text) for of_text in spans]
        sentences = [text[start:end] for text, of_text in zip(texts, spans, strict=True) for start, end in of_text]
        encoded = self.encode(sentences)
        for of_text in spans:
            whole = list(islice(encoded, len(of_text)))
            lengths = [*map(len, whole)]
            if not whole or (min(lengths) > 0 and max(lengths) <= self._max_tokens):
                yield whole
            else:
                yield [part for ids in whole for part in self._cut(ids)]

    def encode(self, sentences: Sequence[str]) -> Iterator[np.ndarray]:
        """The ids of each sentence, int32."""
        if not self._by_chunks:
            for encoding in self._tokenizer.encode_batch_fast(list(sentences), add_special_tokens=False):
                yield np.array(encoding.ids, np.int32)
            return
        if len(self._ids_of_chunk) > _MAX_CHUNKS_KEPT:
            self._ids_of_chunk.clear()
        if _DELETED_SPACE.search("".join(sentences)):
            chunks = [[text] if _DELETED_SPACE.search(text) else text.split() for text in sentences]
        else:
            chunks = [*map(str.split, sentences)]
        new = [*set(chain.from_iterable(chunks)).difference(self._ids_of_chunk)]
        # Chunks with the mark in them apart, so that the others can be encoded together.
        for some in ([chunk for chunk in new if _MARK not in chunk], [chunk for chunk in new if _MARK in chunk]):
            self._ids_of_chunk.update(zip(some, self._encode_chunks(some), strict=True))
        ids_of_chunk = self._ids_of_chunk.__getitem__
        for of_sentence in chunks:
            # Joining bytes is several times faster than chaining lists.
            yield np.frombuffer(b"".join(map(ids_of_chunk, of_sentence)), np.int32)

    def _encode_chunks(self, chunks: Sequence[str]) -> list[bytes]:
        """The ids of each chunk, as int32."""
        joined = self._encode_joined(chunks)
        if joined is not None:
            return joined
        encodings = self._tokenizer.encode_batch_fast(list(chunks), add_special_tokens=False)
        return [array("i", encoding.ids).tobytes() for encoding in encodings]

    def _encode_joined(self, chunks: Sequence[str]) -> list[bytes] | None:
        """The same by one call on all of them with a mark between, several times faster than one by one.

        None where the mark is no piece of its own, or comes out more often than it was put in.
        """
        text = f" {_MARK} ".join(chunks)
        if text.count(_MARK) != len(chunks) - 1:
            return None
        (mark,) = self._tokenizer.encode_batch_fast([_MARK], add_special_tokens=False)
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        if len(mark.ids) != 1:
            return None
        ids = np.array(encoding.ids, np.int32)
        marks = np.flatnonzero(ids == mark.ids[0])
        if len(marks) != len(chunks) - 1:
            return None
        data, ends = ids.tobytes(), (4 * marks).tolist()
        return [data[start:end] for start, end in zip([0, *(end + 4 for end in ends)], [*ends, len(data)], strict=True)]

    def _cut(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """The sentence in parts that are not too long and begin with a word, unless a word is too long itself."""
        start = 0
        while len(ids) - start > self._max_tokens:
            end = start + self._max_tokens
            while end > start and self._continues[ids[end]] and self._is_continuable[ids[end - 1]]:
                end -= 1
            end = end if end > start else start + self._max_tokens
            yield ids[start:end]
            start = end
        if start < len(ids):
            yield ids[start:]


def is_bert(tokenizer: Tokenizer) -> bool:
    """Whether normalizer and pre-tokenizer are BERT's."""
    makers = (type(tokenizer.normalizer).__name__, type(tokenizer.pre_tokenizer).__name__)
    return makers == ("BertNormalizer", "BertPreTokenizer")


def begins_words_alike(tokenizer: Tokenizer) -> bool:
    """Whether a word has the same pieces at the start of a text as behind a space."""
    one, two = tokenizer.encode_batch(["a", "a a"], add_special_tokens=False)
    return list(two.ids) == [*one.ids, *one.ids]


def _with_space_before(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, each but the first from where the one before ended."""
    starts = [start for start, _ in spans[:1]] + [end for _, end in spans[:-1]]
    return [(start, end) for start, (_, end) in zip(starts, spans, strict=True)]
