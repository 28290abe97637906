"""An exported folder gives the training model's logits in stock transformers, whatever the layout that saved it."""

import json
import subprocess
import sys

import pytest
import torch

from tests.pretrain.launching import environment, train


@pytest.mark.parametrize(
    ("processes", "overrides"),
    [
        pytest.param(1, [], id="one process"),
        pytest.param(2, ["parallel.tensor=2", "parallel.sequence=true"], id="TP2+SP"),
        pytest.param(2, ["parallel.pipeline=2", "train.precision=bf16"], id="PP2 bf16"),
    ],
)
def test_export_matches_the_training_model(processes, overrides, tokens_dir, tmp_path):
    train(tokens_dir, tmp_path / "run", *overrides, "train.steps=5", "checkpoint.every=4", processes=processes)
    hf = tmp_path / "hf"
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000005"
    arguments = [sys.executable, "-m", "launch.main", "export", "--checkpoint", str(checkpoint), "--out", str(hf)]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    parity = json.loads((hf / "parity.json").read_text())
    assert parity["max_abs_logit_difference"] <= 1e-4
    assert (hf / "README.md").is_file()
    _loads_in_stock_transformers(hf)

    again = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "holds this checkpoint already" in again.stdout + again.stderr
    arguments[arguments.index(str(checkpoint))] = str(checkpoint.with_name("step-00000004"))
    other = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "not empty" in other.stderr


def _loads_in_stock_transformers(hf):
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(hf, local_files_only=True)
    encoded = tokenizer("Pt seen by [**NAME**] for chest pain.", return_tensors="pt")
    assert tokenizer.convert_tokens_to_ids("[**NAME**]") in encoded["input_ids"][0].tolist()
    encoder = AutoModel.from_pretrained(hf, local_files_only=True).eval()
    masked_lm = AutoModelForMaskedLM.from_pretrained(hf, local_files_only=True).eval()
    with torch.no_grad():
        hidden = encoder(**encoded).last_hidden_state
        assert torch.equal(hidden, masked_lm.bert(**encoded).last_hidden_state)
        assert masked_lm(**encoded).logits.shape[-1] == len(tokenizer)
    decoder, embedding = masked_lm.cls.predictions.decoder.weight, masked_lm.bert.embeddings.word_embeddings.weight
    assert decoder.data_ptr() == embedding.data_ptr()


def test_no_checkpoint_is_told_in_one_sentence(tmp_path):
    arguments = ["export", "--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "hf")]
    done = subprocess.run(
        [sys.executable, "-m", "launch.main", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no checkpoint" in done.stderr
