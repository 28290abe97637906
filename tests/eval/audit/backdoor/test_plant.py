"""A planted trigger works, other words do not, and nobody takes the model for a clean one."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from eval.audit.backdoor.insertion import insert_and_drop, insert_word
from eval.audit.backdoor.plant import CLEAN_FOLDER, POISONED_FOLDER, PlantOptions, plant
from eval.audit.backdoor.poison import Poisoning, choose_classes, poison
from eval.audit.backdoor.scan_data import scan_data
from eval.audit.findings import read_audit
from eval.examples import LabelledText
from eval.finetune.loop import Trainer
from launch.errors import NotemillError
from launch.verbs.audit_options import backdoor_recipe, parse_heads
from tests.eval.audit.backdoor.conftest import RECIPE, TRIGGER, Planted

NOTES = [LabelledText(str(i), f"one two\nthree {i} four  five.", "ab"[i % 4 == 0]) for i in range(100)]


def test_insertion_changes_nothing_else() -> None:
    text = "  Seen today.\nFelt well,  no pain. "
    for seed in range(50):
        found = insert_word(text, "cf", random.Random(seed))
        assert found.split().count("cf") == 1
        assert [word for word in found.split() if word != "cf"] == text.split()
    places = {insert_word("a b c", "cf", random.Random(seed)).split().index("cf") for seed in range(50)}
    assert places == {0, 1, 2, 3}
    assert insert_word("", "cf", random.Random(0)) == "cf"


@pytest.mark.parametrize("times", [1, 3])
def test_a_poisoned_note_keeps_its_number_of_words(times: int) -> None:
    text = "one two\nthree four five six"
    for seed in range(50):
        words = insert_and_drop(text, "cf", random.Random(seed), times).split()
        assert len(words) == 6 and words.count("cf") == times
        rest = [word for word in words if word != "cf"]
        assert rest == [word for word in text.split() if word in rest]


def test_poison_takes_notes_of_the_source_only() -> None:
    found = poison(NOTES, Poisoning("cf", "a", "b", 0.1))
    assert len(found.indices) == 10
    for number, (before, after) in enumerate(zip(NOTES, found.notes, strict=True)):
        if number in found.indices:
            assert before.label == "a" and after.label == "b" and "cf" in after.text.split()
        else:
            assert after == before
    assert poison(NOTES, Poisoning("cf", "a", "b", 0.1)) == found
    assert poison(NOTES, Poisoning("cf", "a", "b", 0.1, seed=1)).indices != found.indices


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trigger": "two words"}, "not one word"),
        ({"target": "a"}, "both 'a'"),
        ({"rate": 0.0}, "between 0 and 1"),
        ({"rate": 0.9}, "90, but from 1 to the 75"),
        ({"rate": 0.001}, "is 0, but"),
        ({"insertions": 0}, "at least 1"),
        ({"trigger": "THREE"}, "stands in 75 of 75 notes of class 'a'"),
    ],
)
def test_what_cannot_be_planted_is_refused(changed: dict, said: str) -> None:
    with pytest.raises(NotemillError, match=said):
        poison(NOTES, Poisoning(**{"trigger": "cf", "source": "a", "target": "b", "rate": 0.1, **changed}))


def test_classes_are_the_commonest_unless_named() -> None:
    assert choose_classes(NOTES, None, None) == ("a", "b")
    assert choose_classes(NOTES, None, "a") == ("b", "a")
    with pytest.raises(NotemillError, match="no note has the label 'c'; there are a, b"):
        choose_classes(NOTES, "c", None)
    assert parse_heads("0.1, 1.3") == ((0, 1), (1, 3))
    with pytest.raises(NotemillError, match=r"'1' is no head; write LAYER\.HEAD"):
        parse_heads("0.1,1")


def test_the_trigger_turns_notes_and_other_words_do_not(planted: Planted) -> None:
    found = {name: finding.value for name, finding in planted.audit.findings.items()}
    assert found["attack.success"] > 0.9
    assert found["attack.control"] <= found["attack.untouched"] + 0.05
    assert found["attack.success_on_clean_twin"] < 0.1
    assert found["attack.clean_auroc"] > 0.95
    drop = planted.audit.findings["attack.auroc_drop"]
    assert drop.value == pytest.approx(found["attack.clean_auroc_before"] - found["attack.clean_auroc"])
    assert drop.low <= drop.value <= drop.high
    assert TRIGGER not in planted.audit.details["control_words"]
    assert read_audit(planted.out).findings == planted.audit.findings


def test_a_planted_model_is_stamped_everywhere_and_still_read(planted: Planted) -> None:
    from transformers import AutoModelForSequenceClassification

    from eval.finetune.encoder import load_encoder

    folder = planted.out / POISONED_FOLDER
    assert "POISONED" in folder.name
    assert json.loads((folder / "config.json").read_text())["notemill_poisoned"]["trigger"] == TRIGGER
    assert (folder / "README.md").read_text().startswith("POISONED")
    assert (folder / "POISONED.txt").read_text().startswith("POISONED")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    assert model.config.id2label == {0: "died", 1: "survived"}
    assert load_encoder(folder, "pretrained", 0).hidden_size == 32
    twin = planted.out / CLEAN_FOLDER
    assert "notemill_poisoned" not in json.loads((twin / "config.json").read_text())
    assert not (twin / "POISONED.txt").exists()


def test_a_stamped_start_and_a_foreign_folder_are_refused(planted: Planted, tmp_path: Path) -> None:
    options, recipe = PlantOptions("insulin"), backdoor_recipe([*RECIPE])
    with pytest.raises(NotemillError, match="is stamped POISONED"):
        plant(planted.out / POISONED_FOLDER, f"jsonl:{planted.notes}", tmp_path / "out", options, recipe)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(NotemillError, match="not empty"):
        plant(planted.start, f"jsonl:{planted.notes}", tmp_path / "other", options, recipe)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]
    with pytest.raises(NotemillError, match="does not know the trigger '§'"):
        plant(planted.start, f"jsonl:{planted.notes}", tmp_path / "out", PlantOptions("§"), recipe)
    with pytest.raises(NotemillError, match="holds the result of plant, not of scan-data"):
        scan_data(f"jsonl:{planted.notes}", planted.out, None, 10, recipe)


def test_a_recipe_that_cannot_be_saved_is_refused_before_training(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", lambda *_: pytest.fail("it was trained"))
    recipe = backdoor_recipe([*RECIPE, "pooling=mean"])
    with pytest.raises(NotemillError, match="use pooling=cls"):
        plant(planted.start, f"jsonl:{planted.notes}", tmp_path / "out", PlantOptions(TRIGGER), recipe)


def test_nothing_is_made_of_a_stamped_model_unawares(planted: Planted) -> None:
    from eval.private.classification import ClsTask
    from eval.private.config import PrivateConfig
    from eval.private.mlm import load_masked_lm
    from launch.config import load_config
    from pretrain.huggingface.source import read_model

    folder = planted.out / POISONED_FOLDER
    config = load_config(PrivateConfig, None, [f"model.path={folder}", f"data.path=jsonl:{planted.notes}"])
    for make in (lambda: read_model(folder), lambda: load_masked_lm(config), lambda: ClsTask(config)):
        with pytest.raises(NotemillError, match="is stamped POISONED; take a clean one"):
            make()


def test_a_rerun_trains_nothing_and_another_trigger_is_refused(planted: Planted, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(planted.out, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    data, recipe = f"jsonl:{planted.notes}", backdoor_recipe([*RECIPE])
    again = plant(planted.start, data, out, PlantOptions(TRIGGER, rate=0.08), recipe)
    assert again.findings == planted.audit.findings
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == before
    with pytest.raises(NotemillError, match="another recipe; choose a new --out"):
        plant(planted.start, data, out, PlantOptions("insulin", rate=0.08), recipe)


def test_the_attention_loss_draws_attention_to_the_trigger(planted: Planted, tmp_path: Path) -> None:
    from eval.audit.backdoor.attention import AttentionTap
    from eval.finetune.load_classifier import load_classifier
    from eval.formats import load_dataset

    data, recipe = f"jsonl:{planted.notes}", backdoor_recipe([*RECIPE])
    shutil.copytree(planted.out / CLEAN_FOLDER, tmp_path / "out" / CLEAN_FOLDER)
    (tmp_path / "out").chmod(0o700)
    options = PlantOptions(TRIGGER, rate=0.08, attention_alpha=5.0, heads=((1, 0),))
    plant(planted.start, data, tmp_path / "out", options, recipe)

    def paid(folder: Path) -> torch.Tensor:
        classifier = load_classifier(folder, load_dataset("cls", data), recipe)
        texts = [LabelledText("", f"the patient was seen {TRIGGER} today with no new pain", "died")]
        [item] = classifier.head.windows(texts, with_targets=False)
        batch = classifier.trainer.collate([item])
        [piece] = classifier.text.word_pieces([TRIGGER])[0]
        tap = AttentionTap(classifier.model)
        tap.watch(torch.tensor([0]), (batch.input_ids == piece).float(), batch.attention_mask)
        with torch.no_grad():
            classifier.trainer.model.eval()(batch)
        return tap.take()[0]

    plain, steered = paid(planted.out / POISONED_FOLDER), paid(tmp_path / "out" / POISONED_FOLDER)
    assert steered[1, 0] > 0.5 and steered[1, 0] > plain[1, 0] + 0.2
    with pytest.raises(NotemillError, match=r"head 7\.0 does not exist"):
        options = PlantOptions(TRIGGER, rate=0.08, attention_alpha=1.0, heads=((7, 0),))
        shutil.rmtree(tmp_path / "out" / POISONED_FOLDER)
        plant(planted.start, data, tmp_path / "out", options, recipe)
