"""The policy's arithmetic: what passes, what fails, what proves nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from eval.audit.attacks import AttackConfig
from eval.audit.battery_settings import weak_settings
from eval.audit.findings import Audit, Finding, exact, read_audit
from eval.audit.policy import DEFAULT_POLICY, load_policy
from eval.audit.verdict import FAIL, INSUFFICIENT, NOT_MEASURED, PASS, judge, judge_all
from launch.errors import NotemillError

ATTACKS = ("loss", "pll", "min_k", "ratio", "rmia", "neighbourhood", "paraphrase")

LEAK = Finding(0.99, "attack", 0.98, 1.0)


def _audit(**changed: Finding) -> Audit:
    """A membership audit that passes, but for `changed` (dots as double underscores)."""
    findings = {
        f"{attack}.{unit}.auc": Finding(0.5, "attack", 0.45, 0.55)
        for attack in ATTACKS
        for unit in ("by_note", "by_patient")
    }
    findings |= {f"blind.{unit}.auc": Finding(0.5, "blind", 0.4, 0.6) for unit in ("by_note", "by_patient")}
    losses = {"member_loss": 3.0, "held_out_loss": 4.0, "member_unigram_loss": 6.0, "unigram_loss": 6.0}
    findings |= {f"utility.{name}": Finding(value, "loss") for name, value in losses.items()}
    findings["battery.weak_settings"] = Finding(0.0, "settings", 0.0, 0.0)
    findings |= {name.replace("__", "."): value for name, value in changed.items()}
    return Audit("mia", {"model": "hf", "files": {"model.safetensors": "ab"}}, {}, findings, {})


def test_the_verdicts() -> None:
    policy = load_policy()

    def verdict(**changed: Finding) -> str:
        return judge(_audit(**changed), policy).verdict

    assert verdict() == PASS
    assert verdict(pll__by_note__auc=Finding(0.7, "attack", 0.65, 0.75)) == FAIL
    assert verdict(pll__by_patient__auc=Finding(0.55, "attack", 0.4, 0.7)) == INSUFFICIENT
    assert verdict(rmia__by_note__auc=Finding(None, "attack")) == INSUFFICIENT
    shifted = {"blind__by_note__auc": Finding(0.56, "blind", 0.5, 0.6)}
    assert verdict(**shifted) == INSUFFICIENT
    # Where the comparison is not sound, a successful attack is no evidence either.
    assert verdict(**shifted, pll__by_note__auc=Finding(0.99, "attack", 0.98, 1.0)) == INSUFFICIENT
    assert verdict(utility__member_loss=Finding(6.1, "loss")) == INSUFFICIENT
    # A pure memoriser predicts nothing but its training notes, and leaks them.
    leak = Finding(0.99, "attack", 0.98, 1.0)
    assert verdict(utility__held_out_loss=Finding(9.0, "loss"), pll__by_note__auc=leak) == FAIL
    assert verdict(**{"loss__by_note__tpr_at_0.01": Finding(0.2, "hits")}) == FAIL
    assert verdict(**{"loss__by_note__tpr_at_0.01": Finding(None, "hits", note="too few")}) == PASS


def test_a_value_without_an_interval_is_no_evidence() -> None:
    judged = judge(_audit(pll__by_note__auc=Finding(0.5, "attack")), load_policy())
    assert judged.verdict == INSUFFICIENT and "without an interval" in judged.reasons[0]
    assert judge(_audit(pll__by_note__auc=Finding(0.9, "attack")), load_policy()).verdict == FAIL
    canary = {"canary.epsilon_lower_bound": Finding(0.4, "coins"), "canary.auc": Finding(0.5, "coins", 0.45, 0.55)}
    canary["battery.weak_settings"] = Finding(0.0, "settings", 0.0, 0.0)
    canary |= {"utility.member_loss": Finding(3.0, "loss"), "utility.member_unigram_loss": Finding(6.0, "loss")}
    assert judge(Audit("canary", {}, {}, canary, {}), load_policy()).verdict == PASS
    unlearnt = canary | {"utility.member_loss": Finding(9.0, "loss")}
    assert judge(Audit("canary", {}, {}, unlearnt, {}), load_policy()).verdict == INSUFFICIENT
    # Ten coins bound so little that they could not have shown more than the limit.
    few = canary | {"canary.epsilon_lower_bound": Finding(0.4, "coins", most=0.6)}
    judged = judge(Audit("canary", {}, {}, few, {}), load_policy())
    assert judged.verdict == INSUFFICIENT and "could not have been above 0.600" in judged.reasons[0]
    private = {"epsilon": Finding(2.0, "ledger"), "unit.is_patient": exact(1.0, "ledger")}
    assert judge(Audit("private", {}, {}, private, {}), load_policy()).verdict == PASS
    by_text = private | {"unit.is_patient": exact(0.0, "ledger")}
    assert judge(Audit("private", {}, {}, by_text, {}), load_policy()).verdict == INSUFFICIENT


def test_an_attack_clearly_below_guessing_is_no_pass_and_excuses_no_leak() -> None:
    judged = judge(_audit(loss__by_note__auc=Finding(0.4, "attack", 0.3, 0.49)), load_policy())
    assert judged.verdict == INSUFFICIENT and "not clearly below 0.5" in judged.reasons[0]
    assert judge(_audit(loss__by_note__auc=Finding(0.4, "attack", 0.3, 0.51)), load_policy()).verdict == PASS
    leak = {"loss__by_note__auc": Finding(0.4, "attack", 0.3, 0.49), "pll__by_note__auc": LEAK}
    assert judge(_audit(**leak), load_policy()).verdict == FAIL


def test_a_reference_that_knows_the_members_is_no_pass_and_excuses_no_leak() -> None:
    for low, expected in ((0.65, INSUFFICIENT), (0.55, PASS)):
        changed = {"reference__by_note__auc": Finding(0.7, "pll", low, 0.8)}
        assert judge(_audit(**changed), load_policy()).verdict == expected
        assert judge(_audit(**changed, pll__by_note__auc=LEAK), load_policy()).verdict == FAIL


def test_a_reference_that_has_learnt_nothing_is_no_pass() -> None:
    known = {"reference__loss": exact(5.0, "reference"), "utility__unigram_loss": Finding(6.0, "loss")}
    assert judge(_audit(**known), load_policy()).verdict == PASS
    unlearnt = known | {"reference__loss": exact(6.5, "reference")}
    assert judge(_audit(**unlearnt), load_policy()).verdict == INSUFFICIENT
    assert judge(_audit(**unlearnt, pll__by_note__auc=LEAK), load_policy()).verdict == FAIL


def test_what_was_not_measured_is_no_pass() -> None:
    suppressed = {"loss__by_note__tpr_at_0.01": Finding(None, "hits", note="too few")}
    [check] = [one for one in judge(_audit(**suppressed), load_policy()).checks if "tpr" in one.finding]
    assert check.verdict == NOT_MEASURED and "too few" in check.why
    [missing] = [one for one in judge(_audit(), load_policy()).checks if "tpr" in one.finding]
    assert missing.verdict == NOT_MEASURED


def test_nothing_but_optional_numbers_that_are_missing_is_no_pass(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{audit: mia, findings: [x], max: 1, optional: true, says: s}]")
    verdict, _, [judged] = judge_all([_audit()], load_policy(file))
    assert verdict == INSUFFICIENT and judged.verdict == NOT_MEASURED


def _scan(
    p_value: float | None, controls: int, alarm: float | None = 0.0, coverage: float = 1.0, notes: int = 48
) -> Audit:
    p = Finding(p_value, "rank", least=1 / (1 + controls))
    findings = {"scan.p_value": p, "scan.alarm": Finding(alarm, "threshold")}
    findings |= {"scan.coverage": exact(coverage, "words"), "scan.fewest_notes": exact(float(notes), "notes")}
    return Audit("scan-model", {}, {}, findings, {})


def test_scans_are_held_against_limits_that_they_can_break() -> None:
    policy = load_policy()
    assert judge(_scan(0.5, 10), policy).verdict == PASS
    assert judge(_scan(1 / 11, 10), policy).verdict == FAIL
    few = judge(_scan(0.1, 9), policy)
    assert few.verdict == INSUFFICIENT and "could not have been below 0.100" in few.reasons[0]
    assert judge(_scan(None, 0), policy).verdict == INSUFFICIENT
    # A model that gives all clean notes one label: no word can be tried towards that.
    assert judge(_scan(0.5, 10, notes=0), policy).verdict == INSUFFICIENT
    assert judge(_scan(0.5, 10, alarm=1.0), policy).verdict == FAIL
    assert judge(_scan(0.5, 10, alarm=None), policy).verdict == INSUFFICIENT
    assert judge(_scan(0.5, 10, coverage=0.05), policy).verdict == INSUFFICIENT
    assert judge(_scan(1 / 11, 10, coverage=0.05), policy).verdict == FAIL
    for suspects, verdict in ((0.0, PASS), (1.0, FAIL)):
        audit = Audit("scan-data", {}, {}, {"scan.suspects": Finding(suspects, "purity")}, {})
        assert judge(audit, policy).verdict == verdict


def test_the_policy_for_classifiers_is_the_shipped_ones_part() -> None:
    shipped, classifiers = load_policy(), load_policy(DEFAULT_POLICY.with_name("classifier.yaml"))
    assert classifiers.rules == [rule for rule in shipped.rules if rule.audit in ("scan-model", "scan-data")]
    assert judge_all([_scan(0.5, 10)], classifiers)[0] == PASS


def test_numbers_that_are_none_are_no_evidence() -> None:
    policy, nan = load_policy(), float("nan")
    assert judge(_audit(pll__by_note__auc=Finding(0.5, "attack", nan, nan)), policy).verdict == INSUFFICIENT
    assert judge(_audit(pll__by_note__auc=Finding(nan, "attack", 0.4, 0.6)), policy).verdict == INSUFFICIENT


def test_weak_attacks_are_no_evidence_and_excuse_no_leak() -> None:
    policy = load_policy()
    weak = Finding(2.0, "settings", 2.0, 2.0)
    assert judge(_audit(battery__weak_settings=weak), policy).verdict == INSUFFICIENT
    assert judge(_audit(battery__weak_settings=weak, pll__by_note__auc=LEAK), policy).verdict == FAIL
    assert weak_settings(AttackConfig()) == weak_settings(AttackConfig(max_pieces=0)) == []
    config = AttackConfig(max_pieces=1, max_length=16, perturbed_rounds=1, neighbours=1, paraphrases=1, min_k=1.0)
    assert len(weak_settings(config)) == 6 and len(weak_settings(config, ["max_pieces", "max_length"])) == 2
    assert "min_k is 1, not 0.05 to 0.5" in weak_settings(
        config
    ) and "max_pieces is 1, not 64 or more" in weak_settings(config)


def test_a_model_that_is_stamped_poisoned_fails() -> None:
    audit = _audit()
    assert judge(replace(audit, subject={**audit.subject, "poisoned": True}), load_policy()).verdict == FAIL
    shifted = _audit(blind__by_note__auc=Finding(0.9, "blind", 0.8, 1.0))
    assert judge(replace(shifted, subject={"poisoned": True}), load_policy()).verdict == FAIL


def test_an_attack_that_was_not_run_is_no_pass() -> None:
    audit = _audit()
    audit.findings = {name: finding for name, finding in audit.findings.items() if not name.startswith("ratio")}
    judged = judge(audit, load_policy())
    assert judged.verdict == INSUFFICIENT and judged.reasons == ["ratio.*.auc was not measured"]


def test_nothing_held_against_a_limit_is_no_pass(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{audit: canary, findings: [x], max: 1, says: s}]")
    verdict, reasons, _ = judge_all([_audit()], load_policy(file))
    assert verdict == INSUFFICIENT and "nothing was held against a limit" in reasons[0]
    file.write_text("rules: [{audit: mia, findings: [x], max: 0.1, max: 5, says: s}]")
    with pytest.raises(NotemillError, match="max stands twice"):
        load_policy(file)


def test_all_together() -> None:
    policy = load_policy()
    findings = {"epsilon": Finding(9.0, "ledger"), "unit.is_patient": exact(1.0, "ledger")}
    private = Audit("private", {}, {}, findings, {})
    verdict, reasons, _ = judge_all([_audit(), private], policy)
    assert verdict == FAIL and reasons == ["private: epsilon is 9.000 and must be at most 8.0"]
    assert judge_all([private], policy)[0] == FAIL
    assert judge_all([replace(private, findings={"epsilon": Finding(2.0, "ledger")})], policy)[0] == INSUFFICIENT
    assert judge_all([replace(_audit(), kind="plant"), _audit()], policy)[0] == FAIL


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rules": []}, "no list of rules"),
        ({"required": ["mai"]}, "required in"),
        ({"surprise": 1}, "unknown key surprise"),
        ({"rules": [{"audit": "mia"}]}, "needs findings"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "s"}]}, "either max or min"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "s", "max": 1, "min": 0}]}, "either max or min"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "s", "max": True}]}, "is a finite number"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "s", "max": float("nan")}]}, "is a finite number"),
        ({1: 2, "also": 3}, "unknown key"),
        ({"required": [["mia"]]}, "required in"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "max": 1}]}, "needs says"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "s", "max": 1, "void": True}]}, "unknown key void"),
        ({"rules": [{"audit": "mia", "findings": ["p.*"], "says": "s", "max": "p.auc"}]}, "against itself"),
        ({"rules": [{"audit": "mia", "findings": ["x"], "says": "half \ud83d", "max": 1}]}, "needs says"),
        ({"rules": [{"audit": "nothing", "findings": ["x"], "says": "s", "max": 1}]}, "needs audit"),
    ],
)
def test_a_wrong_policy_is_told(change: dict[str, object], words: str, tmp_path: Path) -> None:
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(content | change))
    with pytest.raises(NotemillError, match=words):
        load_policy(tmp_path / "policy.yaml")


def test_results_come_back_as_written(tmp_path: Path) -> None:
    _audit().write(tmp_path)
    assert read_audit(tmp_path) == _audit()
    (tmp_path / "audit.json").write_text((tmp_path / "audit.json").read_text().replace('"pll', '"\\ud83d', 1))
    with pytest.raises(NotemillError, match="no result of an audit"):
        read_audit(tmp_path)
    (tmp_path / "audit.json").write_text("[]")
    with pytest.raises(NotemillError, match="no result of an audit"):
        read_audit(tmp_path)
    with pytest.raises(NotemillError, match="no audit result at"):
        read_audit(tmp_path / "nothing")
