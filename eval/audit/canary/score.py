"""Does a model remember its canaries? Exposure and rank of each, and a lower bound on ε from the one training."""

import random
from collections import Counter
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from data_pipeline.files import sha256_file
from data_pipeline.manifest import MANIFEST_NAME
from eval.audit.attack_metrics import auc
from eval.audit.attacks import AttackConfig, Battery
from eval.audit.battery_settings import NOT_DECISIVE, OF_LIKELIHOODS, WEAK_SETTINGS, weak_settings_finding
from eval.audit.canary.key import CANARIES_FILE, ID_PREFIX, NOTES_FILE, Canary, CanarySet, draw_sentence, read_canaries
from eval.audit.epsilon_bound import epsilon_lower_bound
from eval.audit.findings import Audit, Finding
from eval.audit.folder import audit_folder
from eval.audit.learning import learning, mean_loss, unigram_loss
from eval.audit.mlm_scores import MaskedLM
from eval.audit.notes import each_note
from eval.audit.reference import load_masked, load_reference
from eval.audit.subject import model_subject
from eval.finetune.model_config import model_hashes
from eval.scorers.bootstrap import bounds, resample
from launch.errors import NotemillError

_LEARNT_NOTES = 200
"""Notes that are asked whether the model has learnt anything."""


def score_canaries(
    model_dir: Path,
    folder: Path,
    out: Path,
    config: AttackConfig,
    reference: Path | None,
    delta: float,
    pool: int,
    corpus: Path | None = None,
) -> Audit:
    """Exposure and rank against `pool` sentences that were never planted, and the bound on ε; writes OUT/audit.json.

    `corpus` is what was built of the notes with canaries: those that it does not train on are left out. Raises
    NotemillError for a bad model, reference or list, and where the corpus trains on no canary.
    """
    subject = model_subject(model_dir, str(model_dir))
    torch.set_num_threads(config.threads)
    found = read_canaries(folder)
    settings = asdict(config) | {
        "canaries": found.sha256,
        "corpus": _sha256_of(corpus) if corpus is not None else None,
        "reference": model_hashes(reference) if reference else {},
        "pool": pool,
        "delta": delta,
        "notes": sha256_file(folder / NOTES_FILE) if (folder / NOTES_FILE).is_file() else None,
    }
    with audit_folder(out, "canary", files=subject["files"], settings=settings, free=NOT_DECISIVE):
        planted = sum(canary.is_in for canary in found.canaries)
        if corpus is not None:
            found = replace(found, canaries=_trained_on(found, corpus))
        rng = random.Random(f"never planted {found.seed} {config.seed}")
        others = [draw_sentence(rng, found.words, found.length) for _ in range(pool)]
        texts = [canary.text for canary in found.canaries] + others
        model = load_masked(model_dir, config)
        battery = Battery(model, texts, config, load_reference(reference, model, config))
        scores = battery.score("pll" if battery.reference is None else "ratio")
        own, never = scores[: len(found.canaries)], scores[len(found.canaries) :]
        is_in = np.array([canary.is_in for canary in found.canaries])
        seen = f"{int(is_in.sum())} canaries in and {int((~is_in).sum())} out"
        if corpus is not None:
            seen += (
                f": of {planted} that were planted those that the corpus trains on, and as large a share of the others"
            )
        method = (
            f"each canary's pseudo-likelihood{' less the reference model' if reference else ''} among {pool:,} others"
        )
        findings = {
            "canary.auc": _told_apart(own, is_in, config, f"planted canaries told from those left out; {method}", seen),
            "canary.epsilon_lower_bound": _bound(own, is_in, delta, seen),
        }
        exposures, ranks = _exposures(found, own, never, config, method)
        findings |= exposures
        if battery.reference is not None:
            known = battery.reference_pll[: len(own)]
            alone = "the same by the reference model alone, which is to know none"
            findings["reference.auc"] = _told_apart(known, is_in, config, alone)
        findings[WEAK_SETTINGS] = weak_settings_finding(config, OF_LIKELIHOODS)
        findings |= _learning(model, folder, config)
        details = {"ranks": ranks, "canaries": len(own), "planted": planted, "trained_on": int(is_in.sum())}
        audit = Audit("canary", subject, settings, findings, details)
        audit.write(out)
        return audit


def _told_apart(scores: np.ndarray, is_in: np.ndarray, config: AttackConfig, method: str, note: str = "") -> Finding:
    groups = [str(number) for number in range(len(scores))]
    told = auc(scores, is_in, groups, config.resamples, config.seed)
    return Finding(told.value, method, told.low, told.high, note)


def _exposures(
    found: CanarySet, own: np.ndarray, never: np.ndarray, config: AttackConfig, method: str
) -> tuple[dict[str, Finding], list[dict[str, float]]]:
    """Mean exposure by the times that a canary was planted, and the median ranks."""
    # Rank 1 is the likeliest; ties count against memorising.
    ranks = len(never) - np.searchsorted(np.sort(never), own, side="left") + 1
    most = np.log2(len(never) + 1)
    exposure = most - np.log2(ranks)
    is_in = np.array([canary.is_in for canary in found.canaries])
    findings, rows = {}, []
    for repeats in sorted({canary.repeats for canary in found.canaries}):
        chosen = is_in & np.array([canary.repeats == repeats for canary in found.canaries])
        if chosen.any():
            low, high = _mean_bounds(exposure[chosen], config)
            told = f"mean exposure in bits ({most:.1f} at most), canaries planted {repeats} times; {method}"
            findings[f"canary.exposure_repeats_{repeats}"] = Finding(float(exposure[chosen].mean()), told, low, high)
            rows.append(
                {"repeats": repeats, "planted": int(chosen.sum()), "median_rank": float(np.median(ranks[chosen]))}
            )
    findings["canary.exposure_left_out"] = Finding(
        float(exposure[~is_in].mean()) if (~is_in).any() else None, "mean exposure of canaries that were left out"
    )
    return findings, rows


def _bound(scores: np.ndarray, is_in: np.ndarray, delta: float, seen: str) -> Finding:
    told = f"one training run, {len(scores)} coins, δ = {delta:g}; holds with 95% confidence (Steinke et al. 2023)"
    if is_in.all() or not is_in.any():
        return Finding(None, told, note=f"there is no coin to guess: {seen}")
    bound = epsilon_lower_bound(scores, is_in, delta=delta)
    return Finding(
        bound.epsilon,
        f"{told}; best of {bound.tried} numbers of guesses (Bonferroni)",
        note=f"{bound.right} of {bound.guesses} guesses right; {seen}; {bound.most:.3g} if all had been",
        most=bound.most,
    )


def _learning(model: MaskedLM, folder: Path, config: AttackConfig) -> dict[str, Finding]:
    """Whether the model knows notes such as the canaries stand among; a model of other notes may know them as well."""
    path = folder / NOTES_FILE
    if not path.is_file():
        return learning(None, None, "the", f"there is no {NOTES_FILE} beside {CANARIES_FILE}")
    notes = each_note(path)
    texts = [note.text for note in islice((n for n in notes if not n.note_id.startswith(ID_PREFIX)), _LEARNT_NOTES)]
    battery, every = Battery(model, texts, config), slice(None)
    by_frequencies = unigram_loss(model, battery.windows, config, every, every)
    return learning(mean_loss(battery.random_masks), by_frequencies, f"{len(texts)} of the")


def _sha256_of(corpus: Path) -> str:
    return sha256_file(corpus / MANIFEST_NAME if corpus.is_dir() else corpus)


def _trained_on(found: CanarySet, corpus: Path) -> list[Canary]:
    """The canaries in the corpus's training split, each with the number of times that it stands there, and others.

    A corpus divides patients by a secret key and drops copies, so not every canary that was planted is trained on.
    Of those left out by their coin as large a share is drawn, so that among what is kept a coin is still a fair one.
    """
    times = Counter(" ".join(note.text.split()) for note in each_note(corpus, ("train",)) if note.split == "train")
    planted = [canary for canary in found.canaries if canary.is_in]
    kept = [replace(canary, repeats=times[canary.text]) for canary in planted if times[canary.text]]
    if not kept:
        raise NotemillError(
            f"the training split of {corpus} has none of the {len(planted)} planted canaries; name the corpus that was "
            f"built of {NOTES_FILE} beside {CANARIES_FILE}."
        )
    others = [canary for canary in found.canaries if not canary.is_in]
    share = len(kept) / len(planted)
    return kept + random.Random(f"left out {found.seed}").sample(others, round(share * len(others)))


def _mean_bounds(values: np.ndarray, config: AttackConfig) -> tuple[float, float] | tuple[None, None]:
    if not config.resamples:
        return None, None
    return bounds(
        resample(values[:, None], lambda sums: sums[:, 0] / len(values), resamples=config.resamples, seed=config.seed)
    )
