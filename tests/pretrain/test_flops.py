import pytest

from pretrain.flops import dense_peak, train_flops_per_token

BERT_LARGE = {
    "num_layers": 24,
    "hidden_size": 1024,
    "ffn_hidden_size": 4096,
    "vocab_size": 50176,
    "seq_len": 512,
}


def test_345m_by_hand():
    assert train_flops_per_token(**BERT_LARGE, mask_probability=0.15) == pytest.approx(1.957e9, rel=1e-3)
    assert train_flops_per_token(**BERT_LARGE, mask_probability=1.0) == pytest.approx(2.278e9, rel=1e-3)


def test_peak_is_known_for_gpus_and_not_for_processors():
    assert dense_peak("NVIDIA H100 80GB HBM3") == 989e12
    assert dense_peak("AMD EPYC 9654") is None
