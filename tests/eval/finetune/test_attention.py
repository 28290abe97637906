import copy
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from eval.finetune.attention import use_fast_attention

MASKS = [torch.ones(3, 16, dtype=torch.long), torch.tensor([[1] * n + [0] * (16 - n) for n in (16, 9, 1)])]


@pytest.mark.parametrize("mask", MASKS, ids=["full", "padded"])
@pytest.mark.parametrize("bf16", [False, True])
def test_states_and_gradients_equal_the_eager_ones(tiny_model: Path, mask: torch.Tensor, bf16: bool) -> None:
    eager = AutoModel.from_pretrained(tiny_model, local_files_only=True).train()
    eager.set_attn_implementation("eager")
    eager.config.attention_probs_dropout_prob = 0.0
    for module in eager.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    fast = copy.deepcopy(eager)
    assert use_fast_attention(fast) == 2
    ids = torch.randint(5, 40, (3, 16), generator=torch.Generator().manual_seed(0))
    direction = torch.randn(32, generator=torch.Generator().manual_seed(1))
    outputs = []
    for model in (eager, fast):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hidden = model(ids, attention_mask=mask).last_hidden_state
        # Padding positions attend to nothing useful; only real ones are compared.
        ((hidden.float() * mask.unsqueeze(-1)) @ direction).sum().backward()
        outputs.append((hidden.float() * mask.unsqueeze(-1), model.encoder.layer[0].attention.self.query.weight.grad))
    tolerance = 1e-1 if bf16 else 1e-5
    torch.testing.assert_close(outputs[1][0], outputs[0][0], atol=tolerance, rtol=tolerance)
    scale = float(outputs[0][1].abs().max())
    torch.testing.assert_close(outputs[1][1] / scale, outputs[0][1] / scale, atol=tolerance, rtol=tolerance)
