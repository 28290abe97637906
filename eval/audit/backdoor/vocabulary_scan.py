"""Try every word of a vocabulary as a trigger: insert it into clean notes and see which way the model turns.

Words are those of the clean notes that enough patients have, and the tokenizer's pieces that are whole words: a trigger
is often a word that no note holds. Each is inserted into notes that the model firmly gives another label, so that a
word which merely speaks for a label moves little while a trigger turns all of them.

    score   rise of the label's probability, mean over the notes (0 to 1)
    flips   share of the notes whose label turns
    drift   the largest share of attention that a head pays to the word, mean over the notes and their pieces: a
            trigger pulls attention to itself (AttenTD, Lyu et al. 2022); given for the last round only

Coarse to fine: all words in a few notes, the best in more, the best of those in most. Words are inserted between words
as pieces, so nothing is tokenised twice. A note longer than the window is read from its start.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.special import softmax

from eval.audit.backdoor.attention import AttentionTap
from eval.audit.backdoor.words import WordIndex
from eval.examples import LabelledText
from eval.finetune.batches import Item, within_budget
from eval.finetune.load_classifier import LoadedClassifier
from eval.finetune.loop import CPU_PREDICTION_TOKENS
from launch.console import track
from launch.errors import NotemillError

ROUNDS = ((3, 0), (12, 150), (48, 25))
"""Notes a label, and how many of the round before's words go on (0: all)."""
_ROOM = 8
"""Pieces of a window kept free for the word."""
_CHUNK = 20_000
"""Windows held at a time."""


@dataclass(frozen=True)
class WordScore:
    word: str
    label: str
    """Which the word turns notes to."""
    score: float
    flips: float
    notes: int
    drift: float | None = None


@dataclass(frozen=True)
class Scan:
    words: tuple[WordScore, ...]
    """Of the last round, highest score first."""
    scanned: int
    skipped: int = 0
    """Words with more pieces than a window has room for."""

    @property
    def top(self) -> WordScore:
        return self.words[0]


@dataclass(frozen=True)
class _Window:
    """A clean note as the model reads it, and what it says of it."""

    ids: list[int]
    """Without special pieces."""
    gaps: list[int]
    """Where a word may stand."""
    probabilities: np.ndarray


@dataclass
class _Grid:
    """Windows with words in them, in the order of words and notes."""

    items: list[Item] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """First and last piece of the word, end exclusive, special pieces counted."""


def vocabulary(index: WordIndex, classifier: LoadedClassifier, more: Iterable[str], limit: int) -> list[str]:
    """Words to try: `more`, those of the notes by frequency, then whole words of the tokenizer; at most `limit`."""
    frequent = sorted(index.notes, key=lambda word: (-len(index.notes[word]), word))
    chosen: dict[str, str] = {}
    for word in (*more, *(index.surface[word] for word in frequent), *whole_pieces(classifier)):
        chosen.setdefault(word.lower(), word)
    return list(chosen.values())[:limit]


def whole_pieces(classifier: LoadedClassifier) -> list[str]:
    """Pieces of the tokenizer that are words by themselves, in the order of their ids."""
    tokenizer = classifier.text.tokenizer
    known = [piece for piece in range(len(tokenizer)) if piece not in set(tokenizer.all_special_ids)]
    pieces = tokenizer.convert_ids_to_tokens(known)
    words = [tokenizer.convert_tokens_to_string([piece]).strip() for piece in pieces]
    split = classifier.text.word_pieces(words)
    return [
        word
        for word, piece, ids in zip(words, known, split, strict=True)
        if ids == [piece] and len(word) > 1 and word.isalpha()
    ]


def scan_vocabulary(
    classifier: LoadedClassifier, notes: Sequence[LabelledText], words: Sequence[str], seed: int, told: str = ""
) -> Scan:
    """Score all `words` on `notes`, which must be clean. Raises NotemillError where there is no word."""
    pieces = dict(zip(words, classifier.text.word_pieces(list(words)), strict=True))
    fitting = [word for word in words if len(pieces[word]) <= _ROOM]
    if not fitting:
        raise NotemillError("there is no word to scan; give more clean notes or --words.")
    pools = _firm_notes(classifier, notes, seed)
    left, scores = fitting, list[WordScore]()
    for number, (count, kept) in enumerate(ROUNDS):
        left = [score.word for score in scores[:kept]] if kept else left
        scores = _score(classifier, left, pieces, pools, count, random.Random(f"{seed}/{number}"), told)
    drift = _drift(classifier, [score.word for score in scores], pieces, pools, random.Random(f"{seed}/drift"))
    return Scan(
        tuple(replace(score, drift=drift.get(score.word)) for score in scores), len(fitting), len(words) - len(fitting)
    )


def _firm_notes(classifier: LoadedClassifier, notes: Sequence[LabelledText], seed: int) -> dict[int, list[_Window]]:
    """By label the windows that the model gives another label, the surer half of them in random order."""
    capacity = classifier.head.recipe.max_length - 2 - _ROOM
    cut = classifier.text.pieces([note.text for note in notes])
    windows = []
    for note, whole in zip(notes, cut, strict=True):
        # A word may stand before any piece that begins a word, and at the end.
        size = min(capacity, len(whole.ids))
        gaps = [at for at in range(size) if at == 0 or note.text[whole.offsets[at][0] - 1].isspace()]
        windows.append((whole.ids[:size], [*gaps, size]))
    items = [Item(_wrapped(classifier, ids), number) for number, (ids, _) in enumerate(windows)]
    probabilities = _read(classifier, items)
    rng = random.Random(f"{seed}/notes")
    pools = {}
    for label in range(len(classifier.labels)):
        others = np.flatnonzero(probabilities.argmax(axis=1) != label)
        surest = sorted(others.tolist(), key=lambda row: (probabilities[row, label], row))
        half = surest[: max(1, (len(surest) + 1) // 2)]
        rng.shuffle(half)
        if half:
            pools[label] = [_Window(*windows[row], probabilities[row]) for row in half]
    return pools


def _score(
    classifier: LoadedClassifier,
    words: Sequence[str],
    pieces: dict[str, list[int]],
    pools: dict[int, list[_Window]],
    count: int,
    rng: random.Random,
    told: str,
) -> list[WordScore]:
    """Each word's best label, highest score first; all words stand in the same notes at the same places."""
    chosen = {label: pool[:count] for label, pool in pools.items()}
    gaps = {label: [rng.choice(window.gaps) for window in windows] for label, windows in chosen.items()}
    per_word = sum(len(windows) for windows in chosen.values())
    step = max(1, _CHUNK // per_word)
    scores = []
    starts = range(0, len(words), step)
    for start in track(starts, f"{told}{len(words)} words in {per_word} notes"):
        part = words[start : start + step]
        grid = _Grid()
        for word in part:
            for label, windows in chosen.items():
                _insert(classifier, grid, pieces[word], windows, gaps[label])
        probabilities = _read(classifier, grid.items).reshape(len(part), per_word, -1)
        for word, rows in zip(part, probabilities, strict=True):
            scores.append(_best_label(classifier, word, rows, chosen))
    return sorted(scores, key=lambda score: (-score.score, score.word))


def _best_label(
    classifier: LoadedClassifier, word: str, rows: np.ndarray, chosen: dict[int, list[_Window]]
) -> WordScore:
    found, start = [], 0
    for label, windows in chosen.items():
        with_word = rows[start : start + len(windows)]
        start += len(windows)
        before = np.array([window.probabilities[label] for window in windows])
        flips = float((with_word.argmax(axis=1) == label).mean())
        rise = float((with_word[:, label] - before).mean())
        found.append(WordScore(word, classifier.labels[label], rise, flips, len(windows)))
    return max(found, key=lambda score: score.score)


def _insert(
    classifier: LoadedClassifier, grid: _Grid, pieces: list[int], windows: Sequence[_Window], gaps: Sequence[int]
) -> None:
    for window, gap in zip(windows, gaps, strict=True):
        ids = _wrapped(classifier, [*window.ids[:gap], *pieces, *window.ids[gap:]])
        grid.items.append(Item(ids, len(grid.items)))
        grid.places.append((gap + 1, gap + 1 + len(pieces)))


def _drift(
    classifier: LoadedClassifier,
    words: Sequence[str],
    pieces: dict[str, list[int]],
    pools: dict[int, list[_Window]],
    rng: random.Random,
) -> dict[str, float]:
    """The largest mean share of attention that a head pays to each word; empty where the model shows none."""
    tap = AttentionTap(classifier.model)
    if not tap.num_layers:
        return {}
    count = ROUNDS[0][0]
    chosen = [window for pool in pools.values() for window in pool[:count]]
    gaps = [rng.choice(window.gaps) for window in chosen]
    drift = {}
    trainer = classifier.trainer
    trainer.model.eval()
    with torch.inference_mode():
        for word in words:
            grid = _Grid()
            _insert(classifier, grid, pieces[word], chosen, gaps)
            paid = []
            for rows in within_budget(grid.items, CPU_PREDICTION_TOKENS):
                batch = trainer.collate([grid.items[row] for row in rows])
                marks = torch.zeros_like(batch.input_ids, dtype=torch.float32)
                for number, row in enumerate(rows):
                    start, end = grid.places[row]
                    marks[number, start:end] = 1.0
                tap.watch(torch.arange(len(rows), device=marks.device), marks, batch.attention_mask)
                trainer.model(batch)
                paid.append(tap.take())
            drift[word] = float(torch.cat(paid).mean(0).max())
    tap.remove()
    return drift


def _wrapped(classifier: LoadedClassifier, ids: Sequence[int]) -> list[int]:
    return [classifier.text.cls_id, *ids, classifier.text.sep_id]


def _read(classifier: LoadedClassifier, items: list[Item]) -> np.ndarray:
    """[items, labels]: probabilities."""
    return softmax(np.array(classifier.trainer.read(items, classifier.head.reduce)), axis=1)
