"""Membership inference: a fixed battery against one model, never one attack, and a baseline that never sees it.

A weak attack clears a leaking model, so all are run and the strongest counts. Scores are kept in OUT/scores/, one file
an attack, and a rerun goes on with those that are missing.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_pipeline.files import atomic_write, make_private_folder, sha256_json
from data_pipeline.gate.carried import CORPORA_KEY, UNKNOWN_CORPUS
from eval.audit.attack_metrics import Measured, auc, by_patient, needed_for, tpr_at_fpr
from eval.audit.attacks import ATTACKS, METHODS, NEED_REFERENCE, Attack, AttackConfig, Battery
from eval.audit.battery_settings import NOT_DECISIVE, WEAK_SETTINGS, weak_settings_finding
from eval.audit.blind import blind_scores
from eval.audit.findings import AUDIT_FILE, Audit, Finding, exact, read_audit
from eval.audit.folder import audit_folder
from eval.audit.learning import learning, mean_loss, unigram_loss
from eval.audit.mlm_scores import MaskedLM
from eval.audit.notes import AuditNote, count_patients
from eval.audit.reference import load_masked, load_reference
from eval.audit.split import DIVIDED_ANEW, Split, read_split
from eval.audit.subject import model_subject
from eval.finetune.model_config import load_config_of, model_hashes
from launch.console import say
from launch.errors import NotemillError

SCORES = "scores"
"""Folder of the scores, beside audit.json."""
RATES = (0.01, 0.001)
_BLAMELESS = {
    name: f"{score} of the reference model, which is to know neither members nor non-members"
    for name, score in (("reference", "pseudo-log-likelihood"), ("reference.min_k", "Min-K%"))
}
UNITS = ("by_note", "by_patient")
_UNIT_NAMES = {"by_note": "notes", "by_patient": "patients, each scored by the mean of the notes"}


@dataclass(frozen=True)
class _Compared:
    """Members, then non-members."""

    notes: list[AuditNote]
    is_member: np.ndarray
    config: AttackConfig

    def measure(self, name: str, scores: np.ndarray, method: str, population: int | None = None) -> dict[str, Finding]:
        """AUC and hits of `scores` [N] by note and by patient; NaN scores are left out and counted.

        Where a score is the share of a `population` that a note beats, hits need as many of these as of non-members: of
        few the highest score is that of every hundredth note, member or not.
        """
        known = np.isfinite(scores)
        groups = [note.patient_key for note, kept in zip(self.notes, known, strict=True) if kept]
        scores, is_member = scores[known], self.is_member[known]
        left_out = f"{int((~known).sum())} notes that it cannot judge are left out" if not known.all() else ""
        if not is_member.any() or is_member.all():
            return {f"{name}.{unit}.auc": Finding(None, method, note=left_out) for unit in UNITS}
        findings: dict[str, Finding] = {}
        for unit in UNITS:
            values, members, names = (
                (scores, is_member, groups) if unit == "by_note" else by_patient(scores, is_member, groups)
            )
            told = f"{method}; {len(members)} {_UNIT_NAMES[unit]}"
            options = self.config.resamples, self.config.seed
            found = {"auc": auc(values, members, names, *options)}
            for rate in RATES:
                if population is not None and population < needed_for(rate):
                    few = f"a population of {population} is too small: at least {needed_for(rate):,} are needed"
                    found[f"tpr_at_{rate:g}"] = Measured(None, note=few)
                else:
                    found[f"tpr_at_{rate:g}"] = tpr_at_fpr(values, members, names, rate, *options)
            findings |= {f"{name}.{unit}.{key}": _finding(value, told, left_out) for key, value in found.items()}
        return findings


def audit_membership(
    model_dir: Path, split_dir: Path, out: Path, config: AttackConfig, reference: Path | None
) -> Audit:
    """Run the battery and write OUT/audit.json. Raises NotemillError for a bad model, split or reference."""
    subject = model_subject(model_dir, str(model_dir))
    torch.set_num_threads(config.threads)
    split = read_split(split_dir)
    reference_files = model_hashes(reference) if reference is not None else {}
    origin = {"split": split.sha256, "split_from": split.divided_by, "reference": reference_files}
    config = _with_attacks_that_are_there(config, out)
    settings = asdict(config) | origin
    free = ("attacks", *NOT_DECISIVE)
    with audit_folder(out, "mia", SCORES, files=subject["files"], settings=settings, free=free):
        return _audit(model_dir, split, out, config, reference, subject, settings)


def _audit(
    model_dir: Path,
    split: Split,
    out: Path,
    config: AttackConfig,
    reference: Path | None,
    subject: dict[str, Any],
    settings: dict[str, Any],
) -> Audit:
    notes = [*split.members, *split.non_members]
    is_member = np.arange(len(notes)) < len(split.members)
    model = load_masked(model_dir, config)
    reference_model = load_reference(reference, model, config)
    battery = Battery(
        model, [note.text for note in notes], config, reference_model, [note.text for note in split.population]
    )
    decides = {**settings, **dict.fromkeys(("attacks", "resamples", *NOT_DECISIVE))}
    store = _Scores(out, sha256_json({**decides, "model": subject["files"], "version": metadata.version("notemill")}))
    compared = _Compared(notes, is_member, config)
    findings: dict[str, Finding] = {}
    possible = _possible(config, reference_model, split)
    left_out = [attack for attack in config.attacks if attack not in possible]
    needed = f"{', '.join(left_out)}: a reference is needed (--reference), and for rmia a split with a population"
    if not possible:
        raise NotemillError(f"none of the attacks can be made; {needed}.")
    if left_out:
        say(f"left out {needed}")
    for attack in possible:
        scores = store.get(attack, len(notes), partial(battery.score, attack))
        population = len(split.population) if attack == "rmia" else None
        findings |= compared.measure(attack, scores, METHODS[attack], population)
    if any(attack in NEED_REFERENCE for attack in possible):
        findings |= _reference(battery, compared, store)
    findings |= _blind(compared)
    findings |= _utility(battery, split)
    findings["split.is_of_training"] = _is_of_training(model_dir, split)
    findings[WEAK_SETTINGS] = weak_settings_finding(config)
    details = {
        "members": {"notes": len(split.members), "patients": count_patients(split.members)},
        "non_members": {"notes": len(split.non_members), "patients": count_patients(split.non_members)},
        "attacks_left_out": left_out,
        "strongest": strongest(findings),
    }
    audit = Audit("mia", subject, settings, findings, details)
    audit.write(out)
    return audit


def _with_attacks_that_are_there(config: AttackConfig, out: Path) -> AttackConfig:
    """A rerun with fewer attacks goes on with all that an earlier one made, and takes none away."""
    if not (out / AUDIT_FILE).is_file():
        return config
    there = read_audit(out).settings.get("attacks", [])
    return replace(config, attacks=[attack for attack in ATTACKS if attack in config.attacks or attack in there])


def strongest(findings: dict[str, Finding]) -> str | None:
    """The attack finding with the highest AUC, whichever unit; None without any."""
    aucs = {
        name: finding.value
        for name, finding in findings.items()
        if name.endswith(".auc") and not name.startswith(("blind.", "reference.")) and finding.value is not None
    }
    return max(aucs, key=lambda name: aucs[name]) if aucs else None


class _Scores:
    """What was scored already, by attack, and by the reference model."""

    def __init__(self, out: Path, fingerprint: str) -> None:
        self.folder = out / SCORES
        self.fingerprint = fingerprint

    def get(self, name: str, size: int, score: Callable[[], np.ndarray]) -> np.ndarray:
        path = self.folder / f"{name}-{self.fingerprint[:16]}.npy"
        if path.is_file():
            try:
                scores = np.load(path, allow_pickle=False)
                if scores.shape == (size,):
                    return scores
            except (ValueError, OSError, EOFError):
                pass
        scores = score()
        make_private_folder(self.folder)
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, scores)
        return scores


def _possible(config: AttackConfig, reference: MaskedLM | None, split: Split) -> list[Attack]:
    return [
        attack
        for attack in config.attacks
        if (attack not in NEED_REFERENCE or reference is not None) and (attack != "rmia" or split.population)
    ]


def _is_of_training(model_dir: Path, split: Split) -> Finding:
    """Whether members are notes that the model says it was trained on, as far as both name their corpora."""
    seen = getattr(load_config_of(model_dir), CORPORA_KEY, None)
    method = "1 where the corpus that was divided is one that config.json says the model was trained on"
    if not seen or not isinstance(seen, list) or split.corpus is None:
        who = "the split names no corpus" if split.corpus is None else "the model names no corpora"
        return Finding(None, method, note=who)
    if split.divided_by != DIVIDED_ANEW:
        if split.corpus not in seen and UNKNOWN_CORPUS in seen:
            return Finding(None, method, note="the model began from one of elsewhere")
        return exact(float(split.corpus in seen), method)
    if split.corpus in seen:
        return exact(0.0, method, "the patients were divided anew, and the model has seen both halves")
    return Finding(None, method, note="the patients were divided anew, so the model's corpus is built of the members")


def _reference(battery: Battery, compared: _Compared, store: _Scores) -> dict[str, Finding]:
    """What the reference model knows by itself: nothing of the members, and something of such notes."""
    size = len(compared.notes)
    pll = store.get("reference", size, lambda: battery.reference_pll)
    scores = {"reference": pll, "reference.min_k": store.get("reference_min_k", size, lambda: battery.reference_min_k)}
    findings = {}
    for name, known in scores.items():
        told = compared.measure(name, known, _BLAMELESS[name])
        findings[f"{name}.by_note.auc"] = told[f"{name}.by_note.auc"]
    others = pll[~compared.is_member & np.isfinite(pll)]
    method = "loss (nats a hidden piece) of the reference model on non-members' notes"
    findings["reference.loss"] = (
        exact(float(-others.mean()), method) if len(others) else Finding(None, method, note="no note has a piece")
    )
    return findings


def _blind(compared: _Compared) -> dict[str, Finding]:
    method = "TF-IDF and logistic regression on the texts alone, cross-validated by patient; the model is not asked"
    scores = blind_scores(
        [note.text for note in compared.notes],
        compared.is_member,
        [note.patient_key for note in compared.notes],
        compared.config.seed,
    )
    if scores is None:
        note = "too few patients on a side for five folds, or no word in common"
        return {f"blind.{unit}.auc": Finding(None, method, note=note) for unit in UNITS}
    found = compared.measure("blind", scores, method)
    return {name: finding for name, finding in found.items() if name.endswith(".auc")}


def _utility(battery: Battery, split: Split) -> dict[str, Finding]:
    model, windows, config = battery.model, battery.windows, battery.config
    members, others = slice(len(split.members)), slice(len(split.members), None)
    own = unigram_loss(model, windows, config, members, members)
    return {
        **learning(mean_loss(battery.random_masks[members]), own, "members'"),
        "utility.held_out_loss": Finding(
            mean_loss(battery.random_masks[others]), "MLM loss (nats a hidden piece) on non-members' notes"
        ),
        "utility.unigram_loss": Finding(
            unigram_loss(model, windows, config, members, others),
            "loss on the same hidden pieces of non-members by members' piece frequencies alone (add-one smoothing)",
        ),
    }


def _finding(measured: Measured, method: str, note: str) -> Finding:
    return Finding(
        measured.value, method, measured.low, measured.high, "; ".join(part for part in (measured.note, note) if part)
    )
