"""Tokenizers from elsewhere come in with their ids, or are refused in one sentence."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from data_pipeline.placeholders import placeholder
from launch.errors import NotemillError
from pretrain.data.vocabulary import Vocabulary
from tests.tokenizer.odd_text import odd_texts
from tokenizer.encoding import SentenceEncoder
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.importing import ImportConfig, import_tokenizer

TEXTS = ["The patient denies pain at 120/80.", "hyponatremia and hyperkalemia were treated", "Ærø café ----- 1998"] * 20
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "the",
    "patient",
    "pain",
    "##s",
    "##ed",
    "##less",
    *"abcdefghijklmnopqrstuvwxyz.,",
    *(f"##{c}" for c in "abcdef"),
]
CASED = [*SPECIALS, *WORDS, "The", "Patient", "Pain", "##S"]


def sentencepiece_model(**options) -> bytes:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=written,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    return written.getvalue()


BERT_IDS = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
BERT_PIECES = {"pad_piece": "[PAD]", "unk_piece": "[UNK]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
MODELS = {
    "BPE as Llama's": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
                       "remove_extra_whitespaces": False, "split_digits": True, "vocab_size": 400},
    "BPE with symbols": {"model_type": "bpe", "normalization_rule_name": "identity", "vocab_size": 120,
                         "user_defined_symbols": [placeholder("NAME"), "<mask>"], **BERT_IDS, **BERT_PIECES},
    "Unigram": {"model_type": "unigram", "normalization_rule_name": "identity", "byte_fallback": True,
                "vocab_size": 330},
    "Unigram without spaces": {"model_type": "unigram", "normalization_rule_name": "identity", "vocab_size": 70,
                               "add_dummy_prefix": False, "remove_extra_whitespaces": False},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_sentencepiece_models(name, tmp_path):
    import sentencepiece

    data = sentencepiece_model(**MODELS[name])
    (tmp_path / "spm.model").write_bytes(data)
    manifest = import_tokenizer(tmp_path / "spm.model", tmp_path / "out", ImportConfig(add_missing=True))
    before = sentencepiece.SentencePieceProcessor(model_proto=data)
    after = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "tokenizer.model"))
    size = before.get_piece_size()
    assert [after.id_to_piece(n) for n in range(size)] == [before.id_to_piece(n) for n in range(size)]
    assert manifest["vocab_size"] == after.get_piece_size() and manifest["vocab_size"] % 128 == 0

    ours, stock = load_tokenizer(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    assert stock.is_fast and None not in (stock.pad_token_id, stock.cls_token_id, stock.mask_token_id)
    # What reads like a special token is cut so as not to become one, which may make one unknown piece two.
    texts = [text for text in odd_texts(600) if "unused" not in text and "[SEP]" not in text]
    assert stock(texts)["input_ids"] == [encoding.ids for encoding in ours.encode_batch(texts)]
    ours.encode_special_tokens = True
    ids = [encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)]
    different = [text for text, mine, theirs in zip(texts, ids, after.encode(texts), strict=True) if mine != theirs]
    assert different == []
    without = [text for text in texts if "**" not in text]
    assert after.encode(without) == before.encode(without)
    vocabulary = Vocabulary.from_folder(tmp_path / "out")
    assert vocabulary.mask == stock.mask_token_id and vocabulary.mask not in vocabulary.replacements


def test_a_complete_model_is_kept_byte_for_byte(tmp_path):
    data = sentencepiece_model(**MODELS["BPE with symbols"])
    (tmp_path / "spm.model").write_bytes(data)
    import_tokenizer(tmp_path / "spm.model", tmp_path / "out", ImportConfig(placeholders=False, vocab_multiple=1))
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == data


def test_a_trained_folder_comes_back_as_it_was(corpus, tmp_path):
    from tokenizer.settings import TokenizerConfig
    from tokenizer.training import train_tokenizer

    train_tokenizer(corpus, tmp_path / "trained", TokenizerConfig(kind="sentencepiece_unigram", vocab_size=800))
    import_tokenizer(tmp_path / "trained" / "tokenizer.model", tmp_path / "out", ImportConfig())
    assert (tmp_path / "out/tokenizer.model").read_bytes() == (tmp_path / "trained/tokenizer.model").read_bytes()
    texts = list(odd_texts(300))
    one, other = (load_tokenizer(tmp_path / name) for name in ("trained", "out"))
    assert [e.ids for e in one.encode_batch(texts)] == [e.ids for e in other.encode_batch(texts)]


def vocabulary_file(folder: Path, pieces: list[str], **config) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder / "vocab.txt"


@pytest.mark.parametrize(
    ("pieces", "settings", "is_lower"),
    [
        pytest.param(CASED, {}, False, id="cased by its pieces"),
        pytest.param([*SPECIALS, *WORDS], {}, True, id="lower-casing by its pieces"),
        pytest.param(CASED, {"lower_case": True}, True, id="as asked"),
    ],
)
def test_vocabularies(pieces, settings, is_lower, tmp_path):
    file = vocabulary_file(tmp_path / "in", pieces)
    manifest = import_tokenizer(file, tmp_path / "out", ImportConfig(**settings))
    lines = (tmp_path / "out" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[: len(pieces)] == pieces and manifest["vocab_size"] % 128 == 0
    ours, stock = load_tokenizer(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    assert type(stock).__name__ == "BertTokenizer" and stock.do_lower_case is is_lower
    assert stock.tokenize("The pain") == [("the" if is_lower else "The"), "pain"]
    texts = list(odd_texts(600))
    assert stock(texts)["input_ids"] == [encoding.ids for encoding in ours.encode_batch(texts)]
    encoder = SentenceEncoder(ours, 256)
    plain = [encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)]
    assert [ids.tolist() for ids in encoder.encode(texts)] == plain


def test_placeholders_take_unused_places_of_bert(tmp_path):
    pieces = [*SPECIALS, *(f"[unused{number}]" for number in range(99)), *CASED[5:]]
    manifest = import_tokenizer(
        vocabulary_file(tmp_path / "in", pieces), tmp_path / "out", ImportConfig(vocab_multiple=1)
    )
    assert manifest["vocab_size"] == len(pieces)
    tokenizer = load_tokenizer(tmp_path / "out")
    assert tokenizer.encode(f"The {placeholder('NAME')}s").tokens == ["[CLS]", "The", placeholder("NAME"), "s", "[SEP]"]
    assert tokenizer.token_to_id("The") == pieces.index("The")


@pytest.mark.parametrize(
    ("pieces", "config", "message"),
    [
        pytest.param(CASED, {"do_lower_case": True}, "say lower_case=", id="config against pieces"),
        pytest.param([*SPECIALS, *WORDS, "café"], {}, "say strip_accents=", id="accents"),
        pytest.param(
            [*SPECIALS, *(f"w{n}##" for n in range(300)), "##a", "Tag"], {}, "too few to tell", id="few capitals"
        ),
        pytest.param([*CASED, "pain"], {}, "more than once, the first on lines 8 and", id="twice"),
        pytest.param(CASED[:4] + CASED[5:], {}, r"lacks \[MASK\], which pretraining needs", id="no mask"),
        pytest.param([*CASED, "", "xy"], {}, "has an empty line", id="empty line"),
        pytest.param([*SPECIALS, "The", "pain"], {}, "no piece that begins with ##", id="no WordPiece"),
    ],
)
def test_doubtful_vocabularies_are_refused(pieces, config, message, tmp_path):
    with pytest.raises(NotemillError, match=message):
        import_tokenizer(vocabulary_file(tmp_path / "in", pieces, **config), tmp_path / "out", ImportConfig())
    assert not (tmp_path / "out").exists()


def test_missing_special_tokens_are_added_when_asked(tmp_path):
    file = vocabulary_file(tmp_path / "in", CASED[:4] + CASED[5:])
    import_tokenizer(file, tmp_path / "out", ImportConfig(add_missing=True))
    assert Vocabulary.from_folder(tmp_path / "out").mask == len(CASED) - 1
    assert AutoTokenizer.from_pretrained(tmp_path / "out").mask_token == "[MASK]"


def byte_level(folder: Path) -> Path:
    from tokenizers import AddedToken, decoders, pre_tokenizers, processors, trainers
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=specials, initial_alphabet=alphabet))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.enable_truncation(8)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_tokenizer_json_of_bytes(tmp_path):
    before = Tokenizer.from_file(str(byte_level(tmp_path)))
    before.no_truncation()
    manifest = import_tokenizer(tmp_path, tmp_path / "out", ImportConfig())
    assert manifest["kind"] == "bytebpe" and manifest["special_tokens"]["cls"] == "<s>"
    ours, stock = load_tokenizer(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = list(odd_texts(600))
    assert stock(texts)["input_ids"] == [encoding.ids for encoding in ours.encode_batch(texts)]
    plain = [text for text in texts if "**" not in text and "unused" not in text]
    assert [e.ids for e in ours.encode_batch(plain, add_special_tokens=False)] == [
        e.ids for e in before.encode_batch(plain, add_special_tokens=False)
    ]
    assert ours.encode("a", "b").tokens == ["<s>", "a", "</s>", "b", "</s>"]
    vocabulary = Vocabulary.from_folder(tmp_path / "out")
    assert (vocabulary.cls, vocabulary.pad, vocabulary.sep, vocabulary.mask) == (0, 1, 2, 4)
    assert vocabulary.size == manifest["vocab_size"] and vocabulary.size % 128 == 0


def test_a_tokenizer_json_of_bert_becomes_stock_bert(trained, tmp_path):
    import_tokenizer(trained / "tokenizer.json", tmp_path / "out", ImportConfig())
    assert (tmp_path / "out/vocab.txt").read_bytes() == (trained / "vocab.txt").read_bytes()
    assert type(AutoTokenizer.from_pretrained(tmp_path / "out")).__name__ == "BertTokenizer"
    assert read_tokenizer_manifest(tmp_path / "out")["kind"] == "wordpiece"


def test_what_is_no_tokenizer_is_told_in_one_sentence(tmp_path):
    whole = sentencepiece_model(**MODELS["Unigram"])
    cases = {
        "text.model": b"this is a note about nothing\n" * 9,
        "half.model": whole[: len(whole) // 2],
        "empty.model": b"",
        "word.model": sentencepiece_model(model_type="word", vocab_size=40),
        "list.json": b"[1, 2]",
        "half.json": b'{"version": "1.0", "model"',
        "empty.txt": b"",
        "bytes.txt": b"[PAD]\n\xff\xfe\n",
        "tokenizer.onnx": b"x",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NotemillError, match=name.replace(".", r"\.")):
            import_tokenizer(tmp_path / name, tmp_path / "out", ImportConfig(add_missing=True))
    for name in ("nothing", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(NotemillError, match=name):
            import_tokenizer(tmp_path / name, tmp_path / "out", ImportConfig())
    (tmp_path / "good.model").write_bytes(whole)
    with pytest.raises(NotemillError, match=r"lacks \[PAD\], \[MASK\]"):
        import_tokenizer(tmp_path / "good.model", tmp_path / "out", ImportConfig())
    command = [sys.executable, "-m", "launch.main", "tokenizer", "import", "--from", str(tmp_path / "half.model")]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no sentencepiece model" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_import_is_done_once(tmp_path):
    file = vocabulary_file(tmp_path / "in", CASED)
    first = import_tokenizer(file, tmp_path / "out", ImportConfig())
    assert import_tokenizer(file, tmp_path / "out", ImportConfig()) == first
    with pytest.raises(NotemillError, match="holds another tokenizer"):
        import_tokenizer(file, tmp_path / "out", ImportConfig(placeholders=False))
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "out").iterdir())


def edited(trained: Path, folder: Path, change) -> Path:
    parts = json.loads((trained / "tokenizer.json").read_text())
    change(parts)
    (folder / "edited.json").write_text(json.dumps(parts))
    return folder / "edited.json"


def _with_gap(parts):
    vocabulary = parts["model"]["vocab"]
    parts["model"]["vocab"] = {piece: number + 10 * (number > 600) for piece, number in vocabulary.items()}


def _with_huge_id(parts):
    parts["model"]["vocab"]["zzz"] = 4_000_000_000


def _damaged(parts):
    parts["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(_with_gap, "none with the id 601", id="gap"),
        pytest.param(_with_huge_id, "ids must be below", id="huge id"),
        pytest.param(_damaged, "is no tokenizer of the tokenizers library", id="a panic of the library"),
    ],
)
def test_a_damaged_tokenizer_json_is_told_in_one_sentence(trained, tmp_path, change, says):
    with pytest.raises(NotemillError, match=says):
        import_tokenizer(edited(trained, tmp_path, change), tmp_path / "out", ImportConfig())


def test_models_of_words_can_be_imported(trained, tmp_path):
    def of_words(parts):
        parts["model"] = {"type": "WordLevel", "vocab": parts["model"]["vocab"], "unk_token": "[UNK]"}

    manifest = import_tokenizer(edited(trained, tmp_path, of_words), tmp_path / "out", ImportConfig())
    assert manifest["kind"] == "other"


def test_a_piece_that_no_line_can_hold(trained, tmp_path):
    def with_newline(parts):
        parts["model"]["vocab"]["a\nb"] = len(parts["model"]["vocab"])

    import_tokenizer(edited(trained, tmp_path, with_newline), tmp_path / "out", ImportConfig())
    assert not (tmp_path / "out/vocab.txt").exists()
    stock, ours = AutoTokenizer.from_pretrained(tmp_path / "out"), load_tokenizer(tmp_path / "out")
    assert stock("the patient")["input_ids"] == ours.encode("the patient").ids


def test_a_byte_order_mark_is_no_part_of_the_first_piece(tmp_path):
    file = vocabulary_file(tmp_path / "in", CASED)
    file.write_text("\ufeff" + file.read_text(encoding="utf-8"), encoding="utf-8")
    import_tokenizer(file, tmp_path / "out", ImportConfig())
    assert Vocabulary.from_folder(tmp_path / "out").pad == 0


def test_a_piece_serves_one_role(tmp_path):
    file = vocabulary_file(tmp_path / "in", CASED, pad_token="[UNK]", unk_token="[UNK]")
    with pytest.raises(NotemillError, match=r"give \[UNK\] as pad, unk at once"):
        import_tokenizer(file, tmp_path / "out", ImportConfig())


def test_a_multiple_that_no_vocabulary_has():
    assert ImportConfig(vocab_multiple=10**14).validate()


def test_settings_beside_that_nest_without_end(tmp_path):
    file = vocabulary_file(tmp_path / "in", CASED)
    file.with_name("tokenizer_config.json").write_text("[" * 200_000)
    with pytest.raises(NotemillError, match="not valid JSON"):
        import_tokenizer(file, tmp_path / "out", ImportConfig())
