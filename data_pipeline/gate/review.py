"""People read a sample of the finished notes: how it is drawn, what they found, and what that says of the whole.

    review/sample.json     which notes, by shard and row; drawn with the corpus' key, so that nobody can choose them
    review/outcomes.json   what each reader recorded, bound to that sample

Neither holds note text; the text is read from the shards. The sample has two parts. The first has each note type in its
share of the corpus, and the bound on the leak rate comes from it alone: no leak in 3,000 notes bounds the rate of
leaking notes at 0.1% with 95% confidence (Clopper and Pearson, one-sided). The second adds notes of rare types, so that
each is looked at; a leak there fails the review too.
"""

import datetime
import hashlib
import heapq
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict, get_args

from data_pipeline.files import make_private_folder, only_writer, read_json, sha256_file, write_json
from data_pipeline.manifest import CorpusManifest, ShardEntry, iter_shard
from data_pipeline.profile import MIN_NOTES_OF_A_TYPE, OTHER
from launch.errors import NotemillError

REVIEW_FOLDER = "review"
EARLIER_REVIEWS_FOLDER = "earlier_reviews"
"""Reviews of samples that were drawn before notes were added, one folder each."""
SAMPLE_NAME = f"{REVIEW_FOLDER}/sample.json"
OUTCOMES_NAME = f"{REVIEW_FOLDER}/outcomes.json"
Outcome = Literal["clean", "leak"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
CONFIDENCE = 0.95
MIN_OF_A_TYPE = 5
PATIENCE_S = 60.0
MAX_TYPES = 50
"""Beyond the most frequent ones, note types are one stratum."""


class SampledNote(TypedDict):
    """A note to read. `is_extra` ones are of rare types and do not count for the bound."""

    number: int
    shard: str
    row: int
    note_type: str
    is_extra: bool


class Recorded(TypedDict):
    """What one reader found in one note, and when (UTC)."""

    outcome: Outcome
    reviewer: str
    at: str


class TypeStatus(TypedDict):
    """Counts of one note type."""

    sampled: int
    reviewed: int
    leaks: int


State = Literal["not begun", "under way", "passed", "failed", "sample too small"]


class ReviewStatus(TypedDict):
    """Where the review stands. `bound` is null until a note was read."""

    state: State
    sampled: int
    reviewed: int
    leaks: int
    extra_sampled: int
    extra_reviewed: int
    extra_leaks: int
    bound: float | None
    confidence: float
    limit: float
    by_type: dict[str, TypeStatus]


def draw_sample(corpus_dir: Path, shards: Sequence[ShardEntry], key: bytes, wanted: int) -> str:
    """Write sample.json and return its hash. The choice depends on the notes, the key and `wanted` alone."""
    sizes: Counter[str] = Counter()
    for _, _, note_type, _ in _rows(corpus_dir, shards, with_id=False):
        sizes[note_type] += 1
    ranked = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:MAX_TYPES]
    # A type of few notes is free text in some sources, and the names of the types stand in the report.
    named = {name for name, size in ranked if size >= MIN_NOTES_OF_A_TYPE}
    strata: Counter[str] = Counter()
    for name, number in sizes.items():
        strata[name if name in named else OTHER] += number
    shares = share_out(strata, wanted)
    room = {name: min(size, max(shares[name], MIN_OF_A_TYPE)) if wanted else 0 for name, size in strata.items()}
    heaps: dict[str, list[tuple[int, str, int]]] = {name: [] for name in strata}
    for shard, row, note_type, note_id in _rows(corpus_dir, shards, with_id=True):
        name = note_type if note_type in named else OTHER
        # The smallest numbers stay: negated, because the heap gives up its smallest.
        item = (-_draw(key, note_id, shard, row), shard, row)
        if len(heaps[name]) < room[name]:
            heapq.heappush(heaps[name], item)
        elif room[name]:
            heapq.heappushpop(heaps[name], item)
    notes: list[SampledNote] = []
    for name, heap in sorted(heaps.items()):
        for place, (_, shard, row) in enumerate(sorted(heap, reverse=True)):
            is_extra = place >= shares[name]
            notes.append(SampledNote(number=0, shard=shard, row=row, note_type=name, is_extra=is_extra))
    notes.sort(key=lambda note: (note["shard"], note["row"]))
    for number, note in enumerate(notes, start=1):
        note["number"] = number
    make_private_folder(corpus_dir / REVIEW_FOLDER)
    write_json(corpus_dir / SAMPLE_NAME, {"version": 1, "notes": notes})
    return sha256_file(corpus_dir / SAMPLE_NAME)


def share_out(sizes: Counter[str], wanted: int) -> dict[str, int]:
    """`wanted` notes over the types in proportion to their sizes, by largest remainder; all where there are fewer."""
    total = sum(sizes.values())
    wanted = min(wanted, total)
    exact = {name: wanted * size / total for name, size in sizes.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(shares.values())]:
        shares[name] += 1
    return shares


def leak_bound(leaks: int, read: int, of_notes: int) -> float | None:
    """Upper end of the one-sided 95% interval of the share of leaking notes; exact when every note was read."""
    if not read:
        return None
    if read >= of_notes or leaks >= read:
        return leaks / read
    from scipy.stats import beta

    return float(beta.ppf(CONFIDENCE, leaks + 1, read - leaks))


def load_sample(corpus_dir: Path, manifest: CorpusManifest) -> list[SampledNote]:
    """The notes to read. Raises NotemillError when the file is not the one that the attestation names."""
    path = corpus_dir / SAMPLE_NAME
    sample = read_json(path, "review sample")
    if sha256_file(path) != manifest["attestation"]["review_sample_sha256"]:
        raise NotemillError(f"{path} is not the sample that was drawn for this corpus; build the corpus again.")
    notes: list[SampledNote] = sample["notes"]
    return notes


def load_outcomes(corpus_dir: Path, manifest: CorpusManifest) -> dict[int, Recorded]:
    """What was recorded so far, by the sample's numbers. Raises NotemillError for outcomes of another sample."""
    path = corpus_dir / OUTCOMES_NAME
    if not path.exists():
        return {}
    content = read_json(path, "review outcomes", "restore it from a backup")
    try:
        if content["sample_sha256"] != manifest["attestation"]["review_sample_sha256"]:
            raise NotemillError(f"{path} was recorded for another sample; move it away and review this one.")
        outcomes = {int(number): recorded for number, recorded in content["outcomes"].items()}
        if any(recorded["outcome"] not in OUTCOMES for recorded in outcomes.values()):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotemillError(f"{path} is no file of review outcomes; restore it from a backup.") from None
    return outcomes


def record(corpus_dir: Path, manifest: CorpusManifest, outcomes: dict[int, Outcome], reviewer: str) -> None:
    """Add outcomes; a later one for a note takes the earlier one's place. Raises NotemillError for no such note."""
    if not reviewer.strip():
        raise NotemillError("an outcome needs the reader's name; give --reviewer NAME.")
    numbers = {note["number"] for note in load_sample(corpus_dir, manifest)}
    unknown = sorted(set(outcomes) - numbers)
    if unknown:
        raise NotemillError(f"the sample has no note {unknown[0]}; its numbers go from 1 to {len(numbers)}.")
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    # Several people may read at once.
    with only_writer(corpus_dir / REVIEW_FOLDER, patience_s=PATIENCE_S):
        everything = load_outcomes(corpus_dir, manifest)
        everything |= {n: Recorded(outcome=found, reviewer=reviewer.strip(), at=at) for n, found in outcomes.items()}
        content = {
            "version": 1,
            "sample_sha256": manifest["attestation"]["review_sample_sha256"],
            "outcomes": {str(number): everything[number] for number in sorted(everything)},
        }
        write_json(corpus_dir / OUTCOMES_NAME, content)


def review_status(corpus_dir: Path, manifest: CorpusManifest) -> ReviewStatus:
    """Counts and the bound, as of now."""
    sample, outcomes = load_sample(corpus_dir, manifest), load_outcomes(corpus_dir, manifest)
    by_type: dict[str, TypeStatus] = {}
    for note in sample:
        status = by_type.setdefault(note["note_type"], TypeStatus(sampled=0, reviewed=0, leaks=0))
        found = outcomes.get(note["number"])
        status["sampled"] += 1
        status["reviewed"] += found is not None
        status["leaks"] += found is not None and found["outcome"] == "leak"
    main, extra = (_tally(sample, outcomes, is_extra) for is_extra in (False, True))
    limit = manifest["config"]["gate"]["max_leak_rate"]
    bound = leak_bound(main.leaks, main.reviewed, manifest["counts"]["kept"])
    return ReviewStatus(
        state=_state(main, extra, bound, limit),
        sampled=main.sampled,
        reviewed=main.reviewed,
        leaks=main.leaks,
        extra_sampled=extra.sampled,
        extra_reviewed=extra.reviewed,
        extra_leaks=extra.leaks,
        bound=bound,
        confidence=CONFIDENCE,
        limit=limit,
        by_type=by_type,
    )


def require_review(corpus_dir: Path, manifest: CorpusManifest) -> None:
    """Raise NotemillError where `gate.require_review` is set and the review has not passed."""
    if not manifest["config"]["gate"]["require_review"]:
        return
    state = review_status(corpus_dir, manifest)["state"]
    if state != "passed":
        raise NotemillError(
            f"the review of {corpus_dir} is '{state}', and it was built with gate.require_review=true; finish it with "
            f"notemill corpus review {corpus_dir}."
        )


def sampled_texts(corpus_dir: Path, sample: Iterable[SampledNote]) -> Iterator[tuple[SampledNote, str]]:
    """The notes with their texts, from the shards, in the order of the sample."""
    by_shard: dict[str, list[SampledNote]] = {}
    for note in sample:
        by_shard.setdefault(note["shard"], []).append(note)
    for shard, notes in by_shard.items():
        wanted = {note["row"]: note for note in notes}
        row = 0
        for batch in iter_shard(corpus_dir, shard, ("text",)):
            for text in batch.column("text").to_pylist():
                if row in wanted:
                    yield wanted[row], text
                row += 1


def _rows(corpus_dir: Path, shards: Sequence[ShardEntry], with_id: bool) -> Iterator[tuple[str, int, str, str]]:
    """Shard, row, note type and id of every note."""
    for entry in shards:
        row = 0
        for batch in iter_shard(corpus_dir, entry["path"], ("note_id", "note_type") if with_id else ("note_type",)):
            types = batch.column("note_type").to_pylist()
            ids = batch.column("note_id").to_pylist() if with_id else [""] * len(types)
            for note_type, note_id in zip(types, ids, strict=True):
                yield entry["path"], row, note_type, note_id
                row += 1


def _draw(key: bytes, note_id: str, shard: str, row: int) -> int:
    """64 bits that only the owner of the key can foresee."""
    value = f"notemill/review/{note_id}/{shard}/{row}".encode("utf-8", errors="surrogatepass")
    return int.from_bytes(hmac.digest(key, value, hashlib.sha256)[:8])


class _Tally(NamedTuple):
    """Counts of one part of the sample."""

    sampled: int
    reviewed: int
    leaks: int


def _tally(sample: Iterable[SampledNote], outcomes: dict[int, Recorded], is_extra: bool) -> _Tally:
    chosen = [outcomes.get(note["number"]) for note in sample if note["is_extra"] == is_extra]
    read = [found for found in chosen if found is not None]
    return _Tally(len(chosen), len(read), sum(found["outcome"] == "leak" for found in read))


def _state(main: _Tally, extra: _Tally, bound: float | None, limit: float) -> State:
    if not main.reviewed and not extra.reviewed:
        return "not begun"
    if main.reviewed < main.sampled or extra.reviewed < extra.sampled:
        return "under way"
    if extra.leaks or (main.leaks and (bound is None or bound > limit)):
        return "failed"
    return "passed" if bound is not None and bound <= limit else "sample too small"
