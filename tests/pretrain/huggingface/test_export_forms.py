"""What an export may look like: half the bytes, other padding of the vocabulary; what its parity is measured on."""

import json

import pytest
import torch

from data_pipeline.gate.carried import CORPORA_KEY, UNKNOWN_CORPUS
from launch.errors import NotemillError
from pretrain.huggingface.export import ExportForm, export
from pretrain.huggingface.importing import import_model
from pretrain.huggingface.parity import Logits, exported_model, held_out_pieces, measure_parity, require_parity
from tests.pretrain.huggingface.published import POSITIONS, tensors

pytestmark = pytest.mark.usefixtures("own_process_groups")


def test_a_logit_that_is_no_number_is_no_parity(published):
    ids = torch.tensor([1, 2, 3])
    reference = exported_model(published)
    expected = reference.eval()(input_ids=ids[None], token_type_ids=torch.zeros_like(ids)[None])
    words, order = expected.prediction_logits[0].detach(), expected.seq_relationship_logits.detach()
    pieces = [(ids, torch.zeros_like(ids))]
    require_parity(measure_parity(Logits(words, order), pieces, reference), "ours differ")
    for spoilt in (
        Logits(words.clone().index_fill_(0, torch.tensor([1]), torch.nan), order),
        Logits(words, order * torch.nan),
    ):
        with pytest.raises(NotemillError, match="ours differ by nan"):
            require_parity(measure_parity(spoilt, pieces, reference), "ours differ")


def test_bf16_is_the_rounded_model_and_says_by_how_much(published, tmp_path):
    from transformers import AutoModelForMaskedLM

    export(import_model(published, tmp_path / "start"), tmp_path / "hf", ExportForm(dtype="bf16"))
    for name, tensor in tensors(tmp_path / "hf").items():
        assert torch.equal(tensor, tensors(published)[name].bfloat16()), name
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "hf").dtype == torch.bfloat16
    parity = json.loads((tmp_path / "hf" / "parity.json").read_text())
    assert parity["max_abs_logit_difference"] < 1e-4 < parity["max_abs_logit_difference_of_rounding"]


def test_rows_of_padding_change_no_logit_and_are_never_chosen(published, tmp_path):
    from transformers import AutoModelForMaskedLM

    start = import_model(published, tmp_path / "start")
    export(start, tmp_path / "hf")
    assert json.loads((tmp_path / "hf" / "config.json").read_text())[CORPORA_KEY] == [UNKNOWN_CORPUS]
    export(start, tmp_path / "wide", ExportForm(vocab_size=2000))
    ids = torch.randint(5, 1000, (2, POSITIONS))
    with torch.no_grad():
        narrow, wide = (AutoModelForMaskedLM.from_pretrained(tmp_path / f).eval()(ids).logits for f in ("hf", "wide"))
    assert wide.shape[2] == 2000
    assert torch.allclose(wide[..., : narrow.shape[2]], narrow, atol=1e-5)
    assert torch.equal(wide.argmax(2), narrow.argmax(2))


def test_pieces_keep_their_rows(published, tmp_path):
    start = import_model(published, tmp_path / "start")
    with pytest.raises(NotemillError, match=r"--vocab-size 512 would leave .* without an embedding"):
        export(start, tmp_path / "hf", ExportForm(vocab_size=512))
    assert not (tmp_path / "hf").exists()


def test_another_form_of_the_same_checkpoint_does_not_pass_for_it(published, tmp_path):
    start = import_model(published, tmp_path / "start")
    export(start, tmp_path / "hf")
    export(start, tmp_path / "hf")
    with pytest.raises(NotemillError, match="is there already"):
        export(start, tmp_path / "hf", ExportForm(dtype="bf16"))


def test_held_out_text_is_masked_pieces_as_they_stand_in_rows(tokens_dir, tmp_path):
    pieces = held_out_pieces(tokens_dir, tokens_dir / "tokenizer", POSITIONS)
    mask = json.loads((tokens_dir / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]["[MASK]"]
    assert len(pieces) == 8
    assert any((ids == mask).any() for ids, _ in pieces)
    for ids, types in pieces:
        assert 3 < len(ids) == len(types) <= POSITIONS and ids[0] == 2
    assert held_out_pieces(tmp_path / "nothing", tokens_dir / "tokenizer", POSITIONS) == []
