"""What a tokenizer does to held-out notes: a few numbers that show a bad one before weeks are spent on it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from data_pipeline.files import sha256_file, write_json
from data_pipeline.manifest import MANIFEST_NAME, attested_corpus, iter_batches
from launch.console import track
from launch.errors import NotemillError
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.wordpiece import build_tokenizer, placeholder_pieces

REPORT_NAME = "report.json"
HELD_OUT_SPLITS = ("valid", "test")
_NUMBERS_TRIED = ("7", "98", "120", "1998", "3.1", "120/80", "20mg")
_UNUSED = "[unused"


@dataclass
class _Tally:
    """Counts over the words of some notes; a word is what stands between spaces and punctuation."""

    words: int = 0
    pieces: int = 0
    whole_words: int = 0
    unknown_words: int = 0
    notes: int = 0

    def add(self, other: "_Tally") -> None:
        self.words += other.words
        self.pieces += other.pieces
        self.whole_words += other.whole_words
        self.unknown_words += other.unknown_words
        self.notes += other.notes

    def summary(self) -> dict[str, float | int]:
        words = max(1, self.words)
        return {
            "notes": self.notes,
            "words": self.words,
            "pieces_per_word": round(self.pieces / words, 4),
            "whole_word_share": round(self.whole_words / words, 4),
            "unknown_word_share": round(self.unknown_words / words, 6),
        }


@dataclass
class _WordCounter:
    """Tallies texts; each different word is encoded once."""

    tokenizer: Tokenizer
    _lengths: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def tally(self, texts: list[str]) -> _Tally:
        words = Counter(word for text in texts for word in self._words(text))
        new = [word for word in words if word not in self._lengths]
        unknown = self.tokenizer.token_to_id("[UNK]")
        for word, encoding in zip(new, self.tokenizer.encode_batch_fast(new, add_special_tokens=False), strict=True):
            self._lengths[word] = (len(encoding.ids), unknown in encoding.ids)
        tally = _Tally(notes=len(texts))
        for word, count in words.items():
            num_pieces, is_unknown = self._lengths[word]
            tally.words += count
            tally.pieces += count * num_pieces
            tally.whole_words += count * (num_pieces == 1 and not is_unknown)
            tally.unknown_words += count * is_unknown
        return tally

    def _words(self, text: str) -> Iterator[str]:
        normalizer, splitter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            yield word


def report_tokenizer(
    tokenizer_dir: Path, corpus_dir: Path, *, against: Path | None = None, max_notes: int = 5_000
) -> dict[str, Any]:
    """Measure on the valid and test splits, at most `max_notes` notes of each, and write report.json beside the files.

    `against` is another cased WordPiece vocabulary (a vocab.txt or a folder with one) to count pieces a word with.
    """
    manifest = read_tokenizer_manifest(tokenizer_dir)
    attested_corpus(corpus_dir)
    tokenizer = load_tokenizer(tokenizer_dir)
    texts_of_type: dict[str, list[str]] = {}
    for split in HELD_OUT_SPLITS:
        for note_type, text in _notes(corpus_dir, split, max_notes):
            texts_of_type.setdefault(note_type, []).append(text)
    if not texts_of_type:
        raise NotemillError(f"the corpus {corpus_dir} has no held-out notes; build it with split.valid above 0.")
    report: dict[str, Any] = {
        "version": 1,
        "fingerprint": manifest["fingerprint"],
        "corpus_manifest_sha256": sha256_file(corpus_dir / MANIFEST_NAME),
        "is_training_corpus": manifest["corpus_manifest_sha256"] == sha256_file(corpus_dir / MANIFEST_NAME),
        "vocab_size": manifest["vocab_size"],
        "unused_pieces": sum(piece.startswith(_UNUSED) for piece in tokenizer.get_vocab(with_added_tokens=True)),
        **_measure(tokenizer, texts_of_type),
        "placeholders_in_one_piece": _check_placeholders(tokenizer),
        "numbers": {number: tokenizer.encode(number, add_special_tokens=False).tokens for number in _NUMBERS_TRIED},
    }
    if against is not None:
        other = _measure(_other_tokenizer(against), texts_of_type)["all"]
        fewer = 1 - report["all"]["pieces_per_word"] / other["pieces_per_word"]
        report["against"] = {"vocabulary": str(against), **other, "fewer_pieces_share": round(fewer, 4)}
    write_json(tokenizer_dir / REPORT_NAME, report)
    return report


def _measure(tokenizer: Tokenizer, texts_of_type: dict[str, list[str]]) -> dict[str, Any]:
    counter, total, by_type = _WordCounter(tokenizer), _Tally(), {}
    for note_type in track(sorted(texts_of_type), "counting pieces"):
        tally = counter.tally(texts_of_type[note_type])
        by_type[note_type] = tally.summary()
        total.add(tally)
    return {"all": total.summary(), "by_note_type": by_type}


def _check_placeholders(tokenizer: Tokenizer) -> bool:
    """Every placeholder is one token inside text and survives decoding without special tokens."""
    for piece in placeholder_pieces():
        encoding = tokenizer.encode(f"seen by {piece}, then")
        if encoding.tokens.count(piece) != 1 or piece not in tokenizer.decode(encoding.ids, skip_special_tokens=True):
            return False
    return True


def _notes(corpus_dir: Path, split: str, max_notes: int) -> Iterator[tuple[str, str]]:
    left = max_notes
    for batch in iter_batches(corpus_dir, split, ("note_type", "text")):
        pairs = zip(batch.column("note_type").to_pylist(), batch.column("text").to_pylist(), strict=True)
        for pair in pairs:
            if not left:
                return
            left -= 1
            yield pair


def _other_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer with our placeholders over another vocabulary."""
    file = path / "vocab.txt" if path.is_dir() else path
    try:
        pieces = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise NotemillError(f"cannot read a vocabulary from {file}; give a vocab.txt with one piece a line.") from None
    missing = [piece for piece in ("[UNK]", "[CLS]", "[SEP]") if piece not in pieces]
    if missing:
        raise NotemillError(f"{file} lacks {', '.join(missing)}, so it is no WordPiece vocabulary of BERT.")
    return build_tokenizer(list(dict.fromkeys(pieces)))
