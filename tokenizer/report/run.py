"""`notemill tokenizer report`: every tokenizer over the same held-out notes, as JSON and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import sha256_file, write_json
from data_pipeline.manifest import MANIFEST_NAME, attested_corpus
from launch.console import track
from launch.errors import NotemillError
from tokenizer.folder import read_tokenizer_manifest
from tokenizer.report.checks import cut_numbers, placeholders_hold, train_again
from tokenizer.report.common_words import MIN_NOTES, MIN_PATIENTS, CommonWords
from tokenizer.report.counts import Column
from tokenizer.report.held_out import HELD_OUT_SPLITS, HeldOut, choose_held_out
from tokenizer.report.opened import open_tokenizer
from tokenizer.report.page import write_page
from tokenizer.report.terms import BUILT_IN, count_terms, read_terms
from tokenizer.report.words import find_words

REPORT_NAME = "report.json"
REPORT_VERSION = 2
SAMPLE_BYTES = 50_000_000
SEED = 1234


def report_tokenizer(
    tokenizer_dir: Path,
    corpus_dir: Path,
    *,
    against: Sequence[Path] = (),
    terms: Path | None = None,
    retrain: bool = False,
    sample_bytes: int = SAMPLE_BYTES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Measure on at most about `sample_bytes` of the valid and test splits; write report.json and report.html.

    `against` are folders of other tokenizers, measured the same way. `retrain` trains once more to compare
    fingerprints. Raises NotemillError for a bad corpus, tokenizer or list of terms.
    """
    if sample_bytes < 1:
        raise NotemillError(f"--sample-bytes is {sample_bytes} and must be at least 1.")
    manifest = read_tokenizer_manifest(tokenizer_dir)
    vocabularies = {"built-in": read_terms(BUILT_IN)} | ({"given": read_terms(terms)} if terms else {})
    ours = open_tokenizer(tokenizer_dir)
    opened = [ours, *(open_tokenizer(path) for path in against)]
    attested_corpus(corpus_dir)
    corpus_sha256 = sha256_file(corpus_dir / MANIFEST_NAME)
    sample = choose_held_out(corpus_dir, sample_bytes, seed)
    again: dict[str, Any] = {"checked": False, "same": None}
    if retrain:
        again = train_again(tokenizer_dir, corpus_dir, manifest)
    columns = [Column(each) for each in opened]
    common = _read(sample, columns)
    measured = [
        {
            "name": column.opened.name,
            "vocab_size": column.opened.tokenizer.get_vocab_size(with_added_tokens=True),
            "kind": type(column.opened.tokenizer.model).__name__,
            **column.summary(common),
            "terms": {name: count_terms(column.opened, of_list) for name, of_list in vocabularies.items()},
            "placeholders_in_one_piece": placeholders_hold(column.opened),
            "numbers": cut_numbers(column.opened),
        }
        for column in columns
    ]
    first, others = measured[0], measured[1:]
    if not first["all"]["words"]:
        raise NotemillError(f"the notes read of {corpus_dir} hold no word; give a larger --sample-bytes.")
    for path, other in zip(against, others, strict=True):
        if not other["all"]["pieces_per_word"]:
            raise NotemillError(f"the tokenizer {path} makes no piece of any word; leave this --against out.")
        other |= {"path": str(path), **_compared(first["all"], other["all"])}
    pieces = ours.tokenizer.get_vocab(with_added_tokens=True)
    report = {
        "version": REPORT_VERSION,
        "fingerprint": manifest["fingerprint"],
        "corpus_manifest_sha256": corpus_sha256,
        "is_training_corpus": manifest["corpus_manifest_sha256"] == corpus_sha256,
        "sample": {
            "splits": list(HELD_OUT_SPLITS),
            "seed": seed,
            "budget_bytes": sample_bytes,
            "notes_held_out": sample.notes,
            "bytes_held_out": sample.bytes,
            "rate": round(sample.rate, 6),
        },
        "words_listed_only_if": {"min_notes": MIN_NOTES, "min_patients": MIN_PATIENTS, "letters_only": True},
        "two_run_hash": again,
        "unused_pieces": sum(piece.startswith("[unused") for piece in pieces),
        **first,
        "against": others,
    }
    write_json(tokenizer_dir / REPORT_NAME, report)
    write_page(tokenizer_dir, report)
    return report


def _compared(ours: dict[str, Any], other: dict[str, Any]) -> dict[str, float | None]:
    """How much fewer ours are than the other's: pieces a word, pieces beyond the one each word needs, tokens in all."""
    extra = other["pieces_per_word"] - 1
    return {
        "fewer_pieces_share": round(1 - ours["pieces_per_word"] / other["pieces_per_word"], 4),
        "fewer_extra_pieces_share": round(1 - (ours["pieces_per_word"] - 1) / extra, 4) if extra > 0 else None,
        "fewer_tokens_share": round(1 - ours["tokens"] / other["tokens"], 4),
    }


def _read(sample: HeldOut, columns: Sequence[Column]) -> CommonWords:
    """Count the sample for every column, a batch of notes at a time."""
    common = CommonWords()
    for notes in track(sample.batches(), "counting pieces, in batches of notes"):
        words = [find_words(note.text) for note in notes]
        for note, of_note in zip(notes, words, strict=True):
            common.add(of_note.texts, note.patient_key)
        for column in columns:
            column.add(notes, words)
    return common
