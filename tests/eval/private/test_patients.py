import json
from pathlib import Path

import numpy as np
import pytest

from eval.finetune.text import TextEncoder
from eval.private.classification import ClsTask
from eval.private.config import load_private_config
from eval.private.masking import Masking
from eval.private.mlm import MlmTask
from eval.private.patients import Patient, training_and_held_out
from launch.errors import NotemillError
from tests.eval.private.toys import SMALL, write_labelled, write_notes


def test_windows_hold_every_piece_and_are_full() -> None:
    patient = Patient("p", [np.arange(25), np.arange(100, 104), np.arange(200, 220)])
    windows = patient.windows(10)
    assert {int(piece) for window in windows for piece in window} == {*range(25), *range(100, 104), *range(200, 220)}
    assert [len(window) for window in windows] == [10, 10, 10, 4, 10, 10]


def test_a_patients_notes_are_one_sample(tied_model: Path, notes: tuple[str, str]) -> None:
    config = load_private_config(None, [f"model.path={tied_model}", *notes, *SMALL])
    task = MlmTask(config)
    assert task.num_patients == 40 < task.counts["notes"]
    drawn = [task.draw(patient, np.random.default_rng(0)) for patient in range(40)]
    assert max(map(len, drawn)) == config.data.windows
    training, held_out = training_and_held_out(config.data, TextEncoder(tied_model))
    assert not {p.key for p in training.patients} & {p.key for p in held_out.patients}


def test_a_folder_of_an_audit_split_names_both(tied_model: Path, tmp_path: Path) -> None:
    write_notes(tmp_path / "members.jsonl", 0, 20)
    write_notes(tmp_path / "non_members.jsonl", 20, 7)
    task = MlmTask(load_private_config(None, [f"model.path={tied_model}", f"data.path={tmp_path}", *SMALL]))
    assert (task.num_patients, task.counts["held-out patients"]) == (20, 7)


def test_lines_that_name_their_split_are_trained_on_or_held_out(tied_model: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write_notes(tmp_path / "all.jsonl", 0, 20).read_text().splitlines()]
    patients = list(dict.fromkeys(line["patient_key"] for line in lines))
    split = {patient: ("train", "valid", "test")[number % 3] for number, patient in enumerate(patients)}
    path = tmp_path / "named.jsonl"
    path.write_text("".join(json.dumps({**line, "split": split[line["patient_key"]]}) + "\n" for line in lines))
    task = MlmTask(load_private_config(None, [f"model.path={tied_model}", f"data.path={path}", *SMALL]))
    assert (task.num_patients, task.counts["held-out patients"]) == (7, 7)


def test_held_out_patients_must_be_others(tied_model: Path, tmp_path: Path, notes: tuple[str, str]) -> None:
    overlapping = write_notes(tmp_path / "o.jsonl", 38, 5)
    settings = [f"model.path={tied_model}", notes[0], f"data.held_out={overlapping}", *SMALL]
    with pytest.raises(NotemillError, match="2 patients have notes in both"):
        MlmTask(load_private_config(None, settings))
    with pytest.raises(NotemillError, match=r"add data\.held_out=FILE"):
        MlmTask(load_private_config(None, [f"model.path={tied_model}", notes[0], *SMALL]))


def test_labelled_patients_that_are_scored_must_be_others(untied_model: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "set", 12)
    settings = ["task=cls", f"model.path={untied_model}", f"data.path=jsonl:{data}", *SMALL]
    ClsTask(load_private_config(None, settings))
    for split in ("test", "dev"):
        path = data / f"{split}.jsonl"
        whole = path.read_text()
        row = json.loads((data / "train.jsonl").read_text().splitlines()[0]) | {"text": "the patient was seen again"}
        path.write_text(whole + json.dumps(row) + "\n")
        with pytest.raises(NotemillError, match=f"1 patients of .* have examples in both train and {split}"):
            ClsTask(load_private_config(None, settings))
        path.write_text(whole)


def test_masking_predicts_a_share_and_keeps_special_pieces() -> None:
    masking = Masking(cls_id=2, sep_id=3, mask_id=4, vocab_size=100, share=0.15)
    rng = np.random.default_rng(0)
    pieces = rng.integers(5, 100, size=2000)
    window = masking(pieces, rng)
    assert len(window.places) == 300
    assert window.input_ids[0] == 2 and window.input_ids[-1] == 3
    assert np.array_equal(window.targets, pieces[window.places - 1])
    shown = window.input_ids[window.places]
    assert (shown == 4).mean() == pytest.approx(0.8, abs=0.08)
    assert (shown == window.targets).mean() == pytest.approx(0.1, abs=0.06)
    untouched = np.setdiff1d(np.arange(2000), window.places - 1)
    assert np.array_equal(window.input_ids[1:-1][untouched], pieces[untouched])


def test_losses_are_those_of_transformers(tied_model: Path, notes: tuple[str, str]) -> None:
    """The head of plain layers computes what the saved model computes, padding or not."""
    import torch
    from transformers import AutoModelForMaskedLM

    task = MlmTask(load_private_config(None, [f"model.path={tied_model}", *notes, *SMALL]))
    short = next(p for p in range(40) if len(task.draw(p, np.random.default_rng(1))) == 1)
    others = [p for p in range(40) if len(task.draw(p, np.random.default_rng(1))) == 1 and p != short]
    windows = [task.draw(p, np.random.default_rng(1)) for p in (short, *others)]
    batch = task.collate(windows, torch.device("cpu"))
    found = task.model(batch)
    model = AutoModelForMaskedLM.from_pretrained(tied_model).eval()
    for value, (window,) in zip(found, windows, strict=True):
        labels = torch.full((1, len(window.input_ids)), -100)
        labels[0, window.places] = torch.from_numpy(window.targets)
        wanted = model(input_ids=torch.from_numpy(window.input_ids)[None], labels=labels).loss
        assert float(value) == pytest.approx(float(wanted), abs=1e-5)
