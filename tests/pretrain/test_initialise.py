"""Initial weights: heads that look at the neighbours they are meant to."""

from dataclasses import replace

import pytest
import torch

from pretrain.config import ModelConfig
from pretrain.model.initialise import initial_matrix, initial_value

MODEL = ModelConfig(num_layers=4, hidden_size=256, num_attention_heads=4, init="local")
POSITIONS = 64


def qkv(layer: int, model: ModelConfig) -> torch.Tensor:
    name = f"encoder.layers.{layer}.self_attention.linear_qkv.weight"
    return initial_matrix(name, [3 * model.hidden_size, model.hidden_size], model, seed=1)


def positions(model: ModelConfig) -> torch.Tensor:
    name = "embedding.position_embeddings.weight"
    return initial_matrix(name, [POSITIONS, model.hidden_size], model, seed=1)


def tokens(model: ModelConfig) -> torch.Tensor:
    return initial_matrix("embedding.word_embeddings.weight", [500, model.hidden_size], model, seed=1)


@pytest.mark.parametrize("layer", [0, 1])
def test_local_heads_look_at_their_offset_whatever_the_tokens(layer):
    embedded_PH = positions(MODEL) + tokens(MODEL)[:POSITIONS]
    normed_PH = torch.nn.functional.layer_norm(embedded_PH, [MODEL.hidden_size])
    query_NDH, key_NDH, _ = qkv(layer, MODEL).view(4, 3, -1, MODEL.hidden_size).unbind(1)
    inner = torch.arange(4, POSITIONS - 4)
    for head, offset in enumerate([-1, 1, -2, 2]):
        scores_PP = (normed_PH @ query_NDH[head].T) @ (normed_PH @ key_NDH[head].T).T / 8
        weights_PP = scores_PP.softmax(dim=1)
        assert weights_PP[inner, inner + offset].mean() > 0.4
        assert sum(weights_PP[inner, inner + offset + near].mean() for near in (-1, 0, 1)) > 0.95


def test_upper_layers_and_other_matrices_start_as_normal():
    normal = ModelConfig(num_layers=4, hidden_size=256, num_attention_heads=4)
    assert torch.equal(qkv(2, MODEL), qkv(2, normal))
    assert not torch.equal(qkv(1, MODEL), qkv(1, normal))
    values = qkv(0, MODEL).view(4, 3, -1, MODEL.hidden_size)[:, 2]
    assert torch.equal(values, qkv(0, normal).view(4, 3, -1, MODEL.hidden_size)[:, 2])


def test_positions_and_tokens_keep_apart():
    width = MODEL.hidden_size // MODEL.num_attention_heads
    assert tokens(MODEL)[:, :width].std() < 0.1 * tokens(MODEL)[:, width:].std()
    assert positions(MODEL)[:, width:].std() < 0.1 * positions(MODEL)[:, :width].std()


def test_long_embeddings_leave_logits_as_they_would_be():
    long = replace(MODEL, embedding_std=0.5)

    def logits_spread(model: ModelConfig) -> float:
        name = "embedding.word_embeddings.weight"
        embeddings = initial_matrix(name, [500, model.hidden_size], model, seed=1)
        read_H = initial_value("lm_head.layer_norm.weight", model) * torch.randn(
            model.hidden_size, generator=torch.Generator().manual_seed(0)
        )
        return float((embeddings @ read_H).std())

    torch.testing.assert_close(tokens(long), 25 * tokens(MODEL))
    torch.testing.assert_close(positions(long), 25 * positions(MODEL))
    assert torch.equal(qkv(0, long), qkv(0, MODEL))
    assert logits_spread(long) == pytest.approx(logits_spread(MODEL))
    assert initial_value("encoder.final_layernorm.weight", long) == 1.0
    assert initial_value("lm_head.layer_norm.bias", long) == 0.0
