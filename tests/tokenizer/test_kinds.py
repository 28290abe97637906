"""Tokenizers of every kind: the same files each time, the same ids in every library, nothing lost."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from data_pipeline.manifest import iter_notes
from data_pipeline.placeholders import PLACEHOLDER_CLASSES, placeholder
from launch.errors import NotemillError
from pretrain.data.vocabulary import Vocabulary
from tests.tokenizer.odd_text import odd_texts
from tokenizer.encoding import SentenceEncoder
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.kinds import kind_of, sense, spelling
from tokenizer.settings import TokenizerConfig
from tokenizer.tokens import build_tokens
from tokenizer.training import learn_tokenizer, train_tokenizer

KINDS = ("bytebpe", "sentencepiece_bpe", "sentencepiece_unigram")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp(kind) / "tokenizer"
    train_tokenizer(corpus, out, TokenizerConfig(kind=kind, vocab_size=1_000))
    return out


def test_another_process_with_other_threads_trains_the_same_files(kind, folder, corpus, tmp_path):
    command = ["-m", "launch.main", "tokenizer", "train", "--corpus", str(corpus), "--out", str(tmp_path / "again")]
    threads = {
        "RAYON_NUM_THREADS": "3",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "3",
    }
    done = subprocess.run(
        [sys.executable, *command, f"kind={kind}", "vocab_size=1000"],
        env=os.environ | threads, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "again") == hashes(folder)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "again").iterdir())
    assert str(tmp_path).encode() not in b"".join(path.read_bytes() for path in (tmp_path / "again").iterdir())


def test_order_of_texts_does_not_matter(kind):
    texts = [f"{word} {word[::-1]} 20mg\n" for word in ("hyponatremia", "furosemide", "metoprolol", "dyspnea")] * 5
    config = TokenizerConfig(kind=kind, vocab_size=700, max_digits=1)
    one, other = (learn_tokenizer(lambda t=t: iter(t), config) for t in (texts, texts[::-1]))
    assert one.tokenizer.to_str() == other.tokenizer.to_str()
    assert one.sentencepiece_model == other.sentencepiece_model


def test_layout(kind, folder):
    manifest, tokenizer = read_tokenizer_manifest(folder), load_tokenizer(folder)
    assert manifest["kind"] == kind == kind_of(tokenizer)
    assert manifest["vocab_size"] % 128 == 0 and manifest["vocab_size"] == tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(number) for number in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = Vocabulary.from_folder(folder)
    assert (vocabulary.pad, vocabulary.cls, vocabulary.sep, vocabulary.mask) == (0, 2, 3, 4)
    assert vocabulary.size == manifest["vocab_size"]
    assert not {0, 1, 2, 3, 4} & set(vocabulary.replacements.tolist())
    assert tokenizer.encode("a", "b").type_ids == [0, 0, 0, 1, 1]


def test_multiple_is_a_setting(kind):
    config = TokenizerConfig(kind=kind, vocab_size=700, vocab_multiple=48, max_digits=1)
    assert learn_tokenizer(lambda: iter(["chest pain"] * 3), config).tokenizer.get_vocab_size() % 48 == 0


def test_ids_are_the_same_in_every_library(kind, folder):
    ours, stock = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    assert stock.is_fast and stock.mask_token_id == 4 and len(stock) == ours.get_vocab_size()
    texts = list(odd_texts(900))
    assert stock(texts)["input_ids"] == [encoding.ids for encoding in ours.encode_batch(texts)]
    if kind.startswith("sentencepiece"):
        import sentencepiece

        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        ours.encode_special_tokens = True
        assert model.encode(texts) == [encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)]


def test_nothing_is_lost(kind, folder):
    tokenizer = load_tokenizer(folder)
    tokenizer.encode_special_tokens = True
    for text in odd_texts(300, seed=1):
        expected = text if kind == "bytebpe" else text.replace("▁", " ")
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert 1 not in ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == expected


def test_numbers_newlines_and_placeholders(kind, folder):
    tokenizer = load_tokenizer(folder)
    tokens = tokenizer.encode("Na 128, 20mg\nof it", add_special_tokens=False).tokens
    number = ["Ġ1", "2", "8"] if kind == "bytebpe" else ["▁", "1", "2", "8"]
    start = tokens.index(number[0])
    assert tokens[start : start + len(number)] == number
    assert ("Ċ" if kind == "bytebpe" else "<0x0A>") in tokens
    for name in PLACEHOLDER_CLASSES:
        ids = tokenizer.encode(f"({placeholder(name)}'s **{placeholder(name)}], on", add_special_tokens=False).ids
        assert ids.count(tokenizer.token_to_id(placeholder(name))) == 2
        assert tokenizer.decode(ids, skip_special_tokens=True).count(placeholder(name)) == 2


def test_longer_numbers_are_pieces_where_the_vocabulary_has_room():
    config = TokenizerConfig(kind="bytebpe", vocab_size=3_000, max_digits=3)
    tokenizer = learn_tokenizer(lambda: iter(["pain in 1998 "] * 5), config).tokenizer
    for number in range(1000):
        assert tokenizer.encode(f" {number}").tokens[1:-1] == [f"Ġ{number}"]
        assert tokenizer.encode(f"{number:03}").tokens[1:-1] == [f"{number:03}"]
    assert tokenizer.encode("1998").tokens[1:-1] == ["199", "8"]


def test_the_sentences_of_a_note_decode_to_the_note(folder, corpus):
    tokenizer = load_tokenizer(folder)
    encoder = SentenceEncoder(tokenizer, 16)
    for note in [*iter_notes(corpus, "train")][:40]:
        (sentences,) = encoder.encode_notes([note["text"]])
        assert all(0 < len(sentence) <= 16 for sentence in sentences)
        assert tokenizer.decode(np.concatenate(sentences).tolist(), skip_special_tokens=False) == note["text"].strip()


def test_special_tokens_in_a_note_are_text(folder):
    (ids,) = SentenceEncoder(load_tokenizer(folder), 256).encode(["a [SEP] b [CLS] [MASK] [PAD] [UNK]"])
    assert min(ids.tolist()) > 4


def test_words_are_those_of_bert(folder):
    tokenizer, vocabulary = load_tokenizer(folder), Vocabulary.from_folder(folder)
    text = "(hyponatremia) 1234mg/dL\nThe [**NAME**]'s café-au-lait 12.5%"
    ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
    joined = vocabulary.is_continuation[ids[1:]] & vocabulary.is_continuable[ids[:-1]]
    words = np.split(ids, np.flatnonzero(~joined) + 1)
    found = [tokenizer.decode(word.tolist()).strip() for word in words]
    assert " ".join(filter(None, found)) == "( hyponatremia ) 1234mg / dL The [**NAME**] ' s café - au - lait 12 . 5 %"


def test_tokens_do_not_depend_on_the_workers(kind, folder, corpus, tmp_path):
    manifest = build_tokens(corpus, folder, tmp_path / "one", 1)
    build_tokens(corpus, folder, tmp_path / "two", 2)
    names = [f"{file['prefix']}.{part}" for file in manifest["files"] for part in ("bin", "idx")]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    assert hashes(tmp_path / "one" / "tokenizer") == hashes(folder)
    assert Vocabulary.from_folder(tmp_path / "one" / "tokenizer").size == manifest["vocab_size"]


def test_only_the_train_split_is_read(kind, folder, corpus, tmp_path):
    import shutil

    shutil.copytree(corpus, tmp_path / "corpus")
    for path in (tmp_path / "corpus" / "shards").iterdir():
        if not path.name.startswith("train"):
            path.write_bytes(b"\0" * path.stat().st_size)
    train_tokenizer(tmp_path / "corpus", tmp_path / "again", TokenizerConfig(kind=kind, vocab_size=1_000))
    assert hashes(tmp_path / "again") == hashes(folder)


def test_user_mistakes(kind, corpus, tmp_path):
    with pytest.raises(NotemillError, match="leaves nothing to learn"):
        train_tokenizer(corpus, tmp_path / "a", TokenizerConfig(kind=kind, vocab_size=256))
    command = [sys.executable, "-m", "launch.main", "tokenizer", "train", "--corpus", str(corpus), "--out"]
    wrong = "max_digits=3" if kind != "bytebpe" else "max_digits=9"
    done = subprocess.run(
        [*command, str(tmp_path / "b"), f"kind={kind}", wrong], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "max_digits is" in done.stderr and "Traceback" not in done.stderr
    done = subprocess.run([*command, str(tmp_path / "c"), "kind=bpe"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "kind" in done.stderr and "Traceback" not in done.stderr


def test_tokenizer_json_alone_says_its_kind(folder, kind):
    assert kind_of(Tokenizer.from_file(str(folder / "tokenizer.json"))) == kind


@pytest.mark.parametrize(
    ("kind", "piece", "text", "goes_on"),
    [
        ("wordpiece", "heart", "heart", False),
        ("wordpiece", "##ache", "ache", True),
        ("wordpiece", "##", "##", False),
        ("bytebpe", "Ġheart", "heart", False),
        ("bytebpe", "ache", "ache", True),
        ("bytebpe", ".", ".", False),
        ("bytebpe", "Ã©", "é", True),
        ("sentencepiece_bpe", "▁heart▁rate", "heart rate", False),
        ("sentencepiece_unigram", "ache", "ache", True),
        ("sentencepiece_unigram", "▁", " ", False),
        ("other", "heart", "heart", False),
    ],
)
def test_a_sense_is_spelled_as_the_piece_it_came_from(kind, piece, text, goes_on):
    assert sense(piece, kind) == (text.encode(), goes_on)
    assert spelling(text.encode(), goes_on, kind) == piece


def test_a_part_of_a_character_has_no_spelling_but_in_bytes():
    assert sense("Ã", "bytebpe") == sense("<0xC3>", "sentencepiece_bpe") == (b"\xc3", True)
    assert spelling(b"\xc3", True, "bytebpe") == "Ã"
    assert spelling(b"\xc3", True, "wordpiece") == spelling(b"\xc3", True, "sentencepiece_bpe") == ""
