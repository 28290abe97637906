"""MQA: start and end of the answer in windows of the context, each with the question before it.

A paper of thousands of words gives many windows and few hold the answer: an epoch trains on all windows with an answer
and a fresh sample of those that hold none; one with nothing but a part of an answer would teach neither and is left
out. Prediction reads every window. A window's best span is scored against its own "no answer here" ([CLS]), which makes
windows comparable; the best span of all windows is the prediction. Where the training set has questions without an
answer, a span that does not beat "no answer" gives the empty answer.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from eval.examples import Dataset, Example, Question
from eval.finetune.batches import Batch, Item
from eval.finetune.head import Head, score_layer, weights_of, wrap
from eval.finetune.recipe import MqaRecipe
from eval.finetune.text import Pieces, TextEncoder
from eval.finetune.windows import Window, piece_windows
from launch.errors import NotemillError

NO_ANSWER = (0, 0)


@dataclass(frozen=True)
class _Place:
    """Index of the window's first context piece in the input, and the characters of its pieces."""

    context_start: int
    offsets: list[tuple[int, int]]


class SpanNetwork(nn.Module):
    """hidden [items, length, hidden] → scores [items, length, 2]: start and end."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.scores = score_layer(hidden_size, 2)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.scores(self.dropout(hidden))


class MqaHead(Head[MqaRecipe]):
    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: MqaRecipe) -> None:
        super().__init__(dataset, text, recipe)
        train = cast(Sequence[Question], dataset.splits["train"])
        if not any(question.answers for question in train):
            raise NotemillError(f"the training split of {dataset.path} holds no answer; MQA has nothing to learn.")
        self.may_refuse = any(not question.answers for question in train)

    def network(self, hidden_size: int, dropout: float) -> nn.Module:
        return SpanNetwork(hidden_size, dropout)

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        questions = cast(Sequence[Question], examples)
        # Many questions share a paper; it is tokenised once.
        contexts = {context: i for i, context in enumerate(dict.fromkeys(q.context for q in questions))}
        context_pieces = self.text.pieces(list(contexts))
        question_pieces = self.text.pieces([q.question for q in questions])
        items: list[Item] = []
        for index, question in enumerate(questions):
            pieces = context_pieces[contexts[question.context]]
            asked = question_pieces[index].ids
            if len(asked) > self.recipe.max_question:
                self.notes["questions cut to max_question pieces"] += 1
                asked = asked[: self.recipe.max_question]
            answers = _answer_pieces(question, pieces) if with_targets else []
            if with_targets and question.answers and not answers:
                self.notes["training questions left out, with no answer at a known place"] += 1
                continue
            made = self._question_windows(index, asked, pieces, answers if with_targets else None)
            if answers and not any(item.target != NO_ANSWER for item in made):
                self.notes["training answers longer than max_answer, never seen whole"] += 1
            items += made
        return items

    def epoch_items(self, items: list[Item], rng: random.Random) -> list[Item]:
        with_answer = [item for item in items if item.target != NO_ANSWER]
        without = [item for item in items if item.target == NO_ANSWER]
        wanted = round(self.recipe.negatives * len(with_answer))
        return with_answer + rng.sample(without, min(wanted, len(without)))

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets = torch.tensor([item.target for item in batch.items], device=scores.device)
        allowed = scores.masked_fill(~_allowed(batch, scores.device).unsqueeze(-1), float("-inf"))
        start = nn.functional.cross_entropy(allowed[..., 0], targets[:, 0], reduction="none")
        end = nn.functional.cross_entropy(allowed[..., 1], targets[:, 1], reduction="none")
        return ((start + end) / 2 * weights_of(batch, scores.device)).sum()

    def reduce(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        """(advantage over no answer, start character, end character) of each window's best span."""
        starts, ends = scores[..., 0], scores[..., 1]
        allowed = _allowed(batch, scores.device)
        allowed[:, 0] = False
        starts_masked = starts.masked_fill(~allowed, float("-inf"))
        ends_masked = ends.masked_fill(~allowed, float("-inf"))
        best_scores, best_starts, best_ends = best_spans(starts_masked, ends_masked, self.recipe.max_answer)
        advantages = best_scores - starts[:, 0] - ends[:, 0]
        results: list[Any] = []
        for item, advantage, start, end in zip(
            batch.items, advantages.tolist(), best_starts.tolist(), best_ends.tolist(), strict=True
        ):
            place: _Place = item.place
            if not place.offsets:
                results.append((float("-inf"), 0, 0))
                continue
            first, last = start - place.context_start, end - place.context_start
            results.append((advantage, place.offsets[first][0], place.offsets[last][1]))
        return results

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> dict[str, str]:
        best: dict[int, tuple[float, int, int]] = {}
        for item, result in zip(items, reduced, strict=True):
            if item.example not in best or result[0] > best[item.example][0]:
                best[item.example] = result
        answers: dict[str, str] = {}
        for index, question in enumerate(cast(Sequence[Question], examples)):
            advantage, start, end = best[index]
            refused = self.may_refuse and advantage < 0
            answers[question.id] = "" if refused else whole_words(question.context, start, end)
        return answers

    def _question_windows(
        self, index: int, asked: list[int], pieces: Pieces, answers: Sequence[Window] | None
    ) -> list[Item]:
        """Windows of the context with the question before it; with `answers`, those that teach something true."""
        capacity = self.recipe.max_length - len(asked) - 3
        # Windows overlap by an answer at least, so that each answer is whole in one of them.
        stride = min(self.recipe.stride or capacity, max(capacity - self.recipe.max_answer, capacity // 2, 1))
        items = []
        for start, end in piece_windows(len(pieces.ids), capacity, stride):
            ids, context_start = wrap(self.text, asked, pieces.ids[start:end])
            target = None
            if answers is not None:
                target = _target(answers, (start, end), context_start)
                if target is None:
                    self.notes["training windows left out, with a part of an answer alone"] += 1
                    continue
            items.append(Item(ids, index, context_start, target, _Place(context_start, pieces.offsets[start:end])))
        return items


def best_spans(starts: torch.Tensor, ends: torch.Tensor, max_answer: int) -> tuple[torch.Tensor, ...]:
    """Best sum of starts[i] and ends[j] with i <= j < i + max_answer in each row: (score, i, j), each [rows]."""
    length = starts.shape[1]
    reach = min(max_answer, length)
    padded = nn.functional.pad(ends, (0, reach - 1), value=float("-inf"))
    # ends_ahead[row, i, k] is ends[row, i + k]: the choices of a span that starts at i.
    ends_ahead = padded.unfold(1, reach, 1)
    best_end, offset = ends_ahead.max(dim=-1)
    total, first = (starts + best_end).max(dim=-1)
    return total, first, first + offset.gather(1, first.unsqueeze(1)).squeeze(1)


def whole_words(text: str, start: int, end: int) -> str:
    """The characters from `start` to `end`, widened where they would cut a word."""
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while 0 < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return text[start:end].strip()


def _allowed(batch: Batch, device: torch.device) -> torch.Tensor:
    """[items, length]: positions a span may use: the context's pieces, and [CLS] for no answer."""
    allowed = torch.zeros(batch.input_ids.shape, dtype=torch.bool)
    for row, item in enumerate(batch.items):
        allowed[row, item.place.context_start : len(item.input_ids) - 1] = True
    allowed[:, 0] = True
    return allowed.to(device)


def _answer_pieces(question: Question, pieces: Pieces) -> list[Window]:
    """First and last piece (inclusive) of each answer that the context holds, in gold's order."""
    found = []
    for answer in question.answers:
        end = answer.start + len(answer.text)
        touched = [i for i, (a, b) in enumerate(pieces.offsets) if a < end and b > answer.start]
        if answer.start >= 0 and touched:
            found.append((touched[0], touched[-1]))
    return found


def _target(answers: Sequence[Window], window: Window, context_start: int) -> tuple[int, int] | None:
    """The first answer that is whole in the window; None where it holds parts of answers alone."""
    for first, last in answers:
        if window[0] <= first and last < window[1]:
            return first + context_start - window[0], last + context_start - window[0]
    touches = any(first < window[1] and last >= window[0] for first, last in answers)
    return None if touches else NO_ANSWER
