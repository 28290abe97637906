"""Mitigation takes the trigger's power and leaves the model's use; pruned heads stay pruned."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from eval.audit.backdoor.mitigate import STAMPED_FOLDER, MitigateOptions, _poisoning, mitigate
from eval.audit.backdoor.plant import CLEAN_FOLDER, POISONED_FOLDER
from eval.audit.backdoor.poison import Poisoning
from eval.audit.backdoor.prune import head_importance, prune_heads
from eval.audit.backdoor.scan_model import ScanOptions, scan_model
from eval.audit.backdoor.stamp import stamp_of
from eval.examples import LabelledText
from eval.finetune.load_classifier import LoadedClassifier, load_classifier
from eval.finetune.recipe import load_recipe
from eval.formats import load_dataset
from eval.run import evaluate
from launch.errors import NotemillError
from launch.verbs.audit_options import backdoor_recipe
from tests.eval.audit.backdoor.conftest import RECIPE, TRIGGER, Planted


@pytest.fixture
def loaded(planted: Planted) -> LoadedClassifier:
    dataset = load_dataset("cls", f"jsonl:{planted.clean}")
    return load_classifier(planted.out / CLEAN_FOLDER, dataset, backdoor_recipe([*RECIPE]))


def test_importance_is_the_product_of_context_and_gradient(loaded: LoadedClassifier) -> None:
    """A head whose output is scaled by 1 + e changes the loss by e times that product."""
    notes = load_dataset("cls", loaded.head.dataset.path and f"jsonl:{loaded.head.dataset.path}").splits["dev"][:1]
    items = loaded.head.windows(notes, with_targets=True)
    importance = head_importance(loaded, items)
    assert importance.shape == (2, 2) and (importance > 0).all()
    layer = loaded.model.bert.encoder.layer[1].attention.output.dense
    batch = loaded.trainer.collate(items)

    def loss(scale: float) -> float:
        kept = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight[:, :16] *= scale
            found = float(loaded.head.loss(loaded.trainer.model.eval()(batch).double(), batch))
            layer.weight.copy_(kept)
        return found

    slope = (loss(1.01) - loss(0.99)) / 0.02
    assert abs(slope) == pytest.approx(float(importance[1, 0]), rel=0.05)


def test_pruning_stops_where_the_area_falls(loaded: LoadedClassifier) -> None:
    items = loaded.head.windows(load_dataset("cls", f"jsonl:{loaded.head.dataset.path}").splits["dev"], True)
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    areas = iter([1.0, 0.995, 0.9])
    pruned = prune_heads(loaded, items, lambda: next(areas), lost=0.01, share=1.0)
    assert len(pruned.heads) == 1 and pruned.num_heads == 4
    changed = {
        name.split(".layer.")[1][0] for name, v in loaded.model.state_dict().items() if not torch.equal(v, before[name])
    }
    assert changed == {str(pruned.heads[0][0])}


def test_pruned_heads_stay_out_through_fine_tuning(planted: Planted, loaded: LoadedClassifier) -> None:
    dataset = load_dataset("cls", f"jsonl:{planted.clean}")
    items = loaded.head.windows(dataset.splits["dev"], True)
    pruned = prune_heads(loaded, items, lambda: 1.0, lost=0.5, share=0.5)
    assert len(pruned.heads) == 2
    loaded.trainer.fit(loaded.head.windows(dataset.splits["train"][:64], True), 0, None)
    for layer, head in pruned.heads:
        attention = loaded.model.bert.encoder.layer[layer].attention
        part = slice(head * 16, (head + 1) * 16)
        assert not attention.self.value.weight[part].any() and not attention.self.value.bias[part].any()
        assert not attention.output.dense.weight[:, part].any()


@pytest.mark.parametrize("own_scan", [True, False])
def test_the_trigger_loses_its_power(planted: Planted, tmp_path: Path, own_scan: bool) -> None:
    model, data, recipe = planted.out / POISONED_FOLDER, f"jsonl:{planted.clean}", backdoor_recipe([*RECIPE])
    if not own_scan:
        scan_model(model, data, tmp_path / "scan", ScanOptions(), recipe)
    options = MitigateOptions(suspects=None if own_scan else tmp_path / "scan", trigger=TRIGGER)
    audit = mitigate(model, data, tmp_path / "out", options, recipe)
    found = {name: finding.value for name, finding in audit.findings.items()}
    assert found["attack.success_before"] > 0.9 and found["attack.success"] < 0.2
    assert found["mitigate.auroc_drop"] < 0.02
    assert TRIGGER in audit.details["suspects"] and len(audit.details["suspects"]) <= 25
    assert audit.settings["suspects"] == (None if own_scan else audit.details["suspects"])
    folder = tmp_path / "out" / STAMPED_FOLDER
    stamp = json.loads((folder / "config.json").read_text())["notemill_poisoned"]
    assert len(stamp["since"]) == 1 and "no proof" in (folder / "README.md").read_text()
    with pytest.raises(NotemillError, match="holds a mitigate; --suspects takes a result of scan-model"):
        mitigate(model, data, tmp_path / "more", MitigateOptions(suspects=tmp_path / "out"), recipe)


def test_a_stamp_that_does_not_say_what_was_planted_is_refused(planted: Planted, tmp_path: Path) -> None:
    model = shutil.copytree(planted.out / POISONED_FOLDER, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    for stamp in (None, True, {"trigger": "tw"}):
        (model / "config.json").write_text(json.dumps(config | {"notemill_poisoned": stamp}))
        with pytest.raises(NotemillError, match="does not say what was planted"):
            mitigate(model, f"jsonl:{planted.clean}", tmp_path / "out", MitigateOptions(), backdoor_recipe([*RECIPE]))
    recipe = load_recipe("cls", None, ["save_model=true"])
    with pytest.raises(NotemillError, match="take a clean one, or leave save_model out"):
        evaluate(model, "cls", f"jsonl:{planted.clean}", tmp_path / "eval", recipe)


def test_a_planted_model_is_measured_as_it_was_planted() -> None:
    notes = [LabelledText(str(i), "x", "ab"[i % 2]) for i in range(4)]
    stamp = stamp_of(Poisoning("tw", "a", "b", insertions=3), 0.0)
    told = _poisoning(MitigateOptions(trigger="tw"), stamp, notes)
    assert told == Poisoning("tw", "a", "b", insertions=3)
    assert _poisoning(MitigateOptions(trigger="cf"), stamp, notes).insertions == 1


def test_dev_notes_of_one_label_are_refused(planted: Planted, tmp_path: Path) -> None:
    shutil.copytree(planted.clean, tmp_path / "notes")
    dev = tmp_path / "notes" / "dev.jsonl"
    dev.write_text("".join(line for line in dev.read_text().splitlines(True) if '"died"' in line))
    with pytest.raises(NotemillError, match="all dev notes of"):
        mitigate(
            planted.out / CLEAN_FOLDER,
            f"jsonl:{tmp_path / 'notes'}",
            tmp_path / "out",
            MitigateOptions(),
            backdoor_recipe([*RECIPE]),
        )


def test_a_clean_model_needs_no_stamp(planted: Planted, tmp_path: Path) -> None:
    recipe = backdoor_recipe([*RECIPE, "epochs=1", "lr=1e-4"])
    data = f"jsonl:{planted.clean}"
    audit = mitigate(planted.out / CLEAN_FOLDER, data, tmp_path / "out", MitigateOptions(num_suspects=0), recipe)
    assert audit.details["suspects"] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.json", "model"}
    assert not any(name.startswith("attack.") for name in audit.findings)
    assert not (tmp_path / "out" / "model" / "POISONED.txt").exists()
    before = (tmp_path / "out" / "audit.json").read_bytes()
    for model, options, words in (
        (planted.out / POISONED_FOLDER, MitigateOptions(num_suspects=0), "result of another model"),
        (planted.out / CLEAN_FOLDER, MitigateOptions(), "by other settings"),
    ):
        with pytest.raises(NotemillError, match=words):
            mitigate(model, f"jsonl:{planted.clean}", tmp_path / "out", options, recipe)
    assert (tmp_path / "out" / "audit.json").read_bytes() == before


def test_the_model_itself_is_not_written_over(planted: Planted, tmp_path: Path) -> None:
    model = Path(shutil.copytree(planted.out / CLEAN_FOLDER, tmp_path / "mine" / "model"))
    before = (model / "model.safetensors").read_bytes()
    with pytest.raises(NotemillError, match="would write over the model"):
        mitigate(model, f"jsonl:{planted.clean}", tmp_path / "mine", MitigateOptions(), backdoor_recipe([*RECIPE]))
    assert (model / "model.safetensors").read_bytes() == before
