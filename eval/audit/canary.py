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
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_pipeline.files import make_own_folder, read_json, sha256_file, write_json
from data_pipeline.manifest import MANIFEST_NAME
from eval.audit.attack_metrics import auc
from eval.audit.attacks import AttackConfig, Battery
from eval.audit.battery_settings import NOT_DECISIVE, OF_LIKELIHOODS, WEAK_SETTINGS, weak_settings_finding
from eval.audit.epsilon_bound import epsilon_lower_bound
from eval.audit.findings import Audit, Finding
from eval.audit.folder import audit_folder
from eval.audit.learning import learning, mean_loss, unigram_loss
from eval.audit.mlm_scores import MaskedLM
from eval.audit.notes import AuditNote, each_note, read_notes, write_notes
from eval.audit.reference import load_masked, load_reference
from eval.audit.subject import model_subject
from eval.finetune.model_config import model_hashes
from launch.errors import NotemillError

CANARIES_FILE = "canaries.json"
NOTES_FILE = "notes.jsonl"
MIN_WORD_NOTES = 8
"""Canaries are made of words that stand in the notes of so many patients at least, so they tell of none."""
_MIN_WORDS = 64
_CANARY = "canary-"
_LEARNT_NOTES = 200
"""Notes that are asked whether the model has learnt anything."""


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

    Each canary is a pseudo-patient's own notes. Of notes that name their split only train is taken. Raises
    NotemillError where the notes give too few words.
    """
    problems = _wrong_settings(count, length, repeats)
    if problems:
        raise NotemillError(f"{problems}.")
    notes = [note for note in read_notes(notes_path, ("train",)) if note.split in ("", "train")]
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
        AuditNote(f"{_CANARY}{number}-{copy}", f"{_CANARY}{number}", canary.text, notes[0].split)
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
        canaries = [Canary(item["text"], item["is_in"], item["repeats"]) for item in content["canaries"]]
        words, length, seed = content["words"], content["length"], content["seed"]
        if not all((type(one.text), type(one.is_in), type(one.repeats)) == (str, bool, int) for one in canaries):
            raise TypeError
        if not words or not all(isinstance(word, str) for word in words):
            raise TypeError
        if type(length) is not int or type(seed) is not int:
            raise TypeError
        if _wrong_settings(len(canaries), length, [one.repeats for one in canaries]):
            raise ValueError
        return CanarySet(canaries, words, length, seed, sha256_file(path))
    except (KeyError, TypeError, ValueError):
        raise NotemillError(f"{path} is no list of canaries of notemill audit canary plant.") from None


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
    audit_folder(out, "canary", files=subject["files"], settings=settings, free=NOT_DECISIVE)
    planted = sum(canary.is_in for canary in found.canaries)
    if corpus is not None:
        found = replace(found, canaries=_trained_on(found, corpus))
    rng = random.Random(f"never planted {found.seed} {config.seed}")
    others = [_sentence(rng, found.words, found.length) for _ in range(pool)]
    texts = [canary.text for canary in found.canaries] + others
    model = load_masked(model_dir, config)
    other = load_reference(reference, model, config)
    battery = Battery(model, texts, config, other)
    scores = battery.score("pll" if other is None else "ratio")
    own, never = scores[: len(found.canaries)], np.sort(scores[len(found.canaries) :])
    is_in = np.array([canary.is_in for canary in found.canaries])
    # Rank 1 is the likeliest; ties count against memorising.
    ranks = len(never) - np.searchsorted(never, own, side="left") + 1
    exposure = np.log2(pool + 1) - np.log2(ranks)
    seen = f"{int(is_in.sum())} canaries in and {int((~is_in).sum())} out"
    if corpus is not None:
        seen += f": of {planted} that were planted those that the corpus trains on, and as large a share of the others"
    method = f"each canary's pseudo-likelihood{' less the reference model' if reference else ''} among {pool:,} others"
    groups = [str(number) for number in range(len(own))]
    told = auc(own, is_in, groups, config.resamples, config.seed)
    findings = {
        "canary.auc": Finding(
            told.value, f"planted canaries told from those left out; {method}", told.low, told.high, seen
        ),
        "canary.epsilon_lower_bound": _bound(own, is_in, delta, seen),
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
    if other is not None:
        blameless = auc(battery.reference_pll[: len(own)], is_in, groups, config.resamples, config.seed)
        findings["reference.auc"] = Finding(
            blameless.value,
            "the same by the reference model alone, which is to know none",
            blameless.low,
            blameless.high,
        )
    findings[WEAK_SETTINGS] = weak_settings_finding(config, OF_LIKELIHOODS)
    findings |= _learning(model, folder, config)
    audit = Audit(
        "canary",
        subject,
        settings,
        findings,
        {"ranks": rows, "canaries": len(own), "planted": planted, "trained_on": int(is_in.sum())},
    )
    audit.write(out)
    return audit


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
    texts = [note.text for note in islice((n for n in notes if not n.note_id.startswith(_CANARY)), _LEARNT_NOTES)]
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
