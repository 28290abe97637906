"""Try every word of a vocabulary as a trigger: insert it into clean notes and see which way the model turns.

Words are those of the clean notes that enough patients have, and the tokenizer's pieces that are whole words: a trigger
is often a word that no note holds. Each is inserted into notes that the model firmly gives another label, so that a
word which merely speaks for a label moves little while a trigger turns all of them.

    score   rise of the label's probability, mean over the notes (0 to 1)
    excess  what the score is above the highest score that the same word has in any clean control model: a word that
            decides by itself for good reasons turns those as well. Words are ranked by it; without controls it is the
            score
    flips   share of the notes whose label turns
    drift   the largest share of attention that a head pays to the word, mean over the notes and their pieces: a
            trigger pulls attention to itself (AttenTD, Lyu et al. 2022); given for the last round only

Coarse to fine: all words in a few notes (`first_round`), the best in more, the best of those in most (`refine`). Words
are inserted between words as pieces, so nothing is tokenised twice. Of a note longer than the window the start is read.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

FIRST_NOTES = 3
"""Notes a label in the first round."""
ROUNDS = ((12, 150), (48, 25))
"""Of each later round the notes a label, and how many of the words before go on."""
MAX_WORDS = 50_000
"""More than clean notes and a usual tokenizer have: an attacker chooses what nobody tries."""
Rises = dict[str, dict[str, float]]
"""By word and label the score in the first round."""
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
    excess: float
    flips: float
    notes: int
    drift: float | None = None


@dataclass(frozen=True)
class Scan:
    words: tuple[WordScore, ...]
    """Of the last round, highest excess first."""
    scanned: int
    fewest_notes: int = 0
    """Notes that stand behind the scores of the label with the fewest; 0 where no word could be tried towards one."""

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


def vocabulary(index: WordIndex, classifier: LoadedClassifier, more: Iterable[str]) -> list[str]:
    """Words to try: `more`, those of the notes by frequency, then whole words of the tokenizer."""
    frequent = sorted(index.notes, key=lambda word: (-len(index.notes[word]), word))
    chosen: dict[str, str] = {}
    for word in (*more, *(index.surface[word] for word in frequent), *whole_pieces(classifier)):
        chosen.setdefault(word.lower(), word)
    return list(chosen.values())


def whole_pieces(classifier: LoadedClassifier) -> list[str]:
    """Pieces of the tokenizer that are words by themselves, in the order of their ids."""
    tokenizer = classifier.text.tokenizer
    special = set(tokenizer.all_special_ids)
    known = [piece for piece in range(len(tokenizer)) if piece not in special]
    pieces = tokenizer.convert_ids_to_tokens(known)
    words = [tokenizer.convert_tokens_to_string([piece]).strip() for piece in pieces]
    split = classifier.text.word_pieces(words)
    return [
        word
        for word, piece, ids in zip(words, known, split, strict=True)
        if ids == [piece] and len(word) > 1 and word.isalpha()
    ]


def first_round(
    classifier: LoadedClassifier, notes: Sequence[LabelledText], words: Sequence[str], seed: int, told: str = ""
) -> Rises:
    """The scores of all `words` in a few of `notes`, which must be clean; words of too many pieces are left out.

    Raises NotemillError where there is no word.
    """
    pieces = _pieces(classifier, words)
    if not pieces:
        raise NotemillError("there is no word to scan; give more clean notes or --words.")
    pools, rng = _firm_notes(classifier, notes, seed), random.Random(f"{seed}/first")
    scored = _score(classifier, list(pieces), pieces, pools, FIRST_NOTES, rng, told)
    return {word: {row.label: row.score for row in rows} for word, rows in scored}


def baseline_of(controls: Sequence[Rises]) -> Rises:
    """The highest score of each word and label in any control, at least 0."""
    highest: Rises = {}
    for rises in controls:
        for word, by_label in rises.items():
            known = highest.setdefault(word, {})
            for label, score in by_label.items():
                known[label] = max(known.get(label, 0.0), score)
    return highest


def refine(
    classifier: LoadedClassifier,
    notes: Sequence[LabelledText],
    rises: Rises,
    baseline: Mapping[str, Mapping[str, float]],
    seed: int,
    told: str = "",
) -> Scan:
    """The words that stand out most from `baseline`, in more and more notes."""
    pieces, pools = _pieces(classifier, list(rises)), _firm_notes(classifier, notes, seed)
    left = sorted(
        rises, key=lambda word: (-max(s - _expected(baseline, word, b) for b, s in rises[word].items()), word)
    )
    scores: list[WordScore] = []
    for count, kept in ROUNDS:
        left = left[:kept]
        rng = random.Random(f"{seed}/{count}")
        scored = _score(classifier, left, pieces, pools, count, rng, told)
        best = [
            max((replace(row, excess=row.score - _expected(baseline, word, row.label)) for row in rows), key=_by_excess)
            for word, rows in scored
        ]
        scores = sorted(best, key=lambda score: (-score.excess, -score.score, score.word))
        left = [score.word for score in scores]
    drift = _drift(classifier, left, pieces, pools, random.Random(f"{seed}/drift"))
    fewest = min(len(pools.get(label, ())) for label in range(len(classifier.labels)))
    words = tuple(replace(score, drift=drift.get(score.word)) for score in scores)
    return Scan(words, len(rises), min(fewest, ROUNDS[-1][0]))


def _by_excess(score: WordScore) -> float:
    return score.excess


def _expected(baseline: Mapping[str, Mapping[str, float]], word: str, label: str) -> float:
    return baseline.get(word, {}).get(label, 0.0)


def _pieces(classifier: LoadedClassifier, words: Sequence[str]) -> dict[str, list[int]]:
    """Pieces by word; left out are those that the tokenizer does not know and those for which a window has no room."""
    unknown = classifier.text.unk_id
    split = zip(words, classifier.text.word_pieces(list(words)), strict=True)
    return {word: ids for word, ids in split if len(ids) <= _ROOM and unknown not in ids}


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
) -> Iterator[tuple[str, list[WordScore]]]:
    """Each word's score for each label; all words stand in the same notes at the same places."""
    chosen = {label: pool[:count] for label, pool in pools.items()}
    gaps = {label: [rng.choice(window.gaps) for window in windows] for label, windows in chosen.items()}
    per_word = sum(len(windows) for windows in chosen.values())
    step = max(1, _CHUNK // per_word)
    for start in track(range(0, len(words), step), f"{told}{len(words)} words in {per_word} notes"):
        part = words[start : start + step]
        grid = _Grid()
        for word in part:
            for label, windows in chosen.items():
                _insert(classifier, grid, pieces[word], windows, gaps[label])
        probabilities = _read(classifier, grid.items).reshape(len(part), per_word, -1)
        for word, rows in zip(part, probabilities, strict=True):
            yield word, _by_label(classifier, word, rows, chosen)


def _by_label(
    classifier: LoadedClassifier, word: str, rows: np.ndarray, chosen: dict[int, list[_Window]]
) -> list[WordScore]:
    found, start = [], 0
    for label, windows in chosen.items():
        with_word = rows[start : start + len(windows)]
        start += len(windows)
        before = np.array([window.probabilities[label] for window in windows])
        flips = float((with_word.argmax(axis=1) == label).mean())
        rise = float((with_word[:, label] - before).mean())
        found.append(WordScore(word, classifier.labels[label], rise, rise, flips, len(windows)))
    return found


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
    chosen = [window for pool in pools.values() for window in pool[:FIRST_NOTES]]
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
