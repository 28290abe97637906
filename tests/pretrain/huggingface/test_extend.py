"""An extended folder reads short texts as before, long ones with its window, by stock transformers and by notemill."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from launch.attention.interface import enable_attention_interface
from launch.attention.sliding_window import window_mask
from launch.errors import NotemillError
from pretrain.huggingface.extend import extend
from tests.pretrain.huggingface.published import POSITIONS, publish, tensors
from tests.pretrain.launching import environment

LONG, WINDOW = 200, 16
COVERED = WINDOW // 2 + 1


@pytest.fixture(scope="module")
def published(tokens_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "hf"
    publish(folder, tokens_dir / "tokenizer")
    (folder / "README.md").write_text("---\ntags: [clinical]\n---\n\n# A card\n")
    return folder


@pytest.fixture(scope="module")
def extended(published):
    out = published.with_name("long")
    arguments = ("extend", "--model", published, "--max-length", LONG, "--window", WINDOW, "--out", out)
    done = subprocess.run(
        [sys.executable, "-m", "launch.main", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "need training" in done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def _remote_code(tmp_path_factory):
    """transformers copies a folder's code to one place for all the process and imports it from there."""
    with pytest.MonkeyPatch.context() as patch:
        place = str(tmp_path_factory.mktemp("modules"))
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)
        yield


def texts(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of random texts of several lengths."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return torch.randint(5, 900, mask.shape, generator=torch.Generator().manual_seed(0)), mask


@torch.no_grad()
def states(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[real tokens, hidden]."""
    return model.eval()(ids, attention_mask=mask).last_hidden_state[mask.bool()]


@torch.no_grad()
def oracle(folder: Path, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Stock eager attention under a mask of four dimensions that says what each token sees."""
    from transformers import MegatronBertModel

    model = MegatronBertModel.from_pretrained(folder, attn_implementation="eager").eval()
    seen = window_mask(ids.shape[1], WINDOW, 1, ids.device) & mask[:, None, None, :].bool()
    added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return model(ids, attention_mask=added).last_hidden_state[mask.bool()]


def test_the_folder_says_what_it_was_made_of(published, extended):
    manifest = json.loads((extended / "extended.json").read_text())
    assert manifest["name"] == "hf"
    assert (manifest["old_positions"], manifest["positions"]) == (POSITIONS, LONG)
    assert manifest["covered_tokens"] == COVERED
    assert manifest["max_abs_state_difference"] <= manifest["tolerance"]
    card = (extended / "README.md").read_text()
    assert card.startswith("---\ntags: [clinical]\n---\n")
    assert card.index("Extended to 200 tokens") < card.index("# A card")
    assert json.loads((extended / "tokenizer_config.json").read_text())["model_max_length"] == LONG
    before, after = tensors(published), tensors(extended)
    positions = "bert.embeddings.position_embeddings.weight"
    assert torch.equal(after[positions], torch.cat([before[positions]] * 4)[:LONG])
    assert all(torch.equal(after[name], before[name]) for name in after if name != positions)
    assert {path.stat().st_mode & 0o777 for path in extended.iterdir()} == {0o600}


def test_stock_transformers_reads_it_with_full_attention(published, extended):
    code = (
        "import sys, torch\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        "ids = torch.arange(5, 69)[None]\n"
        "old, new = (AutoModel.from_pretrained(folder).eval() for folder in sys.argv[1:])\n"
        "assert type(new).__name__ == 'MegatronBertModel'\n"
        "assert AutoTokenizer.from_pretrained(sys.argv[2]).model_max_length == 200\n"
        "with torch.no_grad():\n"
        "    print((old(ids).last_hidden_state - new(ids).last_hidden_state).abs().max().item())\n"
        "    new(torch.arange(5, 205)[None])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(published), str(extended)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == 0


@pytest.mark.parametrize("lengths", [[3], [COVERED, 5], [24, 10], [25, 1], [128, 40, 9], [200, 199, 17]])
@pytest.mark.usefixtures("_remote_code")
def test_remote_code_reads_it_with_the_window(extended, lengths):
    from transformers import AutoModel, AutoModelForMaskedLM

    ids, mask = texts(lengths)
    wanted = oracle(extended, ids, mask)
    model = AutoModel.from_pretrained(extended, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules.")
    torch.testing.assert_close(states(model, ids, mask), wanted, atol=1e-5, rtol=1e-5)
    head = AutoModelForMaskedLM.from_pretrained(extended, trust_remote_code=True)
    torch.testing.assert_close(states(head.bert, ids, mask), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[COVERED, 5], [200, 199, 17]])
def test_inside_notemill_no_code_of_the_folder_runs(extended, lengths):
    from transformers import AutoModel

    enable_attention_interface()
    ids, mask = texts(lengths)
    model = AutoModel.from_pretrained(extended, attn_implementation="notemill_sliding_window")
    assert type(model).__module__.startswith("transformers.models.")
    wanted = oracle(extended, ids, mask)
    torch.testing.assert_close(states(model, ids, mask), wanted, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        output = model(ids, attention_mask=mask, output_attentions=True)
    torch.testing.assert_close(output.last_hidden_state[mask.bool()], wanted, atol=1e-5, rtol=1e-5)
    model.set_attn_implementation("sdpa")
    full = states(model, ids, mask)
    is_covered = max(lengths) <= COVERED
    assert torch.allclose(full, wanted, atol=1e-5) == is_covered, "the window matters beyond half of it, and only there"


def test_padding_on_the_left_is_refused(extended):
    from transformers import AutoModel

    enable_attention_interface()
    model = AutoModel.from_pretrained(extended, attn_implementation="notemill_sliding_window")
    ids, mask = texts([40, 30])
    with pytest.raises(ValueError, match="padding on the right"):
        model(ids, attention_mask=mask.flip(1))


@pytest.mark.usefixtures("_remote_code")
def test_saving_with_remote_code_keeps_the_code(extended, tmp_path):
    from transformers import AutoModelForSequenceClassification

    ids, mask = texts([100, 60])
    model = AutoModelForSequenceClassification.from_pretrained(extended, trust_remote_code=True, num_labels=3).eval()
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", trust_remote_code=True).eval()
    with torch.no_grad():
        wanted = model(ids, attention_mask=mask).logits
        torch.testing.assert_close(again(ids, attention_mask=mask).logits, wanted)


def test_the_same_command_again_finds_it_done(published, extended):
    before = (extended / "extended.json").stat().st_mtime_ns
    extend(published, extended, LONG, WINDOW)
    assert (extended / "extended.json").stat().st_mtime_ns == before
    with pytest.raises(NotemillError, match="not empty"):
        extend(published, extended, LONG, WINDOW + 2)


@pytest.mark.parametrize(
    ("max_length", "window", "told"),
    [
        (POSITIONS, 16, "no more than the 64 positions"),
        (LONG, 15, "--window is 15"),
        (LONG, 0, "--window is 0"),
        (LONG, LONG + 2, "more than --max-length"),
    ],
)
def test_what_cannot_be_is_told(published, tmp_path, max_length, window, told):
    with pytest.raises(NotemillError, match=told):
        extend(published, tmp_path / "out", max_length, window)
    assert not list(tmp_path.iterdir())


def test_an_audit_of_the_source_does_not_come_along_and_a_ledger_does(copy, tmp_path):
    for name in ("audit.json", "ledger.json"):
        (copy / name).write_text("{}")
    names = {path.name for path in extend(copy, tmp_path / "long", LONG, WINDOW).iterdir()}
    assert "ledger.json" in names and "audit.json" not in names


def test_a_wrong_position_would_be_found(published, tmp_path, monkeypatch):
    def shifted(weight: torch.Tensor, count: int) -> torch.Tensor:
        return weight[(torch.arange(count) + 1) % len(weight)]

    monkeypatch.setattr("pretrain.huggingface.extend.tile_positions", shifted)
    with pytest.raises(NotemillError, match="over the tolerance"):
        extend(published, tmp_path / "out", LONG, WINDOW)
    assert not list(tmp_path.iterdir())


def test_a_window_that_config_json_spoils_is_told(extended, tmp_path):
    folder = shutil.copytree(extended, tmp_path / "spoilt")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_window": 7}))
    with pytest.raises(NotemillError, match="attention_window 7"):
        extend(folder, tmp_path / "out", 2 * LONG, WINDOW)
