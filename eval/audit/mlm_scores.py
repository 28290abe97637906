"""What a masked language model thinks of a note: log-likelihoods of its pieces, each one hidden or some at random.

A note is cut into windows of the model's length, so nothing beyond the first is overlooked. Which pieces are hidden
depends on the note's place in the list, the lengths of its windows and the seed, so two models with one tokenizer and
one length of window are asked the same questions of the same list.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eval.finetune.encoder import read_model
from eval.finetune.loop import resolve_device
from eval.finetune.model_config import load_config_of, max_positions
from eval.finetune.text import TextEncoder
from eval.finetune.windows import piece_windows
from launch.errors import NotemillError

MASK_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Question:
    """What is hidden in a window. Long notes are asked hundreds of times, so the window is shared and written out with
    its mask only when it is read."""

    text: int
    window: Sequence[int]
    """Pieces without special ones."""
    places: tuple[int, ...]
    """Of the hidden pieces in the window."""

    @property
    def length(self) -> int:
        """Pieces with [CLS] and [SEP]."""
        return len(self.window) + 2

    @property
    def answers(self) -> list[int]:
        return [self.window[place] for place in self.places]


class MaskedLM:
    """An exported model with its tokenizer, ready to be asked.

    Raises NotemillError where the folder holds no masked language model or its weights are incomplete.
    """

    def __init__(self, folder: Path, *, device: str = "auto", max_length: int = 512, batch_tokens: int = 4096) -> None:
        from transformers import AutoModelForMaskedLM

        self.folder = folder
        self.text = TextEncoder(folder)
        config = load_config_of(folder)
        self.device = torch.device(resolve_device(device))
        remedy = "an audit of membership needs the model with its language-modelling head"
        model = read_model(AutoModelForMaskedLM, folder, config, "the masked language model", remedy)
        self.model: Any = model.eval().to(self.device)
        self.max_length = min(max_length, max_positions(config))
        self.batch_tokens = batch_tokens

    @property
    def vocabulary(self) -> dict[str, int]:
        return self.text.tokenizer.get_vocab()

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Pieces of each text in windows that leave room for [CLS] and [SEP]."""
        return [
            [pieces.ids[start:end] for start, end in piece_windows(len(pieces.ids), self.max_length - 2)]
            for pieces in self.text.pieces(list(texts))
        ]

    def answer(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """For each question the natural log-likelihood of the hidden pieces."""
        return self.ask(questions, _log_likelihoods)

    def ask(
        self, questions: Sequence[Question], read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> list[np.ndarray]:
        """What `read(logits [H, V], answers [H])` gives for the H hidden pieces of each question."""
        order = sorted(range(len(questions)), key=lambda index: questions[index].length)
        found: list[np.ndarray] = [np.zeros(0)] * len(questions)
        first = 0
        while first < len(order):
            last = first + 1
            while last < len(order) and questions[order[last]].length * (last + 1 - first) <= self.batch_tokens:
                last += 1
            batch = [questions[index] for index in order[first:last]]
            values = self._read(batch, read)
            for index, value in zip(
                order[first:last],
                np.split(values, np.cumsum([len(question.places) for question in batch])[:-1]),
                strict=True,
            ):
                found[index] = value
            first = last
        return found

    @torch.inference_mode()
    def _read(
        self, batch: Sequence[Question], read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        length = max(question.length for question in batch)
        input_ids = torch.full((len(batch), length), self.text.pad_id)
        attention_mask = torch.zeros((len(batch), length), dtype=torch.long)
        for row, question in enumerate(batch):
            ids = torch.tensor([self.text.cls_id, *question.window, self.text.sep_id])
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        rows = torch.tensor([row for row, question in enumerate(batch) for _ in question.places])
        places = torch.tensor([place + 1 for question in batch for place in question.places])
        input_ids[rows, places] = self.text.mask_id
        answers = torch.tensor([answer for question in batch for answer in question.answers], device=self.device)
        arguments = {"input_ids": input_ids.to(self.device), "attention_mask": attention_mask.to(self.device)}
        head = getattr(self.model, "cls", None) or getattr(self.model, "lm_head", None)
        if isinstance(head, nn.Module) and self.model.base_model is not self.model:
            # The head is the larger part of a small model and is asked at the hidden places only.
            hidden = self.model.base_model(**arguments).last_hidden_state[rows, places]
            logits = head(hidden)
        else:
            logits = self.model(**arguments).logits[rows, places]
        values = read(logits.float(), answers).cpu().numpy().astype(np.float64)
        if not np.isfinite(values).all():
            raise NotemillError(f"the model in {self.folder} gives likelihoods that are not finite; export it again.")
        return values


def one_at_a_time(windows: Sequence[Sequence[Sequence[int]]], max_pieces: int, seed: int) -> list[Question]:
    """Each piece of each text hidden by itself; of longer texts `max_pieces` drawn at random (0: all)."""
    questions = []
    for text, parts in enumerate(windows):
        places = [(part, place) for part, window in enumerate(parts) for place in range(len(window))]
        if max_pieces and len(places) > max_pieces:
            places = sorted(_rng(seed, text).sample(places, max_pieces))
        questions += [Question(text, parts[part], (place,)) for part, place in places]
    return questions


def some_at_random(windows: Sequence[Sequence[Sequence[int]]], rounds: int, seed: int) -> list[Question]:
    """`rounds` times MASK_SHARE of each window's pieces hidden together, as in pretraining."""
    questions = []
    for text, parts in enumerate(windows):
        rng = _rng(seed, text)
        for _ in range(rounds):
            for window in parts:
                if window:
                    count = max(1, round(MASK_SHARE * len(window)))
                    places = sorted(rng.sample(range(len(window)), count))
                    questions.append(Question(text, window, tuple(places)))
    return questions


def by_text(questions: Sequence[Question], answers: Sequence[np.ndarray], num_texts: int) -> list[np.ndarray]:
    """All answers about each text, one after another; empty for a text of which nothing was asked."""
    parts: list[list[np.ndarray]] = [[] for _ in range(num_texts)]
    for question, answer in zip(questions, answers, strict=True):
        parts[question.text].append(answer)
    return [np.concatenate(part) if part else np.zeros(0) for part in parts]


def _log_likelihoods(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    return -nn.functional.cross_entropy(logits, answers, reduction="none")


def _rng(seed: int, text: int) -> random.Random:
    return random.Random(seed * 1_000_003 + text)
