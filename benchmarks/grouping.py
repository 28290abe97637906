"""Memory and time of finding copies, by the size of the corpus, on generated digests and sketches.

    python -m benchmarks.grouping near 800000
    python -m benchmarks.grouping exact 16000000

Each size is a process of its own, so that its peak is its own. `near` groups sketches of which a quarter are
near-copies of another: half of these of the same patient's, as copied forward, half of another's, as templates are.
`exact` compares digests, which it does in partitions. Prints a JSON object.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.exact import DIGEST_BYTES, first_of_each
from data_pipeline.dedup.near import find_near_copies
from data_pipeline.dedup.sketches import NOTE_DTYPE, bands_for

_PIECE_NOTES = 5000
_DIGEST_FILE_NOTES = 100_000
_SHINGLES = 60
_NOTES_A_PATIENT = 10


def main() -> None:
    """Measure one size in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("near", "exact"))
    parser.add_argument("notes", type=int)
    arguments = parser.parse_args()
    measure = measure_near if arguments.what == "near" else measure_exact
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments.notes)), flush=True)


def measure_near(folder: Path, num_notes: int) -> dict[str, Any]:
    """Write sketches of `num_notes` notes, group them, and say what it took."""
    stems = [
        write_piece(folder, first, min(_PIECE_NOTES, num_notes - first)) for first in range(0, num_notes, _PIECE_NOTES)
    ]
    before = _peak_mb()
    begin = time.process_time()
    near = find_near_copies(stems, np.ones(num_notes, np.bool_), DedupConfig(), folder / "scratch")
    seconds = time.process_time() - begin
    found = {"within_patient": int(near.within_patient.sum()), "across_patients": int(near.across_patients.sum())}
    return {"notes": num_notes, "found": found} | _use(before, seconds)


def measure_exact(folder: Path, num_notes: int) -> dict[str, Any]:
    """Write random digests of `num_notes` notes, the last tenth of each file those of its beginning, and compare."""
    files = []
    for first in range(0, num_notes, _DIGEST_FILE_NOTES):
        count = min(_DIGEST_FILE_NOTES, num_notes - first)
        digests = np.random.default_rng(first).integers(0, 256, (count, DIGEST_BYTES), np.uint8)
        copies = count // 10
        digests[count - copies :] = digests[:copies]
        files.append(folder / f"{first:012d}.digests")
        digests.tofile(files[-1])
    before = _peak_mb()
    begin = time.process_time()
    masks = first_of_each(files, folder / "exact")
    seconds = time.process_time() - begin
    found = {"exact": sum(int((~mask).sum()) for mask in masks)}
    return {"notes": num_notes, "found": found} | _use(before, seconds)


def write_piece(folder: Path, first: int, count: int) -> Path:
    """Sketches as `write_sketches` leaves them, with values from a generator of its own for each piece."""
    rng = np.random.default_rng(first)
    num_bands, _ = bands_for(DedupConfig().jaccard)
    positions = np.arange(first, first + count)
    records = np.zeros(count, NOTE_DTYPE)
    records["patient"] = (positions // _NOTES_A_PATIENT).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    records["order"] = positions
    records["start"] = np.arange(count) * _SHINGLES
    records["num_shingles"] = _SHINGLES
    bands = rng.integers(1, 1 << 63, (count, num_bands), np.uint64)
    shingles = np.sort(rng.integers(0, 1 << 32, (count, _SHINGLES), np.uint32), axis=1)
    # Every eighth note is its predecessor's copy but for three values and bands; every eighth one of a patient before.
    for target, source in ((np.arange(1, count, 8), -1), (np.arange(31, count, 8), -30)):
        changed = bands[target]
        bands[target] = bands[target + source]
        bands[target, ::2] = changed[:, ::2]
        shingles[target] = shingles[target + source]
        shingles[target, :3] += np.arange(1, 4, dtype=np.uint32)
    shingles.sort(axis=1)
    stem = folder / f"{first:012d}"
    for ending, array in (("notes", records), ("bands", bands), ("shingles", shingles)):
        array.tofile(stem.with_name(f"{stem.name}.{ending}"))
    return stem


def _use(before_mb: float, seconds: float) -> dict[str, float]:
    return {"before_mb": before_mb, "peak_mb": _peak_mb(), "cpu_seconds": seconds}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
