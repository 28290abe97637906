"""From tokens of every kind a tiny model pretrains, exports, and is read by the evaluation."""

import numpy as np
import pytest

from eval.finetune.text import TextEncoder
from pretrain.huggingface.export import PARITY
from tests.conftest import notemill
from tests.pretrain.launching import losses, train
from tests.tokenizer.odd_text import odd_texts
from tokenizer.encoding import SentenceEncoder
from tokenizer.folder import load_tokenizer
from tokenizer.importing import ImportConfig, import_tokenizer
from tokenizer.settings import TokenizerConfig
from tokenizer.tokens import build_tokens
from tokenizer.training import train_tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytebpe", "sentencepiece_bpe", "sentencepiece_unigram", "imported"])
def test_a_model_pretrains_and_exports(kind, tokens_dir, tmp_path):
    corpus, tokenizer, hf = tokens_dir.parent / "corpus", tmp_path / "tokenizer", str(tmp_path / "hf")
    if kind == "imported":
        train_tokenizer(corpus, tmp_path / "trained", TokenizerConfig(kind="sentencepiece_bpe", vocab_size=700))
        import_tokenizer(tmp_path / "trained" / "tokenizer.model", tokenizer, ImportConfig())
    else:
        train_tokenizer(corpus, tokenizer, TokenizerConfig(kind=kind, vocab_size=1_024))
    build_tokens(corpus, tokenizer, tmp_path / "tokens")
    (first,) = losses(train(tmp_path / "tokens", tmp_path / "run", "train.steps=1", "checkpoint.every=1"))
    assert all(np.isfinite(first))
    notemill("export", "--checkpoint", str(tmp_path / "run" / "checkpoints" / "step-00000001"), "--out", hf)
    assert (tmp_path / "hf" / PARITY).is_file()
    if kind.startswith("sentencepiece"):
        assert (tmp_path / "hf" / "tokenizer.model").read_bytes() == (
            tmp_path / "tokenizer/tokenizer.model"
        ).read_bytes()

    encoder, ours = TextEncoder(tmp_path / "hf"), load_tokenizer(tmp_path / "tokenizer")
    assert (encoder.pad_id, encoder.cls_id, encoder.sep_id) == (0, 2, 3)
    texts = list(odd_texts(60))
    assert [pieces.ids for pieces in encoder.pieces(texts)] == [
        encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)
    ]
    # A word alone has the pieces it has in running text, and its piece stands for its characters alone.
    (running,) = SentenceEncoder(ours, 256).encode([" The patient"])
    assert [number for word in encoder.word_pieces(["The", "patient"]) for number in word] == running.tolist()
    (pieces,) = encoder.pieces(["see  patient\n"])
    assert {"see  patient\n"[a:b].strip() for a, b in pieces.offsets} == {
        "see  patient\n"[a:b] for a, b in pieces.offsets
    }
