"""Whole runs through the command line: killed, in two processes, refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.files import read_json, sha256_file
from data_pipeline.gate.carried import CORPORA_KEY
from eval.audit.findings import read_audit
from eval.finetune.model_config import load_config_of
from eval.private.accountant import Cost, Mechanism, default_delta
from eval.private.classification import ClsTask
from eval.private.config import load_private_config
from eval.private.ledger import Ledger
from eval.private.mlm import MlmTask
from eval.private.task import PrivateTask, dropout_of
from eval.private.train import _fingerprint, train_private
from launch.errors import NotemillError
from tests.eval.private.toys import ENTRY, SMALL, weights_of, write_labelled, write_notes
from tests.pretrain.launching import environment, notemill, torchrun

DROPOUT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}


def run(model: Path, notes: tuple[str, str], out: Path, *settings: str) -> Path:
    return train_private(
        load_private_config(None, [f"model.path={model}", *notes, *SMALL, f"run.dir={out}", *settings])
    )


def total(out: Path) -> float:
    return float(read_json(out / "ledger.json", "ledger")["total"]["epsilon"])


def task_of(model: Path, notes: tuple[str, str]) -> MlmTask:
    return MlmTask(load_private_config(None, [f"model.path={model}", *notes, *SMALL]))


def _require_no_trace_of_notes(out: Path, task: PrivateTask) -> None:
    """Neither their hash nor how many there are; a ledger's fingerprint is of the settings."""
    texts = {path.name: path.read_text() for path in out.iterdir() if path.suffix in (".json", ".md", ".yaml")}
    assert {"ledger.json", "audit.json", "README.md", "config.yaml"} <= set(texts)
    for name in ("ledger.json", "audit.json", "README.md", "config.yaml"):
        assert task.sha256 not in texts[name]
    audit = read_audit(out)
    assert "counts" not in audit.details and "patients" not in audit.findings
    assert set(audit.subject["data"]) == set(Ledger.of(out).entries[0].data) == {"path"}


def spent(out: Path) -> list[Mechanism]:
    return Ledger.of(out).mechanisms()


def test_a_run_leaves_a_model_its_account_and_its_use(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    # The least noise that keeps to the budget of 8.
    out = run(tied_model, notes, tmp_path / "out", "privacy.noise_multiplier=null")
    AutoModel.from_pretrained(out)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tokenizer("the patient", return_tensors="pt")["input_ids"].shape[1] == 2
    ledger = read_json(out / "ledger.json", "ledger")
    (entry,) = ledger["entries"]
    assert 7.9 < ledger["total"]["epsilon"] <= 8.0
    assert ledger["total"]["delta"] == pytest.approx(40**-1.1)
    assert (entry["status"], entry["charged_steps"], entry["sampling"]) == ("finished", 6, "poisson")
    assert entry["sampling_rate"] == 8 / 40
    assert entry["unit"].startswith("patient")
    assert "cryptographic" in entry["noise_generator"]
    audit = read_audit(out)
    assert audit.kind == "private"
    assert audit.findings["epsilon"].value == ledger["total"]["epsilon"]
    loss, unigram = (audit.findings[f"utility.{name}"] for name in ("heldout_loss", "unigram_loss"))
    assert loss.low is not None and loss.high is not None and loss.value is not None
    assert loss.low < loss.value < loss.high
    assert audit.findings["utility.gain_over_unigram"].value == pytest.approx(unigram.value - loss.value)
    assert audit.subject["files"]["model.safetensors"] == sha256_file(out / "model.safetensors")
    assert audit.findings["unit.is_patient"].value == 1.0
    card = (out / "README.md").read_text()
    assert "of any one patient: whether or not\na patient's notes were among" in card
    assert "epsilon 8" in card and "unit of privacy | patient" in card and "held-out loss" in card.lower()
    assert not (out / "checkpoint.pt").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.iterdir())
    # Privacy and usefulness stand in one line.
    last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epsilon")][-1]
    assert "held-out loss" in last and "unigram" in last
    assert dropout_of(model.config) == DROPOUT
    _require_no_trace_of_notes(out, task_of(tied_model, notes))
    before = weights_of(out)
    run(tied_model, notes, out, "privacy.noise_multiplier=null")
    assert "nothing was trained and nothing spent" in capsys.readouterr().err
    assert all(np.array_equal(value, before[name]) for name, value in weights_of(out).items())


@pytest.mark.parametrize("tied, noise", [(True, "secure"), (False, "torch")])
def test_two_processes_take_the_steps_of_one(
    tied: bool, noise: str, tied_model: Path, untied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    """The same patients, the same clipped gradients and one draw of noise: hooks when tied, ghost clipping when not."""
    model = tied_model if tied else untied_model
    settings = (f"privacy.noise={noise}", "privacy.seed=4", "train.patients=3")
    alone = run(model, notes, tmp_path / "one", *settings)
    both = tmp_path / "two"
    done = subprocess.run(
        [
            *torchrun(2),
            "launch.main",
            "train-private",
            f"model.path={model}",
            *notes,
            *SMALL,
            *settings,
            f"run.dir={both}",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert spent(alone) == spent(both)
    start, first, second = weights_of(model), weights_of(alone), weights_of(both)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=0, atol=2e-5, err_msg=name)
    moved = max(np.abs(value - start[name]).max() for name, value in first.items() if name in start)
    assert moved > 1e-3


def test_a_killed_run_goes_on_to_the_same_weights(tied_model: Path, notes: tuple[str, str], tmp_path: Path) -> None:
    """Killed by SIGKILL at whatever step it is, with the ledger ahead of it at any time."""
    settings = [f"model.path={tied_model}", *notes, *SMALL, "train.steps=40", "train.report_every=50"]
    settings += ["train.save_every=4", "privacy.seed=6"]
    whole = train_private(load_private_config(None, [*settings, f"run.dir={tmp_path / 'whole'}"]))
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "launch.main", "train-private", *settings, f"run.dir={out}"],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        entries = Ledger.of(out).entries
        if entries and entries[0].charged_steps >= 8:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (entry,) = Ledger.of(out).entries
    assert entry.status == "running" and 8 <= entry.charged_steps < 40
    assert (out / "checkpoint.pt").exists()
    train_private(load_private_config(None, [*settings, f"run.dir={out}"]))
    assert all(np.array_equal(value, weights_of(out)[name]) for name, value in weights_of(whole).items())
    (entry,) = Ledger.of(out).entries
    assert (entry.status, entry.charged_steps) == ("finished", 40)
    assert spent(out) == spent(whole)


class _StoppedError(Exception):
    pass


def _stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    from eval.private.clipping import PrivateUpdate

    real, taken = PrivateUpdate.step, []

    def step(self: PrivateUpdate, batches: object) -> None:
        if len(taken) == steps:
            raise _StoppedError
        taken.append(1)
        real(self, batches)  # type: ignore[arg-type]

    monkeypatch.setattr(PrivateUpdate, "step", step)


def test_a_run_whose_checkpoint_is_lost_stays_charged(tied_model: Path, notes: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(_StoppedError):
            run(tied_model, notes, out)
    (entry,) = Ledger.of(out).entries
    # Three steps were taken; the ledger is ahead of them by at most save_every.
    assert (entry.status, entry.charged_steps) == ("running", 4)
    (out / "checkpoint.pt").unlink()
    run(tied_model, notes, out)
    lost, finished = Ledger.of(out).entries
    assert (lost.status, lost.charged_steps) == ("lost", 4)
    assert (finished.status, finished.charged_steps) == ("finished", 6)
    alone = run(tied_model, notes, tmp_path / "alone")
    assert total(out) > total(alone)


def test_a_budget_that_a_lost_run_has_used_up_is_not_given_again(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, 5)
        with pytest.raises(_StoppedError):
            run(tied_model, notes, out)
    (out / "checkpoint.pt").unlink()
    spent = total(out)
    with pytest.raises(NotemillError, match="have spent epsilon"):
        run(tied_model, notes, out, "privacy.noise_multiplier=null", f"privacy.epsilon={0.999 * spent}")
    # What a larger budget leaves is spent with more noise, so that both keep to it together.
    budget = 1.2 * spent
    run(tied_model, notes, out, "privacy.noise_multiplier=null", f"privacy.epsilon={budget}")
    first, second = Ledger.of(out).entries
    assert second.noise_multiplier > first.noise_multiplier
    assert spent < total(out) <= budget


def test_a_checkpoint_of_another_run_is_refused(tied_model: Path, notes: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(_StoppedError):
            run(tied_model, notes, out)
    with pytest.raises(NotemillError, match="another recipe"):
        run(tied_model, notes, out, "train.lr=1e-2")
    # Other notes under the same path are another run; the same notes elsewhere are not.
    training = Path(notes[0].removeprefix("data.path="))
    other = tmp_path / "train.jsonl"
    other.write_text(training.read_text().replace("the", "a"))
    with pytest.raises(NotemillError, match="another recipe"):
        run(tied_model, (f"data.path={other}", notes[1]), out)
    assert Ledger.of(out).entries[0].charged_steps == 4
    shutil.copy(training, other)
    run(tied_model, (f"data.path={other}", notes[1]), out)
    assert [entry.status for entry in Ledger.of(out).entries] == ["finished"]


def test_steps_taken_with_other_noise_than_the_ledger_counts_are_refused(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, 1)
        with pytest.raises(_StoppedError):
            run(tied_model, notes, out)
    ledger = read_json(out / "ledger.json", "ledger")
    ledger["entries"][0]["noise_multiplier"] = 2.0
    (out / "ledger.json").write_text(json.dumps(ledger))
    with pytest.raises(NotemillError, match="with noise multiplier 1 and the ledger counts 2"):
        run(tied_model, notes, out)


def test_spending_is_inherited_from_the_model_and_from_earlier_runs(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    few = ("privacy.noise_multiplier=3.0", "privacy.epsilon=20")
    first = run(tied_model, notes, tmp_path / "first", *few)
    second = run(first, notes, tmp_path / "second", *few)
    assert [entry.inherited for entry in Ledger.of(second).entries] == [True, False]
    assert total(second) > total(first)
    # Both runs on the same patients count once, however often they are named.
    third = run(
        second, notes, tmp_path / "third", *few, f"privacy.earlier=[{tmp_path / 'first'},{tmp_path / 'second'}]"
    )
    assert len(Ledger.of(third).entries) == 3
    # From random weights nothing of the model comes along.
    fresh = run(second, notes, tmp_path / "fresh", *few, "model.initial=random")
    assert total(fresh) == pytest.approx(total(first))
    with pytest.raises(NotemillError, match=r"holds no ledger\.json"):
        run(tied_model, notes, tmp_path / "none", f"privacy.earlier=[{tied_model}]")
    with pytest.raises(NotemillError, match="of other settings"):
        run(tied_model, notes, tmp_path / "first", "privacy.noise_multiplier=4.0")


def test_the_corpora_of_the_start_are_not_passed_on(tied_model: Path, notes: tuple[str, str], tmp_path: Path) -> None:
    start = Path(shutil.copytree(tied_model, tmp_path / "start"))
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(config | {CORPORA_KEY: ["a" * 64]}))
    out = run(start, notes, tmp_path / "out")
    assert CORPORA_KEY not in json.loads((out / "config.json").read_text())


def test_fewer_patients_do_not_loosen_the_delta_of_a_run_before(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    few = ("privacy.noise_multiplier=3.0", "privacy.epsilon=20")
    first = run(tied_model, notes, tmp_path / "first", *few)
    fewer = (f"data.path={write_notes(tmp_path / 'fewer.jsonl', 60, 12)}", notes[1])
    second = run(first, fewer, tmp_path / "second", *few)
    deltas = [read_json(out / "ledger.json", "ledger")["total"]["delta"] for out in (first, second)]
    assert deltas[1] == deltas[0] == pytest.approx(default_delta(40))
    assert default_delta(40) < default_delta(12)
    with pytest.raises(NotemillError, match=r"a run before this one in the ledger protects its patients at 0\.0172"):
        run(first, fewer, tmp_path / "third", *few, f"privacy.delta={default_delta(12)}")


def test_classification_has_patients_and_a_baseline(untied_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    data = write_labelled(tmp_path / "set", 30)
    settings = [
        "task=cls",
        f"model.path={untied_model}",
        f"data.path=jsonl:{data}",
        *SMALL,
        f"run.dir={tmp_path / 'o'}",
    ]
    config = load_private_config(None, settings)
    out = train_private(config)
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.config.id2label == {0: "surgery", 1: "xray"}
    (entry,) = Ledger.of(out).entries
    assert ClsTask(config).num_patients == 30
    assert entry.unit.startswith("patient")
    findings = read_audit(out).findings
    assert {"utility.test_macro_f1", "utility.test_macro_f1.majority", "utility.test_accuracy"} <= set(findings)
    assert any("set of labels" in line for line in read_json(out / "ledger.json", "ledger")["not_covered"])
    assert dropout_of(load_config_of(out)) == dropout_of(load_config_of(untied_model)) == DROPOUT


def test_a_set_without_patients_says_that_its_unit_is_the_text(untied_model: Path, tmp_path: Path) -> None:
    data = write_labelled(tmp_path / "set", 12)
    for path in data.iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({"text": row["text"], "label": row["label"]}) + "\n" for row in rows))
    settings = ["task=cls", f"model.path={untied_model}", f"data.path=jsonl:{data}", *SMALL, "train.steps=1"]
    config = load_private_config(None, [*settings, f"run.dir={tmp_path / 'out'}"])
    task = ClsTask(config)
    assert task.unit.startswith("document")
    assert task.num_patients == task.counts["train"] > 12
    out = train_private(config)
    card = (out / "README.md").read_text()
    assert "of any one document: whether or not\na document was among" in card and "any one patient" not in card
    assert read_audit(out).findings["unit.is_patient"].value == 0.0


def test_a_seeded_run_has_no_epsilon_and_keeps_its_seed_to_itself(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(tied_model, notes, tmp_path / "out", "privacy.seed=918273645", "train.report_every=2")
    # What is trained from it has no epsilon either.
    second = run(out, notes, tmp_path / "second", "privacy.epsilon=null")
    for folder in (out, second):
        assert not any(b"918273645" in path.read_bytes() for path in folder.iterdir())
        audit = read_audit(folder)
        for name in ("epsilon", "epsilon.opacus", "epsilon.dp_accounting"):
            assert audit.findings[name].value is None and "privacy.seed" in audit.findings[name].note
        assert all(point["epsilon"] is None for point in audit.details["curve"])
        assert read_json(folder / "ledger.json", "ledger")["total"]["epsilon"] is None
        assert "No epsilon: privacy.seed was set" in (folder / "README.md").read_text()
        assert "to within epsilon" not in (folder / "README.md").read_text()
    assert "no epsilon, since privacy.seed is set" in capsys.readouterr().err
    # Nor can the seed be found by trying: two seeds leave one fingerprint.
    one, two = (
        load_private_config(None, ["privacy.seed=" + seed, f"model.path={tied_model}", *notes]) for seed in "12"
    )
    assert _fingerprint(one) == _fingerprint(two)


def test_runs_that_protect_different_units_have_no_epsilon_together(
    tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    earlier = Ledger(tmp_path / "earlier")
    earlier.folder.mkdir()
    earlier.put(replace(ENTRY, unit="document: the data set names no patients"))
    earlier.write(Cost(1.0, 1.0, 1e-3), "rdp", ())
    with pytest.raises(NotemillError, match="protects each patient and a run of other in the ledger each document"):
        run(tied_model, notes, tmp_path / "out", f"privacy.earlier=[{earlier.folder}]")
    assert not (tmp_path / "out" / "ledger.json").exists()


@pytest.mark.parametrize(
    "setting, message",
    [
        ("privacy.sampling=shuffle", "counts Poisson sampling"),
        ("train.patients=41", "has 40 patients"),
        ("privacy.delta=0.03", r"below 1 / 40 patients"),
        ("privacy.noise_multiplier=0.8 privacy.epsilon=2", r"above privacy\.epsilon 2"),
        ("privacy.noise_multiplier=0", "must be a number above 0"),
        ("privacy.clipping=ghost", "share theirs"),
        ("data.max_length=65", "reads at most 64"),
    ],
)
def test_what_would_not_be_private_is_refused(
    setting: str, message: str, tied_model: Path, notes: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(NotemillError, match=message):
        run(tied_model, notes, out, *setting.split())
    assert not (out / "ledger.json").exists()


def test_the_command_fails_in_one_sentence(tmp_path: Path) -> None:
    done = notemill("train-private", "model.path=hf", "data.path=x", "privacy.sampling=shuffle", status=2)
    assert done.stderr.startswith("notemill: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["mlm", "cls", "invented"])
def test_shipped_configurations_load(name: str) -> None:
    file = Path(__file__).parents[3] / "configs" / "private" / f"{name}.yaml"
    config = load_private_config(file, ["model.path=hf", "data.path=notes"])
    assert config.task == ("cls" if name == "cls" else "mlm") and config.privacy.epsilon == 8.0
