"""Two trainings give one tokenizer, and stock transformers reads it as it is."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, MegatronBertConfig

from data_pipeline.files import only_writer
from data_pipeline.placeholders import PLACEHOLDER_CLASSES, placeholder
from launch.errors import NotemillError
from tests.tokenizer.conftest import SETTINGS
from tokenizer.fixed_pieces import SPECIAL_TOKENS
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.training import TokenizerConfig, learn_tokenizer, train_tokenizer
from tokenizer.wordpiece import build_tokenizer
from tokenizer.wordpiece_training import learn_pieces

TRAIN = """
import sys
from launch.main import main
sys.argv[0] = "notemill"
main()
"""


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if not path.name.startswith("report.")
    }


def notemill(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAIN, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("threads", ["1", "4"])
def test_another_process_trains_the_same_files(corpus, trained, tmp_path, threads):
    done = notemill(
        "tokenizer", "train", "--corpus", str(corpus), "--out", str(tmp_path / "again"), "vocab_size=1500",
        "max_digits=2", RAYON_NUM_THREADS=threads, PYTHONHASHSEED=threads,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert hashes(tmp_path / "again") == hashes(trained)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "again").iterdir())


def test_order_of_texts_does_not_matter():
    """The trainer alone numbers ## characters in the order of a hash map over words."""
    texts = [f"{word} {word[::-1]} 20mg" for word in ("hyponatremia", "furosemide", "metoprolol", "dyspnea")] * 5
    config = TokenizerConfig(vocab_size=500, max_digits=1)
    assert learn_pieces(lambda: iter(texts), config) == learn_pieces(lambda: iter(texts[::-1]), config)


def test_vocabulary_layout(trained):
    manifest = read_tokenizer_manifest(trained)
    pieces = (trained / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert pieces[:5] == list(SPECIAL_TOKENS)
    assert len(pieces) == len(set(pieces)) == manifest["vocab_size"]
    assert manifest["vocab_size"] % 128 == 0
    assert manifest["fingerprint"] == hashlib.sha256((trained / "tokenizer.json").read_bytes()).hexdigest()
    beside = {"manifest.json", "report.json", "report.html"}
    assert set(manifest["files"]) == {path.name for path in trained.iterdir()} - beside
    learned_of_text = {"patient", "The", "##mg", "denies"}
    assert learned_of_text <= set(pieces)
    digits_and_letters = [p for p in pieces if any(c.isdigit() for c in p) and any(c.isalpha() for c in p)]
    assert not [piece for piece in digits_and_letters if not piece.startswith("[unused")]


def test_vocabulary_is_padded_when_there_is_too_little_to_learn():
    pieces = learn_pieces(lambda: iter(["chest pain"] * 3), TokenizerConfig(vocab_size=2_000, max_digits=1))
    assert len(pieces) % 128 == 0 and len(pieces) < 2_000
    unused = [piece for piece in pieces if piece.startswith("[unused")]
    assert unused == pieces[-len(unused) :] and len(unused) < 128
    assert "chest" in pieces and "pain" in pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20mg", ["20", "##mg"]),
        ("98.6", ["98", ".", "6"]),
        ("2019", ["20", "##19"]),
        ("007", ["00", "##7"]),
        ("128/80", ["12", "##8", "/", "80"]),
    ],
)
def test_numbers_are_cut_by_rule_not_by_chance(trained, text, expected):
    assert load_tokenizer(trained).encode(text, add_special_tokens=False).tokens == expected


def test_every_number_of_three_digits_is_one_piece():
    tokenizer = build_tokenizer(learn_pieces(lambda: iter(["pain"] * 5), TokenizerConfig(vocab_size=20_000)))
    for number in range(1000):
        assert len(tokenizer.encode(str(number), add_special_tokens=False).tokens) == 1


def test_placeholders_are_one_token_and_survive_decoding(trained):
    ours, theirs = load_tokenizer(trained), AutoTokenizer.from_pretrained(trained)
    for name in PLACEHOLDER_CLASSES:
        text = f"({placeholder(name)}'s mother, {placeholder(name)}th"
        ids = theirs(text)["input_ids"]
        assert ids == ours.encode(text).ids
        number = theirs.convert_tokens_to_ids(placeholder(name))
        assert number != theirs.unk_token_id and ids.count(number) == 2
        assert theirs.decode(ids, skip_special_tokens=True).count(placeholder(name)) == 2


@pytest.fixture(scope="module")
def stock(trained, tmp_path_factory):
    """What AutoTokenizer makes of an exported folder: the tokenizer's files beside a megatron-bert config."""
    folder = tmp_path_factory.mktemp("exported")
    for name in read_tokenizer_manifest(trained)["files"]:
        (folder / name).write_bytes((trained / name).read_bytes())
    MegatronBertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_stock_transformers_load_it_fast_and_cased(stock, trained):
    assert type(stock).__name__.startswith("BertTokenizer") and stock.is_fast
    assert stock.model_max_length == 512
    assert len(stock) == stock.vocab_size == read_tokenizer_manifest(trained)["vocab_size"]
    assert stock.tokenize("The patient denies") == ["The", "patient", "denies"]
    assert stock.tokenize("the") != stock.tokenize("The")
    roles = (stock.pad_token_id, stock.unk_token_id, stock.cls_token_id, stock.sep_token_id, stock.mask_token_id)
    assert roles == (0, 1, 2, 3, 4)
    pair = stock("The patient", "denies pain")
    tokens = stock.convert_ids_to_tokens(pair["input_ids"])
    assert tokens[0] == "[CLS]" and tokens.count("[SEP]") == 2 and tokens[-1] == "[SEP]"
    middle = tokens.index("[SEP]")
    assert pair["token_type_ids"] == [0] * (middle + 1) + [1] * (len(tokens) - middle - 1)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.text(st.sampled_from("Éé\u0301ßİµ中[]*\x00\u200b\u00a0\n3mgA.🙂"), max_size=40))
def test_stock_transformers_give_the_same_ids_on_any_text(stock, trained_tokenizer, text):
    trained_tokenizer.encode_special_tokens = False
    assert stock(text)["input_ids"] == trained_tokenizer.encode(text).ids
    # transformers takes an empty second text for none.
    assert stock(text, f"x{text}")["token_type_ids"] == trained_tokenizer.encode(text, f"x{text}").type_ids


def test_only_the_train_split_is_read(corpus, trained, tmp_path):
    """With the held-out shards overwritten by others' bytes of the same size, training gives the same vocabulary."""
    import shutil

    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    held_out = [path for path in (copy / "shards").iterdir() if not path.name.startswith("train")]
    assert held_out
    for path in held_out:
        path.write_bytes(b"\0" * path.stat().st_size)
    train_tokenizer(copy, tmp_path / "again", SETTINGS)
    assert hashes(tmp_path / "again") == hashes(trained)


def test_a_finished_tokenizer_is_kept_and_another_is_not_overwritten(corpus, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    train_tokenizer(corpus, trained, SETTINGS)
    with pytest.raises(NotemillError, match="holds another tokenizer"):
        train_tokenizer(corpus, trained, replace(SETTINGS, vocab_size=1_600))
    assert before == {path: path.stat().st_mtime_ns for path in trained.iterdir()}


def test_user_mistakes(corpus, tmp_path):
    with pytest.raises(NotemillError, match=r"vocab_size 300 leaves nothing to learn: \d+ pieces"):
        train_tokenizer(corpus, tmp_path / "a", replace(SETTINGS, vocab_size=300))
    with pytest.raises(NotemillError, match="no corpus manifest"):
        train_tokenizer(tmp_path / "nothing", tmp_path / "b", SETTINGS)
    with pytest.raises(NotemillError, match=r"sample_bytes=1 is so little that no note of .* was drawn"):
        train_tokenizer(corpus, tmp_path / "d", replace(SETTINGS, sample_bytes=1))
    for wrong, message in (("vocab_sise=1000", "did you mean 'vocab_size'"), ("max_digits=9", "max_digits is 9")):
        done = notemill("tokenizer", "train", "--corpus", str(corpus), "--out", str(tmp_path / "c"), wrong)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_changed_files_are_refused(trained, tmp_path):
    for name in read_tokenizer_manifest(trained)["files"]:
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "manifest.json").write_bytes((trained / "manifest.json").read_bytes())
    load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text().replace("patient", "patien_"))
    with pytest.raises(NotemillError, match=r"tokenizer\.json has changed"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(NotemillError):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": 10**12},
        {"vocab_multiple": 10**9},
        {"min_frequency": 10**23},
        {"max_chars": -1},
    ],
)
def test_settings_beyond_what_the_libraries_take(wrong):
    (name,) = wrong
    assert any(problem.startswith(f"{name} is") for problem in replace(SETTINGS, **wrong).validate())


@pytest.mark.parametrize("kind", ["wordpiece", "bytebpe"])
def test_a_word_without_end_does_not_hold_training_up(kind):
    notes = ["the patient denies pain", "the patients deny pains"] * 20
    config = replace(SETTINGS, vocab_size=640, max_digits=1, kind=kind)

    def learn(texts: list[str]) -> str:
        return learn_tokenizer(lambda: iter(texts), config).tokenizer.to_str()

    started = time.monotonic()
    assert learn([*notes, f"scan: {'xyz' * 300_000} end"]) == learn([*notes, "scan:  end"])
    assert time.monotonic() - started < 60


def test_only_one_writer(corpus, tmp_path):
    (tmp_path / "out").mkdir()
    with only_writer(tmp_path / "out"), pytest.raises(NotemillError, match="another process is writing"):
        train_tokenizer(corpus, tmp_path / "out", SETTINGS)


@pytest.mark.parametrize("change", [{"files": ["a"]}, {"vocab_size": "many"}, {"fingerprint": 5}, {"config": None}])
def test_an_edited_manifest_is_told(trained, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    manifest = json.loads((copy / "manifest.json").read_text()) | change
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NotemillError, match="holds values that no training writes"):
        read_tokenizer_manifest(copy)
