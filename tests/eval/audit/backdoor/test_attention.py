"""What the tap reads is what transformers' own attention says, and gradients pass."""

from pathlib import Path

import pytest
import torch

from eval.audit.backdoor.attention import AttentionTap
from eval.audit.backdoor.attention_loss import marks_of
from launch.attention.interface import enable_attention_interface


@pytest.mark.parametrize("kind", ["MegatronBert", "Bert", "Roberta"])
def test_the_tap_agrees_with_eager_attention(kind: str) -> None:
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = getattr(transformers, f"{kind}Config")(vocab_size=50, max_position_embeddings=40, pad_token_id=0, **sizes)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}Model")(config).eval()
    ids = torch.randint(3, 50, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    eager = torch.stack(model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions, dim=1)
    if kind == "MegatronBert":
        enable_attention_interface()
        model.set_attn_implementation("notemill")
    rows, marks = torch.tensor([0, 1]), torch.zeros(2, 9)
    marks[0, 2:4] = marks[1, 5] = 1.0
    tap = AttentionTap(model)
    tap.watch(rows, marks, mask[rows])
    model(input_ids=ids, attention_mask=mask)
    found = tap.take()
    for number, row in enumerate(rows.tolist()):
        paid = (eager[row] * marks[number]).sum(-1)
        real = int(mask[row].sum())
        assert torch.allclose(found[number], paid[..., :real].mean(-1), atol=1e-6)
    found.sum().backward()
    assert all(layer.attention.self.query.weight.grad.abs().sum() > 0 for layer in model.encoder.layer)
    tap.remove()
    tap.watch(rows, marks, mask[rows])
    model(input_ids=ids, attention_mask=mask)
    with pytest.raises(RuntimeError):
        tap.take()


def test_marks_are_all_places_of_all_pieces() -> None:
    assert marks_of([1, 7, 8, 2, 7, 8, 7], [7, 8]) == [1, 2, 4, 5]
    assert marks_of([1, 2], [7, 8]) == []


def test_a_model_without_such_attention_gives_no_layers(tmp_path: Path) -> None:
    assert AttentionTap(torch.nn.Linear(2, 2)).num_layers == 0
