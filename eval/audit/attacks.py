"""The membership attacks: each gives every note a score that is higher the more the model seems to know it.

Notation: x a note, L(x) the mean of -log p over hidden pieces, p_ref another model's. What the attacks share is asked
of the models once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch

from eval.audit.mlm_scores import MASK_SHARE, MaskedLM, Question, by_text, one_at_a_time, some_at_random
from eval.audit.paraphrase import paraphrases

Attack = Literal["loss", "pll", "min_k", "ratio", "rmia", "neighbourhood", "paraphrase"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
NEED_REFERENCE: tuple[Attack, ...] = ("ratio", "rmia")
METHODS: dict[Attack, str] = {
    "loss": "mean log-likelihood of 15% of the pieces hidden at random",
    "pll": "pseudo-log-likelihood: mean log-likelihood of each piece hidden by itself (Salazar et al. 2020)",
    "min_k": "mean of the least likely pieces of the pseudo-log-likelihood (Min-K%, Shi et al. 2024)",
    "ratio": "pseudo-log-likelihood less that of a reference model (Mireshghallah et al. 2022)",
    "rmia": "share of other notes that the note's likelihood ratio beats, one reference model (RMIA, Zarifzadeh 2024)",
    "neighbourhood": "how much less likely the note becomes with some words exchanged (Mattern et al. 2023)",
    "paraphrase": "how much less likely the note becomes when the same facts are said in other words",
}
_CANDIDATES = 10
_MAX_SEED = 2**31 - 1
"""numpy's and scikit-learn's generators take no larger one."""


@dataclass(frozen=True)
class AttackConfig:
    attacks: list[Attack] = field(default_factory=lambda: list(ATTACKS))
    """Those that need a reference model are left out where none is given."""
    mask_rounds: int = 1
    """How often pieces are hidden at random for `loss`; the published attack does it once, many rounds come
    near `pll`."""
    perturbed_rounds: int = 4
    """The same for a note and its neighbours or paraphrases."""
    max_pieces: int = 256
    """Pieces of a note hidden one by one, drawn at random of longer ones; 0 takes all."""
    min_k: float = 0.2
    """Share of a note's pieces that `min_k` looks at."""
    rmia_offset: float = 1.0
    """RMIA's a, 1 taking p(x) of a model without x to be that of the reference. The 0.3 of its image classifiers adds
    0.35 to a probability: beside a hidden piece's of a few per cent that leaves nothing of the reference."""
    rmia_gamma: float = 1.0
    """Ratio by which x must beat another note."""
    neighbours: int = 8
    """Versions of a note with exchanged words."""
    paraphrases: int = 4
    """Versions of a note in other words, at most."""
    max_length: int = 512
    """Pieces in a window, if the model has so many positions."""
    batch_tokens: int = 4096
    """Padded pieces in one forward pass."""
    resamples: int = 1000
    """Draws of patients behind each interval."""
    seed: int = 0
    device: str = "auto"
    threads: int = 1
    """CPU threads of torch."""

    def validate(self) -> list[str]:
        problems = [
            f"{name} is {getattr(self, name)} but must be at least 1"
            for name in ("mask_rounds", "perturbed_rounds", "neighbours", "paraphrases", "batch_tokens", "threads")
            if getattr(self, name) < 1
        ]
        problems += [
            f"{name} is {getattr(self, name)} but must not be negative"
            for name in ("max_pieces", "resamples", "seed")
            if getattr(self, name) < 0
        ]
        if self.max_length < 16:
            problems.append(f"max_length is {self.max_length} but a window needs at least 16 pieces")
        if not 0 < self.min_k <= 1:
            problems.append(f"min_k is {self.min_k} but is a share, above 0 to 1")
        if not 0 <= self.rmia_offset <= 1:
            problems.append(f"rmia_offset is {self.rmia_offset} but is from 0 to 1")
        if self.seed > _MAX_SEED:
            problems.append(f"seed is {self.seed} but must be at most {_MAX_SEED}")
        if self.rmia_gamma <= 0:
            problems.append(f"rmia_gamma is {self.rmia_gamma} but must be above 0")
        if not self.attacks:
            problems.append("attacks is empty")
        return problems


class Battery:
    """The scores of some notes under one model, with or without a reference model and a population of other notes."""

    def __init__(
        self,
        model: MaskedLM,
        texts: Sequence[str],
        config: AttackConfig,
        reference: MaskedLM | None = None,
        population: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.reference = reference
        self.texts = list(texts)
        self.population = list(population)
        self.config = config

    def score(self, attack: Attack) -> np.ndarray:
        """[N]; NaN for a note that the attack cannot judge."""
        return getattr(self, f"_{attack}")()

    @cached_property
    def windows(self) -> list[list[list[int]]]:
        return self.model.windows(self.texts)

    @cached_property
    def random_masks(self) -> list[np.ndarray]:
        """For each note the log-likelihoods of pieces hidden at random."""
        return self._masked_at_random(self.windows, self.config.mask_rounds)

    @cached_property
    def _unperturbed(self) -> np.ndarray:
        return _means(self._masked_at_random(self.windows, self.config.perturbed_rounds))

    @cached_property
    def single_masks(self) -> list[np.ndarray]:
        """For each note the log-likelihoods of pieces hidden one by one."""
        return self._masked_singly(self.model, self.windows)

    def _loss(self) -> np.ndarray:
        return _means(self.random_masks)

    def _pll(self) -> np.ndarray:
        return _means(self.single_masks)

    def _min_k(self) -> np.ndarray:
        return self._least_likely(self.single_masks)

    def _least_likely(self, masks: Sequence[np.ndarray]) -> np.ndarray:
        share = self.config.min_k
        return _means([np.sort(values)[: max(1, round(share * len(values)))] for values in masks])

    @cached_property
    def reference_masks(self) -> list[np.ndarray]:
        """`single_masks` of the reference model."""
        assert self.reference is not None
        return self._masked_singly(self.reference, self.windows)

    @cached_property
    def reference_pll(self) -> np.ndarray:
        """[N] the reference model's own pseudo-log-likelihoods."""
        return _means(self.reference_masks)

    @cached_property
    def reference_min_k(self) -> np.ndarray:
        """[N] its Min-K%, which sees a member where the mean over all pieces does not."""
        return self._least_likely(self.reference_masks)

    def _ratio(self) -> np.ndarray:
        return self._pll() - self.reference_pll

    def _rmia(self) -> np.ndarray:
        assert self.reference is not None
        windows = self.model.windows(self.population)
        others = self._log_ratio(
            _means(self._masked_singly(self.model, windows)), _means(self._masked_singly(self.reference, windows))
        )
        own = self._log_ratio(self._pll(), self.reference_pll)
        others = np.sort(others[np.isfinite(others)])
        beaten = np.searchsorted(others, own - np.log(self.config.rmia_gamma), side="right") / max(1, len(others))
        return np.where(np.isfinite(own), beaten, np.nan)

    def _log_ratio(self, log_p: np.ndarray, log_p_ref: np.ndarray) -> np.ndarray:
        """log p(x|model) - log p(x), where p(x) without the model is guessed from one reference."""
        a = self.config.rmia_offset
        return log_p - np.log(((1 + a) * np.exp(log_p_ref) + (1 - a)) / 2)

    def _neighbourhood(self) -> np.ndarray:
        rounds = self.config.perturbed_rounds
        changed = [
            _means(self._masked_at_random(self._neighbour(number), rounds)) for number in range(self.config.neighbours)
        ]
        return self._unperturbed - np.mean(changed, axis=0)

    def _neighbour(self, number: int) -> list[list[list[int]]]:
        """The notes with MASK_SHARE of their pieces exchanged for others that the model finds likely there."""
        neighbours = [[list(window) for window in parts] for parts in self.windows]
        questions, where = [], []
        for text, parts in enumerate(self.windows):
            rng = random.Random(self.config.seed * 7_919 + number * 1_000_003 + text)
            for part, window in enumerate(parts):
                if window:
                    places = sorted(rng.sample(range(len(window)), max(1, round(MASK_SHARE * len(window)))))
                    questions.append(Question(text, window, tuple(places)))
                    where.append((text, part, places, rng))
        likely = self.model.ask(questions, _likely_others)
        for (text, part, places, rng), found in zip(where, likely, strict=True):
            for place, candidates in zip(places, found.astype(int), strict=True):
                neighbours[text][part][place] = int(rng.choice(candidates))
        return neighbours

    def _paraphrase(self) -> np.ndarray:
        versions = [
            (index, version)
            for index, text in enumerate(self.texts)
            for version in paraphrases(text, self.config.paraphrases, self.config.seed * 1_000_003 + index)
        ]
        windows = self.model.windows([version for _, version in versions])
        means = _means(self._masked_at_random(windows, self.config.perturbed_rounds))
        sums, counts = np.zeros(len(self.texts)), np.zeros(len(self.texts))
        for (index, _), mean in zip(versions, means, strict=True):
            sums[index] += mean
            counts[index] += 1
        with np.errstate(invalid="ignore"):
            return self._unperturbed - np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def _masked_at_random(self, windows: list[list[list[int]]], rounds: int) -> list[np.ndarray]:
        questions = some_at_random(windows, rounds, self.config.seed)
        return by_text(questions, self.model.answer(questions), len(windows))

    def _masked_singly(self, model: MaskedLM, windows: list[list[list[int]]]) -> list[np.ndarray]:
        questions = one_at_a_time(windows, self.config.max_pieces, self.config.seed)
        return by_text(questions, model.answer(questions), len(windows))


def _means(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([float(value.mean()) if len(value) else np.nan for value in values])


def _likely_others(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """[H, k] the likeliest pieces other than the text's own."""
    logits = logits.scatter(1, answers[:, None], float("-inf"))
    return logits.topk(min(_CANDIDATES, logits.shape[1] - 1), dim=1).indices
