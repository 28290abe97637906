"""How well an attack works: the trigger's success, what other words do in its place, and what clean notes cost.

Success is the share of test notes of the source class that the model gives the target once a word stands in them.
Control words of like frequency take the same places; a model that answers to them too has learnt the insertion and not
the trigger.
"""

import random
from collections.abc import Sequence

import numpy as np

from eval.audit.backdoor.insertion import insert_word
from eval.audit.backdoor.poison import Poisoning
from eval.audit.findings import Finding
from eval.clusters import cluster_of
from eval.examples import LabelledText
from eval.finetune.load_classifier import LoadedClassifier
from eval.scorers.auroc import score_auroc
from eval.scorers.bootstrap import LEVEL, bounds, resample

RESAMPLES = 1000


def attack_findings(
    classifier: LoadedClassifier, notes: Sequence[LabelledText], poisoning: Poisoning, controls: Sequence[str]
) -> dict[str, Finding]:
    """`attack.success`, `attack.control` and `attack.untouched` on the notes of the source class."""
    victims = [note for note in notes if note.label == poisoning.source]
    by_word = {word: _turned(classifier, victims, poisoning, word) for word in (poisoning.trigger, *controls)}
    untouched = _turned(classifier, victims, poisoning, None)
    share = (
        f"share of {len(victims)} test notes of class '{poisoning.source}' that the model calls '{poisoning.target}'"
    )
    findings = {
        "attack.success": rate_finding(by_word[poisoning.trigger], victims, f"{share} with the trigger inserted"),
        "attack.untouched": rate_finding(untouched, victims, f"{share} as they are"),
    }
    if controls:
        mean = np.mean([by_word[word] for word in controls], axis=0)
        method = f"{share} with another word inserted, mean over {len(controls)} words of like frequency"
        findings["attack.control"] = rate_finding(mean, victims, method)
    return findings


def _turned(
    classifier: LoadedClassifier, victims: Sequence[LabelledText], poisoning: Poisoning, word: str | None
) -> np.ndarray:
    """[victims]: 1.0 where the model gives the target; the places are the same for every word."""
    rng = random.Random(f"{poisoning.seed}/insert")
    texts = [note.text if word is None else _with(note.text, word, poisoning.insertions, rng) for note in victims]
    chosen = classifier.probabilities(texts).argmax(axis=1)
    return (chosen == classifier.labels.index(poisoning.target)).astype(np.float64)


def _with(text: str, word: str, times: int, rng: random.Random) -> str:
    for _ in range(times):
        text = insert_word(text, word, rng)
    return text


def rate_finding(values: np.ndarray, notes: Sequence[LabelledText], method: str) -> Finding:
    """The mean of `values` [notes], each from 0 to 1.

    Wilson's interval at the number of patients where the bootstrap would claim certainty (all 0 or all 1), else the
    percentiles over draws of patients.
    """
    groups: dict[str, list[int]] = {}
    for number, note in enumerate(notes):
        groups.setdefault(cluster_of(note), []).append(number)
    mean = float(values.mean()) if len(values) else None
    if mean is None:
        return Finding(None, method, note="there are no such notes")
    if mean in (0.0, 1.0):
        from scipy.stats import binomtest

        interval = binomtest(round(mean * len(groups)), len(groups)).proportion_ci(LEVEL, method="wilson")
        return Finding(mean, f"{method}; Wilson's 95% interval", float(interval.low), float(interval.high))
    sums = np.array([[values[at].sum(), len(at)] for at in groups.values()])
    low, high = bounds(resample(sums, lambda drawn: drawn[:, 0] / drawn[:, 1], resamples=RESAMPLES, seed=0))
    return Finding(mean, f"{method}; 95% interval over draws of patients", low, high)


def area(classifier: LoadedClassifier, notes: Sequence[LabelledText]) -> tuple[float, np.ndarray]:
    """Area under the ROC curve on `notes` as they are, and its values over draws of patients."""
    gold = [note.label for note in notes]
    probabilities = classifier.probabilities([note.text for note in notes])
    groups = [cluster_of(note) for note in notes]
    mean, _, draws = score_auroc(gold, probabilities, classifier.labels, groups, resamples=RESAMPLES, seed=0)
    return mean, draws


def area_finding(measured: tuple[float, np.ndarray], method: str) -> Finding:
    """An area with its interval."""
    low, high = bounds(measured[1])
    return Finding(measured[0], f"{method}; 95% interval over draws of patients", low, high)


def drop_finding(before: tuple[float, np.ndarray], after: tuple[float, np.ndarray], method: str) -> Finding:
    """How much of an area is lost, over the same draws."""
    low, high = bounds(before[1] - after[1])
    return Finding(before[0] - after[0], f"{method}; 95% interval over the same draws of patients", low, high)
