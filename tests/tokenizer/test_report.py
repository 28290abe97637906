"""The report on invented notes, against tokenizers of each kind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from data_pipeline.manifest import iter_notes
from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.errors import NotemillError
from tokenizer.folder import load_tokenizer
from tokenizer.report.common_words import MIN_NOTES, MIN_PATIENTS, CommonWords
from tokenizer.report.held_out import choose_held_out
from tokenizer.report.opened import OpenedTokenizer, open_tokenizer
from tokenizer.report.run import report_tokenizer
from tokenizer.report.terms import BUILT_IN, count_terms, read_terms
from tokenizer.report.words import find_words, pieces_of_words

TEXTS = ["The patient denies chest pain and hyponatremia.", "20mg of furosemide was given, café-au-lait spot."] * 5


def notemill(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch.main", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def held_out(corpus: Path) -> list[str]:
    return [note["text"] for split in ("valid", "test") for note in iter_notes(corpus, split)]


def byte_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """As SentencePiece models look once converted."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=80, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def spelled(tmp_path_factory):
    """A vocab.txt that spells every word."""
    folder = tmp_path_factory.mktemp("spelled")
    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;/()-[]*°é"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


@pytest.fixture(scope="module")
def bpe_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    byte_bpe().save(str(folder / "tokenizer.json"))
    return folder


def test_counts_agree_with_encoding_each_word_by_itself(corpus, trained):
    report = report_tokenizer(trained, corpus)
    tokenizer, notes = load_tokenizer(trained), held_out(corpus)
    found = [word for note in notes for word in find_words(note).texts]
    words = [word for word in found if not PLACEHOLDER_PATTERN.fullmatch(word)]
    pieces = [tokenizer.encode(word, add_special_tokens=False).tokens for word in words]
    overall = report["all"]
    assert (overall["notes"], overall["words"]) == (len(notes), len(words))
    assert overall["pieces_per_word"] == round(sum(map(len, pieces)) / len(words), 4)
    assert overall["whole_word_share"] == round(sum(len(p) == 1 and p != ["[UNK]"] for p in pieces) / len(words), 4)
    assert overall["unknown_word_share"] == round(sum("[UNK]" in p for p in pieces) / len(words), 6)
    assert len(found) > len(words) and overall["pieces_per_placeholder"] == 1
    tokens = sum(len(tokenizer.encode(note, add_special_tokens=False)) for note in notes)
    assert overall["tokens"] == tokens
    assert overall["characters_per_token"] == round(sum(map(len, notes)) / tokens, 4)
    assert overall["round_trip"]["notes_but_for_white_space"] == 1
    assert sum(report["words_by_pieces"].values()) == len(words)
    assert set(report["by_note_type"]) == {"type 0", "type 1", "type 2"}
    assert sum(of_type["words"] for of_type in report["by_note_type"].values()) == len(words)
    assert report["placeholders_in_one_piece"] is True and report["is_training_corpus"] is True
    assert report["two_run_hash"] == {"checked": False, "same": None}
    assert report["numbers"]["20mg"] == ["20", "##mg"]
    vocabulary = (trained / "vocab.txt").read_text().split("\n")
    assert report["unused_pieces"] == sum(piece.startswith("[unused") for piece in vocabulary)


@pytest.mark.parametrize("make", [byte_bpe, unigram])
def test_every_kind_of_tokenizer_gives_the_words_to_the_same_count_of_pieces(make):
    """Against counting by the characters that each piece spells, over text without unknown characters."""
    opened = OpenedTokenizer.of("other", make())
    text = "patient denies pain and 20mg of furosemide  was given hyponatremia"
    words = find_words(text)
    encoding = opened.tokenizer.encode(text, add_special_tokens=False)
    pieces = pieces_of_words(words, encoding, opened.unknown_id)
    for index, word in enumerate(words.texts):
        own = "".join(encoding.tokens[pieces.first[index] : pieces.behind[index]])
        assert own.lstrip("Ġ▁") == word
    assert not pieces.is_unknown.any()
    assert pieces.counts.min() >= 1 and pieces.counts.max() > 1


def test_a_character_of_several_bytes_is_part_of_its_word():
    opened = OpenedTokenizer.of("bytes", byte_bpe())
    text = "the naïveté 中"
    encoding = opened.tokenizer.encode(text, add_special_tokens=False)
    counts = pieces_of_words(find_words(text), encoding, None).counts
    assert counts.sum() == len(encoding.tokens) and counts[2] >= 3


def test_unknown_words_are_told_from_whole_ones(spelled):
    opened = open_tokenizer(spelled)
    text = "a 中 b"
    pieces = pieces_of_words(find_words(text), opened.tokenizer.encode(text, add_special_tokens=False), 1)
    assert pieces.counts.tolist() == [1, 1, 1] and pieces.is_unknown.tolist() == [False, True, False]


def test_verb_compares_with_several_and_writes_private_files(corpus, trained, spelled, bpe_folder, tmp_path):
    terms = tmp_path / "terms.txt"
    terms.write_text("# ours\ndrug\tmetoprolol\ndrug\txylomethazolin\nchest pain\n")
    command = ["tokenizer", "report", "--tokenizer", trained, "--corpus", corpus, "--terms", terms]
    done = notemill(*command, "--against", spelled, "--against", bpe_folder)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((trained / "report.json").read_text())
    by_spelling, by_bytes = report["against"]
    assert by_spelling["fewer_pieces_share"] > 0.5 and by_bytes["fewer_pieces_share"] > 0
    assert by_spelling["kind"] == "WordPiece" and by_bytes["kind"] == "BPE"
    assert by_bytes["all"]["round_trip"]["exact_notes"] == 1 and by_bytes["all"]["unknown_word_share"] == 0
    assert by_bytes["all"]["words"] == by_spelling["all"]["words"] == report["all"]["words"]
    assert not by_bytes["placeholders_in_one_piece"] and by_bytes["all"]["pieces_per_placeholder"] > 1
    assert report["terms"]["given"]["given"] == {"terms": 1, "whole_share": 1.0, "pieces_per_word": 1.0, "split": {}}
    assert report["terms"]["given"]["drug"]["terms"] == 2
    assert "xylomethazolin" in report["terms"]["given"]["drug"]["split"]
    page = (trained / "report.html").read_text()
    assert page.count("<svg") == 3 and "Content-Security-Policy" in page and "src=" not in page
    assert by_spelling["name"] in page
    for name in ("report.json", "report.html"):
        assert (trained / name).stat().st_mode & 0o777 == 0o600


def test_only_words_of_many_patients_are_listed(corpus, trained, spelled):
    report = report_tokenizer(trained, corpus, against=[spelled])
    listed = {entry["word"] for entry in report["against"][0]["commonest_split_words"]}
    notes = [note for split in ("valid", "test") for note in iter_notes(corpus, split)]
    in_notes: dict[str, int] = {}
    for note in notes:
        for word in set(find_words(note["text"]).texts):
            in_notes[word] = in_notes.get(word, 0) + 1
    assert listed and all(word.isalpha() and in_notes[word] >= MIN_NOTES for word in listed)
    common = CommonWords()
    for _ in range(MIN_NOTES * 3):
        common.add(["Rareman", "x1"], "one patient")
    assert not common.may_be_listed("Rareman")
    for number in range(MIN_PATIENTS):
        common.add(["Rareman", "x1"], f"patient {number}")
    assert common.may_be_listed("Rareman") and not common.may_be_listed("x1")


def test_a_budget_draws_the_same_part_of_the_notes_each_time(corpus, trained):
    whole = choose_held_out(corpus, 10**9, 7)
    half = choose_held_out(corpus, whole.bytes // 2, 7)
    drawn = [note.text for batch in half.batches() for note in batch]
    assert 0 < len(drawn) < whole.notes and whole.rate == 1
    assert drawn == [note.text for batch in half.batches() for note in batch]
    other_seed = choose_held_out(corpus, whole.bytes // 2, 8)
    assert drawn != [note.text for batch in other_seed.batches() for note in batch]
    report = report_tokenizer(trained, corpus, sample_bytes=whole.bytes // 2, seed=7)
    assert report["all"]["notes"] == len(drawn) and report["sample"]["rate"] < 1


def test_training_again_gives_the_same_fingerprint(corpus, trained):
    before = sorted(path.name for path in trained.iterdir() if not path.name.startswith("report"))
    report = report_tokenizer(trained, corpus, retrain=True)
    assert report["two_run_hash"] == {"checked": True, "same": True, "fingerprint_again": report["fingerprint"]}
    assert before == sorted(path.name for path in trained.iterdir() if not path.name.startswith("report"))


def test_terms_are_whole_in_a_sentence_for_every_kind():
    built_in = read_terms(BUILT_IN)
    assert set(built_in) == {"drug", "lab", "anatomy"} and all(len(terms) > 100 for terms in built_in.values())
    for make in (byte_bpe, unigram):
        counted = count_terms(OpenedTokenizer.of("other", make()), {"x": ["denies", "amiodarone"]})["x"]
        pieces = counted["split"]["amiodarone"]
        assert "".join(pieces).lstrip("Ġ▁") == "amiodarone" and counted["terms"] == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "hold no term"), (b"a\tb\tc\n", "line 1 has 3 columns"), (b"\xff\xfe", "not UTF-8")],
)
def test_bad_lists_of_terms(tmp_path, content, says):
    (tmp_path / "terms.txt").write_bytes(content)
    with pytest.raises(NotemillError, match=says):
        read_terms(tmp_path / "terms.txt")


def test_bad_tokenizers_to_compare_with(corpus, trained, tmp_path):
    command = ["tokenizer", "report", "--tokenizer", trained, "--corpus", corpus, "--against"]
    for path, says in ((tmp_path / "nothing", "no tokenizer at"), (tmp_path, "cannot read a vocabulary")):
        done = notemill(*command, path)
        assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NotemillError, match="is no tokenizer of the tokenizers library"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        pytest.param('{"type": "BPE", "vocab": {}, "merges": []}', "makes no piece of any word", id="no pieces"),
        pytest.param(
            '{"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "[UNK]", "continuing_subword_prefix": "##", '
            '"max_input_chars_per_word": 100}',
            "is no tokenizer of the tokenizers library",
            id="its unknown piece is missing",
        ),
    ],
)
def test_tokenizers_that_cannot_encode_are_not_compared_with(corpus, trained, tmp_path, model, says):
    (tmp_path / "tokenizer.json").write_text(f'{{"version": "1.0", "model": {model}}}')
    with pytest.raises(NotemillError, match=says):
        report_tokenizer(trained, corpus, against=[tmp_path])
