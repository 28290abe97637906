"""Near-copies: all that a comparison of every pair finds, the right one stays, and nothing but the inputs decides."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.config import DedupConfig
from data_pipeline.dedup import near as near_module
from data_pipeline.dedup.near import find_near_copies
from data_pipeline.dedup.note_order import UNKNOWN, order_of, seconds_of
from data_pipeline.dedup.sketches import NoteKeys, SketchStore, bands_for, write_sketches

CONFIG = DedupConfig()
VOCABULARY = [f"word{n}" for n in range(2000)]


def note(rng: random.Random, length: int = 120) -> list[str]:
    return rng.choices(VOCABULARY, k=length)


def changed(words: Sequence[str], rng: random.Random, edits: int) -> list[str]:
    words = list(words)
    for place in rng.sample(range(len(words)), edits):
        words[place] = rng.choice(VOCABULARY)
    return words


def write(folder: Path, texts: Sequence[str], keys: Sequence[NoteKeys], size: int, config: DedupConfig) -> list[Path]:
    folder.mkdir(exist_ok=True)
    stems = []
    for first in range(0, len(texts), size):
        stems.append(folder / f"{first:05d}")
        write_sketches(stems[-1], texts[first : first + size], keys[first : first + size], config)
    return stems


def key(patient: int, order: int = 0, split: int = 0) -> NoteKeys:
    return NoteKeys(f"{patient * 0x9E3779B97F4A7C15 % 2**64:016x}{'0' * 16}", order, split)


def find(
    folder: Path, notes: Sequence[tuple[str, NoteKeys]], config: DedupConfig = CONFIG, **options: int
) -> list[str]:
    """For each note "within", "across" or "stays"."""
    texts, keys = zip(*notes, strict=True)
    stems = write(folder, texts, keys, 7, config)
    near = find_near_copies(stems, np.ones(len(texts), np.bool_), config, folder / "scratch", **options)
    assert not (near.within_patient & near.across_patients).any() and not (folder / "scratch").exists()
    return [
        "within" if within else "across" if across else "stays"
        for within, across in zip(near.within_patient, near.across_patients, strict=True)
    ]


def jaccard(one: str, other: str) -> float:
    sets = [set(zip(*(text.split()[i:] for i in range(3)), strict=False)) for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.fixture
def family() -> list[tuple[str, NoteKeys]]:
    """Templates with copies of every degree, by patients who have several notes each."""
    rng = random.Random(11)
    notes = []
    for _ in range(12):
        template = note(rng)
        for degree in (0, 1, 2, 3, 5, 8, 12, 20):
            notes.append((" ".join(changed(template, rng, degree)), key(rng.randrange(30), rng.randrange(9))))
    rng.shuffle(notes)
    return [(text, NoteKeys(k.patient_key, k.order, int(k.patient_key[:4], 16) % 3)) for text, k in notes]


@pytest.mark.parametrize("mode", ["drop", "other_splits"])
def test_agrees_with_a_comparison_of_all_pairs(tmp_path: Path, family: list, mode: str) -> None:
    config = DedupConfig(across_patients=mode)  # type: ignore[arg-type]
    fate = find(tmp_path / "a", family, config)
    pairs = [
        (i, j) for i, j in itertools.combinations(range(len(family)), 2) if jaccard(family[i][0], family[j][0]) >= 0.8
    ]
    assert len(pairs) > 40 and {"within", "across", "stays"} == set(fate)
    for i, j in pairs:
        same_patient = family[i][1].patient_key == family[j][1].patient_key
        if same_patient or mode == "drop" or family[i][1].split != family[j][1].split:
            assert "stays" not in (fate[i], fate[j]) or fate[i] != fate[j], (i, j)
    for i, what in enumerate(fate):
        partners = {a + b - i for a, b in pairs if i in (a, b)}
        if what == "within":
            own = [j for j in partners if family[j][1].patient_key == family[i][1].patient_key]
            later = [j for j in own if (family[j][1].order, j) > (family[i][1].order, i)]
            assert any(fate[j] != "within" for j in later)
        if what == "across":
            earlier = [j for j in partners if j < i and family[j][1].patient_key != family[i][1].patient_key]
            assert [j for j in earlier if mode == "drop" or family[j][1].split != family[i][1].split]


def test_neither_workers_nor_memory_nor_pieces_change_anything(tmp_path: Path, family: list) -> None:
    once = find(tmp_path / "a", family)
    assert find(tmp_path / "b", family, partition_bytes=2000) == once
    assert find(tmp_path / "c", family, partition_bytes=20_000, num_workers=2) == once
    stems = write(tmp_path / "d", *zip(*family, strict=True), 40, CONFIG)  # type: ignore[misc]
    near = find_near_copies(stems, np.ones(len(family), np.bool_), CONFIG, tmp_path / "scratch")
    assert (near.within_patient | near.across_patients).tolist() == [what != "stays" for what in once]


def test_notes_loaded_a_few_at_a_time_are_held_against_those_before(
    tmp_path: Path, family: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = find(tmp_path / "a", family)
    monkeypatch.setattr(near_module, "_LOADED_NOTES", 2)
    assert find(tmp_path / "b", family) == once


def test_copies_of_a_template_go_and_its_other_fillings_stay(tmp_path: Path) -> None:
    """Hundreds of notes share bands and half of their words; a note goes if it is a near-copy of any before it."""
    rng = random.Random(3)
    template = note(rng)
    notes = [(" ".join(changed(template, rng, rng.randrange(8, 14))), key(patient)) for patient in range(400)]
    notes += [(notes[patient][0] + " word1", key(1000 + patient)) for patient in range(0, 400, 40)]
    fate = find(tmp_path, notes)
    assert fate[400:] == ["across"] * 10
    staying = [text for (text, _), what in zip(notes, fate, strict=True) if what == "stays"]
    assert len(staying) > 200
    for (text, _), what in zip(notes[:400], fate[:400], strict=True):
        if what == "across":
            assert any(jaccard(text, other) >= 0.8 for other in staying)


def test_notes_beyond_what_buckets_count(tmp_path: Path) -> None:
    rng = random.Random(4)
    long = [f"w{rng.randrange(10**6)}" for _ in range(70_000)]
    half = [*long[:35_000], *(f"v{rng.randrange(10**6)}" for _ in range(35_000))]
    notes = [(" ".join(words), key(patient)) for patient, words in enumerate([long, half, long[:60_000], long[1:]])]
    assert find(tmp_path, notes) == ["stays", "stays", "across", "across"]


def test_the_latest_of_a_patient_stays_and_a_drifting_chain_is_thinned(tmp_path: Path) -> None:
    rng = random.Random(2)
    days = [note(rng)]
    while len(days) < 30:
        # Each day some other six of the words: alike from day to day, nothing in common over the month.
        words = list(days[-1])
        words[len(days) * 6 % 120 : len(days) * 6 % 120 + 6] = note(rng, 6)
        days.append(words)
    notes = [(" ".join(words), key(1, order=day)) for day, words in enumerate(days)]
    shuffled = random.Random(5).sample(range(30), 30)
    fate = dict(zip(shuffled, find(tmp_path / "a", [notes[day] for day in shuffled]), strict=True))
    assert fate[29] == "stays"
    staying = [day for day in range(30) if fate[day] == "stays"]
    assert 8 <= len(staying) <= 16
    for day in range(30):
        assert fate[day] == "stays" or any(
            later > day and jaccard(notes[day][0], notes[later][0]) >= 0.8 for later in staying
        )
    undated = [(text, key(1, UNKNOWN)) for text, _ in notes[:2]]
    assert find(tmp_path / "b", undated) == ["within", "stays"]
    assert find(tmp_path / "c", undated, DedupConfig(within_patient=False)) == ["stays", "stays"]


def test_numbers_decide_where_words_are_alike(tmp_path: Path) -> None:
    rng = random.Random(3)
    words = note(rng, 200)
    labs = "na 138 k 3.1 cl 101 troponin 0.02"
    before, after = " ".join(words[:100]), " ".join(words[100:])
    one = (f"{before} {labs} {after}", key(1))
    other = (f"{before} {labs.replace('3.1', '5.9').replace('0.02', '4.80')} {after}", key(2))
    assert jaccard(one[0], other[0]) > 0.9
    assert find(tmp_path / "a", [one, other]) == ["stays", "stays"]
    assert find(tmp_path / "b", [one, other], DedupConfig(numbers=0)) == ["stays", "across"]
    longer = (f"{one[0]} addendum seen at 14:30 by the team", key(2))
    assert find(tmp_path / "c", [one, longer]) == ["stays", "across"]


def test_short_and_empty_notes_are_left_alone(tmp_path: Path) -> None:
    texts = ["", "patient stable", "patient stable", "no change since yesterday at all", "!!!", "!!!"]
    assert find(tmp_path, [(text, key(index)) for index, text in enumerate(texts)]) == ["stays"] * 6


def test_sketches_read_back_what_was_written(tmp_path: Path) -> None:
    rng = random.Random(9)
    texts = [" ".join([*note(rng, n * 5), "k 3.1"]) for n in range(20)]
    store = SketchStore(write(tmp_path, texts, [key(n, n) for n in range(20)], 6, CONFIG))
    for position in (19, 0, 7, 6):
        record, sketch = store[position]
        words = texts[position].split()
        runs = set(zip(words, words[1:], words[2:], strict=False))
        assert record["order"] == position and len(sketch.shingles) == len(runs)
        assert len(sketch.numbers) == 1 and (np.diff(sketch.shingles.astype(np.int64)) > 0).all()
    store.close()


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_bands_reach_their_probability(threshold: float) -> None:
    bands, rows = bands_for(threshold)
    assert bands * rows <= 128 and 1 - (1 - threshold**rows) ** bands >= 0.995
    assert 1 - (1 - (threshold - 0.3) ** rows) ** bands < 0.75


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2150-01-01", "2150-01-02"),
        ("2150-01-01", "2150-01-01 08:30:00"),
        ("2150-01-01T08:30", "2150-01-01T08:30:01Z"),
        ("20191231", "1/2/2020"),
        ("", "1900-01-01"),
        ("yesterday", "0001-01-01"),
        ("2150-13-01", "2150-01-01"),
    ],
)
def test_dates_are_ordered_and_not_told(earlier: str, later: str) -> None:
    assert seconds_of(earlier) < seconds_of(later)
    orders = [order_of(date, b"k" * 32, "7") for date in (earlier, later)]
    assert orders[0] < orders[1] and orders[1] != seconds_of(later)
    assert order_of(later, b"k" * 32, "7") - orders[1] == 0 != order_of(later, b"k" * 32, "8") - orders[1]
