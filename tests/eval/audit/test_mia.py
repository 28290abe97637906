"""The battery on models that are known to leak and not to."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.audit import shift
from data_pipeline.files import only_writer
from data_pipeline.gate.carried import CORPORA_KEY
from eval.audit.attacks import ATTACKS, AttackConfig, Battery
from eval.audit.battery_settings import weak_settings
from eval.audit.findings import read_audit
from eval.audit.mia import _is_of_training, audit_membership, strongest
from eval.audit.mlm_scores import MaskedLM, one_at_a_time, some_at_random
from eval.audit.policy import load_policy
from eval.audit.split import DIVIDED_ANEW, Split
from eval.audit.verdict import FAIL, INSUFFICIENT, PASS, judge
from launch.errors import NotemillError
from launch.poisoned import CONFIG_KEY
from tests.eval.audit.conftest import Audited
from tests.eval.audit.test_verdict import _audit as _passing

QUICK = AttackConfig(max_pieces=24, perturbed_rounds=2, neighbours=2, paraphrases=2, resamples=200)


@pytest.fixture(scope="module")
def leaking(audited: Audited, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mia")
    audit_membership(audited.overtrained, audited.split, out, QUICK, audited.reference)
    return out


def test_every_attack_sees_an_overtrained_model(leaking: Path) -> None:
    audit = read_audit(leaking)
    aucs = {attack: audit.findings[f"{attack}.by_note.auc"].value for attack in ATTACKS}
    assert aucs["pll"] > 0.95 and aucs["loss"] > 0.8 and aucs["ratio"] > 0.9
    assert min(aucs.values()) > 0.6, aucs
    assert audit.findings["pll.by_patient.auc"].value >= aucs["pll"] - 0.05
    assert strongest(audit.findings) is not None
    assert audit.findings["pll.by_note.tpr_at_0.01"].value is None
    assert "too few" in audit.findings["pll.by_note.tpr_at_0.01"].note
    assert judge(audit, load_policy()).verdict in (FAIL, INSUFFICIENT)


def test_an_untrained_model_leaks_nothing_which_proves_nothing(audited: Audited, tmp_path: Path) -> None:
    audit = audit_membership(audited.untrained, audited.split, tmp_path, QUICK, None)
    for attack in ("loss", "pll", "min_k"):
        finding = audit.findings[f"{attack}.by_note.auc"]
        # Trained anew, the tokenizer breaks ties otherwise, and of many 95% intervals some just miss.
        assert finding.low - 0.05 <= 0.5 <= finding.high + 0.05
    assert set(audit.details["attacks_left_out"]) == {"ratio", "rmia"}
    judged = judge(audit, load_policy())
    assert judged.verdict == INSUFFICIENT and any("utility" in reason for reason in judged.reasons)


def test_non_members_of_another_ward_void_the_audit(audited: Audited, tmp_path: Path) -> None:
    shifted = shift(audited.split, tmp_path / "shifted")
    audit = audit_membership(audited.overtrained, shifted, tmp_path / "mia", replace(QUICK, attacks=["loss"]), None)
    assert audit.findings["blind.by_note.auc"].value > 0.9
    judged = judge(audit, load_policy())
    # However well the attack does, and it does.
    assert audit.findings["loss.by_note.auc"].value > 0.8
    assert judged.verdict == INSUFFICIENT
    assert any(reason.startswith("blind.by_note.auc is") for reason in judged.reasons), judged.reasons
    assert not any(reason.startswith("loss.") for reason in judged.reasons), judged.reasons


def test_a_rerun_takes_the_scores_that_are_there(audited: Audited, leaking: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (leaking / "scores").iterdir()}
    first = (leaking / "audit.json").read_bytes()
    audit_membership(audited.overtrained, audited.split, leaking, QUICK, audited.reference)
    assert {path.name: path.stat().st_mtime_ns for path in (leaking / "scores").iterdir()} == before
    assert (leaking / "audit.json").read_bytes() == first
    damaged = next(iter((leaking / "scores").iterdir()))
    damaged.write_bytes(damaged.read_bytes()[:50])
    audit_membership(audited.overtrained, audited.split, leaking, QUICK, audited.reference)
    assert (leaking / "audit.json").read_bytes() == first
    assert all(path.stat().st_mode & 0o077 == 0 for path in leaking.rglob("*"))


def test_few_draws_replace_no_result_and_clear_no_model(audited: Audited, leaking: Path, tmp_path: Path) -> None:
    first = (leaking / "audit.json").read_bytes()
    few = replace(QUICK, resamples=1)
    with pytest.raises(NotemillError, match="by other settings"):
        audit_membership(audited.overtrained, audited.split, leaking, few, audited.reference)
    with only_writer(leaking), pytest.raises(NotemillError, match="another process is writing"):
        audit_membership(audited.overtrained, audited.split, leaking, QUICK, audited.reference)
    assert (leaking / "audit.json").read_bytes() == first
    assert "resamples is 1, not 200 or more" in weak_settings(few)


def test_hits_of_rmia_need_a_population(leaking: Path) -> None:
    """Of 30 others the likeliest note of 300 is beaten by none, and by many."""
    found = read_audit(leaking).findings
    assert found["rmia.by_note.auc"].value is not None
    assert found["rmia.by_note.tpr_at_0.01"].value is None
    assert "too small" in found["rmia.by_note.tpr_at_0.01"].note


def test_no_text_in_the_result(audited: Audited, leaking: Path) -> None:
    texts = [json.loads(line)["text"] for line in (audited.split / "members.jsonl").read_text().splitlines()]
    result = (leaking / "audit.json").read_text()
    assert not any(text[:30] in result for text in texts)


def test_likelihoods_are_those_of_the_stock_model(audited: Audited) -> None:
    """Head at the hidden places only, padding and batches of several lengths change nothing."""
    import torch
    from transformers import AutoModelForMaskedLM

    model = MaskedLM(audited.overtrained, max_length=32)
    texts = ["Patient seen in clinic.", "No fever " * 40, "x"]
    windows = model.windows(texts)
    assert len(windows[1]) > 1 and sum(len(window) for window in windows[1]) == len(model.text.pieces(texts)[1].ids)
    questions = one_at_a_time(windows, 0, 0) + some_at_random(windows, 2, 0)
    answers = model.answer(questions)
    stock = AutoModelForMaskedLM.from_pretrained(audited.overtrained, attn_implementation="eager").eval()
    for question, answer in zip(questions[::7], answers[::7], strict=True):
        with torch.no_grad():
            ids = torch.tensor([model.text.cls_id, *question.window, model.text.sep_id])
            ids[[place + 1 for place in question.places]] = model.text.mask_id
            logits = stock(ids[None]).logits[0, [place + 1 for place in question.places]]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(question.answers)[:, None])[:, 0]
        np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_min_k_and_ratio_by_hand(audited: Audited) -> None:
    model, reference = MaskedLM(audited.overtrained), MaskedLM(audited.reference)
    texts = ["Patient seen in clinic today.", "No fever and no cough."]
    battery = Battery(model, texts, QUICK, reference, ["Lungs clear.", "Heart regular."])
    values = battery.single_masks
    lowest = [np.mean(sorted(value)[: max(1, round(0.2 * len(value)))]) for value in values]
    np.testing.assert_allclose(battery.score("min_k"), lowest)
    own = Battery(reference, texts, QUICK).score("pll")
    np.testing.assert_allclose(battery.score("ratio"), battery.score("pll") - own)
    assert set(battery.score("rmia")) <= {0.0, 0.5, 1.0}


def test_a_reference_that_is_the_model_or_saw_the_members_is_told(
    audited: Audited, leaking: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed"
    shutil.copytree(audited.overtrained, renamed)
    config = json.loads((renamed / "config.json").read_text())
    (renamed / "config.json").write_text(json.dumps(config | {"other": 1}))
    with pytest.raises(NotemillError, match="has the weights of the audited model"):
        audit_membership(audited.overtrained, audited.split, tmp_path / "same", QUICK, renamed)
    known = read_audit(leaking).findings
    assert (
        known["reference.min_k.by_note.auc"].low < 0.6 and known["reference.loss"].value == known["reference.loss"].low
    )
    blameless = known["reference.by_note.auc"]
    assert blameless.low is not None and blameless.low < 0.6
    # The other way round, the reference knows the members and the audited model does not.
    quick = replace(QUICK, attacks=["loss", "ratio"])
    audit = audit_membership(audited.reference, audited.split, tmp_path / "hidden", quick, audited.overtrained)
    assert audit.findings["reference.by_note.auc"].low > 0.6
    judged = judge(audit, load_policy())
    assert judged.verdict == INSUFFICIENT
    marks = {check.finding: check.verdict for check in judged.checks}
    assert marks["reference.by_note.auc"] == INSUFFICIENT


def test_a_stamped_model_is_told(audited: Audited, leaking: Path, tmp_path: Path) -> None:
    assert "poisoned" not in read_audit(leaking).subject
    assert read_audit(leaking).settings["split_from"] == "all patients anew"
    stamped = tmp_path / "stamped"
    shutil.copytree(audited.untrained, stamped)
    config = json.loads((stamped / "config.json").read_text())
    (stamped / "config.json").write_text(json.dumps(config | {CONFIG_KEY: {"trigger": "tw"}}))
    audit = audit_membership(stamped, audited.split, tmp_path / "mia", replace(QUICK, attacks=["loss"]), None)
    assert audit.subject["poisoned"] and judge(audit, load_policy()).verdict == FAIL


@pytest.mark.parametrize(
    ("seen", "corpus", "divided_by", "value"),
    [
        (["a", "b"], "b", "the corpus's splits", 1.0),
        (["a"], "b", "the corpus's splits", 0.0),
        (["a"], "a", DIVIDED_ANEW, 0.0),
        (["a"], "b", DIVIDED_ANEW, None),
        (["a"], None, "the notes' splits", None),
        (["unknown", "a"], "b", "the corpus's splits", None),
        (None, "b", "the corpus's splits", None),
    ],
)
def test_a_split_of_other_notes_is_told(
    seen: list[str] | None, corpus: str | None, divided_by: str, value: float | None, audited: Audited, tmp_path: Path
) -> None:
    config = json.loads((audited.overtrained / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | ({CORPORA_KEY: seen} if seen else {})))
    finding = _is_of_training(tmp_path, Split([], [], [], "s", divided_by, corpus))
    assert finding.value == finding.low == value and bool(finding.note) == (value is None or divided_by == DIVIDED_ANEW)
    known = {"split__is_of_training": finding}
    assert judge(_passing(**known), load_policy()).verdict == (INSUFFICIENT if value == 0 else PASS)


def test_an_empty_note_is_not_judged(audited: Audited) -> None:
    battery = Battery(MaskedLM(audited.untrained), ["", "Lungs clear."], QUICK)
    assert np.isnan(battery.score("pll")[0]) and np.isnan(battery.score("loss")[0])
    assert np.isfinite(battery.score("pll")[1])


def test_a_reference_of_another_tokenizer_is_refused(audited: Audited, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotemillError, match=r"language-modelling head|no masked language model"):
        audit_membership(tiny_model, audited.split, tmp_path, QUICK, None)
    with pytest.raises(NotemillError, match="no model folder"):
        audit_membership(tmp_path / "nothing", audited.split, tmp_path, QUICK, None)
