"""Canaries: sentences of random words planted among the notes, by which memorising is measured exactly.

Each canary is put in or left out by a coin, so what would have happened without it is known. Exposure (Carlini et al.
2019, "The Secret Sharer") is log2 of the number of sentences that might have been drawn less log2 of the rank that
the planted one has among them by the model's likelihood. Guessing from one trained model which coins fell on "in" gives
a lower bound on ε (Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One Training Run").
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_pipeline.files import make_own_folder, read_json, sha256_file, write_json
from eval.audit.attack_metrics import auc
from eval.audit.attacks import AttackConfig, Battery
from eval.audit.epsilon_bound import epsilon_lower_bound
from eval.audit.findings import Audit, Finding
from eval.audit.folder import audit_folder
from eval.audit.mlm_scores import MaskedLM
from eval.audit.notes import AuditNote, read_notes, write_notes
from eval.finetune.encoder import model_hashes
from launch.errors import NotemillError

CANARIES_FILE = "canaries.json"
NOTES_FILE = "notes.jsonl"
MIN_WORD_NOTES = 8
"""Canaries are made of words that stand in the notes of so many patients at least, so they tell of none."""
_MIN_WORDS = 64


@dataclass(frozen=True)
class Canary:
    text: str
    is_in: bool
    repeats: int
    """How often it stands in the notes, or would."""


@dataclass(frozen=True)
class CanarySet:
    canaries: list[Canary]
    words: list[str]
    length: int
    seed: int
    sha256: str


def plant_canaries(
    notes_path: Path, out: Path, *, count: int, length: int, repeats: Sequence[int], seed: int
) -> tuple[int, int]:
    """Write OUT/notes.jsonl (all notes and the canaries that are in) and OUT/canaries.json; how many are in, and notes.

    Each canary is a pseudo-patient's own notes. Only the split train of a corpus is taken. Raises NotemillError where
    the notes give too few words.
    """
    problems = _wrong_settings(count, length, repeats)
    if problems:
        raise NotemillError(f"{problems}.")
    notes = read_notes(notes_path, ("train",))
    words = _common_words(notes)
    if len(words) < _MIN_WORDS:
        raise NotemillError(
            f"{notes_path} has {len(words)} words that stand in the notes of {MIN_WORD_NOTES} patients; canaries need "
            f"at least {_MIN_WORDS} to be told apart, so give more notes."
        )
    rng = random.Random(seed)
    canaries = [
        Canary(_sentence(rng, words, length), rng.random() < 0.5, repeats[number % len(repeats)])
        for number in range(count)
    ]
    planted = [
        AuditNote(f"canary-{number}-{copy}", f"canary-{number}", canary.text, "train")
        for number, canary in enumerate(canaries)
        if canary.is_in
        for copy in range(canary.repeats)
    ]
    everything = [*notes, *planted]
    rng.shuffle(everything)
    make_own_folder(out, re.compile(f"{NOTES_FILE}|{CANARIES_FILE}"), "canaries")
    key = {
        "version": 1,
        "notes": str(notes_path),
        "seed": seed,
        "length": length,
        "words": words,
        "canaries": [vars(canary) for canary in canaries],
    }
    if (out / CANARIES_FILE).exists() and read_json(
        out / CANARIES_FILE, "list of canaries", "name another --out"
    ) != key:
        raise NotemillError(
            f"{out} holds other canaries, without which no model trained with them can be scored; name another --out."
        )
    write_notes(out / NOTES_FILE, everything)
    write_json(out / CANARIES_FILE, key)
    return sum(canary.is_in for canary in canaries), len(everything)


def read_canaries(folder: Path) -> CanarySet:
    """What `plant_canaries` wrote. Raises NotemillError where it is damaged."""
    path = folder / CANARIES_FILE
    content: Any = read_json(path, "list of canaries", "plant them again with notemill audit canary plant")
    try:
        canaries = [Canary(item["text"], bool(item["is_in"]), int(item["repeats"])) for item in content["canaries"]]
        if not canaries or not content["words"] or not isinstance(content["length"], int):
            raise KeyError
        return CanarySet(canaries, content["words"], content["length"], content["seed"], sha256_file(path))
    except (KeyError, TypeError, ValueError):
        raise NotemillError(f"{path} is no list of canaries of notemill audit canary plant.") from None


def score_canaries(
    model_dir: Path, folder: Path, out: Path, config: AttackConfig, reference: Path | None, delta: float, pool: int
) -> Audit:
    """Exposure and rank against `pool` sentences that were never planted, and the bound on ε; writes OUT/audit.json."""
    audit_folder(out, "canary", files=model_hashes(model_dir))
    torch.set_num_threads(config.threads)
    found = read_canaries(folder)
    rng = random.Random(f"never planted {found.seed} {config.seed}")
    others = [_sentence(rng, found.words, found.length) for _ in range(pool)]
    texts = [canary.text for canary in found.canaries] + others
    scores = _scores(model_dir, texts, config, reference)
    own, never = scores[: len(found.canaries)], np.sort(scores[len(found.canaries) :])
    is_in = np.array([canary.is_in for canary in found.canaries])
    # Rank 1 is the likeliest; ties count against memorising.
    ranks = len(never) - np.searchsorted(never, own, side="left") + 1
    exposure = np.log2(pool + 1) - np.log2(ranks)
    method = f"each canary's pseudo-likelihood{' less the reference model' if reference else ''} among {pool:,} others"
    groups = [str(number) for number in range(len(own))]
    told = auc(own, is_in, groups, config.resamples, config.seed)
    bound = epsilon_lower_bound(own, is_in, delta=delta)
    findings = {
        "canary.auc": Finding(told.value, f"planted canaries told from those left out; {method}", told.low, told.high),
        "canary.epsilon_lower_bound": Finding(
            bound.epsilon,
            f"one training run, {len(own)} coins, best of {bound.tried} numbers of guesses (Bonferroni), "
            f"δ = {delta:g}; holds with 95% confidence (Steinke et al. 2023)",
            note=f"{bound.right} of {bound.guesses} guesses right",
        ),
    }
    rows = []
    for repeats in sorted({canary.repeats for canary in found.canaries}):
        chosen = is_in & np.array([canary.repeats == repeats for canary in found.canaries])
        if chosen.any():
            low, high = _mean_bounds(exposure[chosen], config)
            findings[f"canary.exposure_repeats_{repeats}"] = Finding(
                float(exposure[chosen].mean()),
                f"mean exposure in bits ({np.log2(pool + 1):.1f} at most), canaries planted {repeats} times; {method}",
                low,
                high,
            )
            rows.append(
                {"repeats": repeats, "planted": int(chosen.sum()), "median_rank": float(np.median(ranks[chosen]))}
            )
    findings["canary.exposure_left_out"] = Finding(
        float(exposure[~is_in].mean()) if (~is_in).any() else None, "mean exposure of canaries that were left out"
    )
    audit = Audit(
        "canary",
        {"model": str(model_dir), "files": model_hashes(model_dir)},
        {
            "canaries": found.sha256,
            "reference": model_hashes(reference) if reference else {},
            "pool": pool,
            "delta": delta,
            "seed": config.seed,
            "max_pieces": config.max_pieces,
        },
        findings,
        {"ranks": rows, "canaries": len(own), "planted": int(is_in.sum())},
    )
    audit.write(out)
    return audit


def _scores(model_dir: Path, texts: Sequence[str], config: AttackConfig, reference: Path | None) -> np.ndarray:
    def load(folder: Path) -> MaskedLM:
        return MaskedLM(folder, device=config.device, max_length=config.max_length, batch_tokens=config.batch_tokens)

    model = load(model_dir)
    if reference is None:
        return Battery(model, texts, config).score("pll")
    other = load(reference)
    if other.vocabulary != model.vocabulary:
        raise NotemillError(f"the reference {reference} has another vocabulary than {model_dir}; give one of the same.")
    return Battery(model, texts, config, other).score("ratio")


def _mean_bounds(values: np.ndarray, config: AttackConfig) -> tuple[float | None, float | None]:
    if not config.resamples:
        return None, None
    drawn = np.random.default_rng(config.seed).integers(len(values), size=(config.resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _sentence(rng: random.Random, words: Sequence[str], length: int) -> str:
    drawn = [rng.choice(words) for _ in range(length)]
    return " ".join([drawn[0].capitalize(), *drawn[1:]]) + "."


def _common_words(notes: Sequence[AuditNote]) -> list[str]:
    """Lower-case words in the notes of MIN_WORD_NOTES patients, sorted."""
    patients: Counter[str] = Counter()
    by_patient: dict[str, set[str]] = {}
    for note in notes:
        by_patient.setdefault(note.patient_key, set()).update(_plain_words(note.text))
    for words in by_patient.values():
        patients.update(words)
    return sorted(word for word, count in patients.items() if count >= MIN_WORD_NOTES)


def _plain_words(text: str) -> Iterator[str]:
    for word in text.split():
        bare = word.strip(".,;:()[]\"'").lower()
        if len(bare) > 2 and bare.isascii() and bare.isalpha():
            yield bare


def _wrong_settings(count: int, length: int, repeats: Sequence[int]) -> str:
    if count < 10:
        return f"--count is {count}; fewer than 10 canaries bound nothing"
    if not 4 <= length <= 200:
        return f"--length is {length}, but a canary has 4 to 200 words"
    if not repeats or min(repeats) < 1:
        return f"--repeats is {list(repeats)}, but each canary stands in the notes at least once"
    return ""
