"""Peak memory and time of grouping near-copies, by the size of the corpus, on generated sketches.

    python -m benchmarks.dedup_memory --notes 50000 200000 800000

Each size is a process of its own, so that its peak is its own. A quarter of the notes are near-copies of another: half
of these of the same patient's, as copied forward, half of another's, as templates are. Prints a JSON object a line.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data_pipeline.config import DedupConfig
from data_pipeline.near import find_near_copies
from data_pipeline.sketches import NOTE_DTYPE, bands_for

_PIECE_NOTES = 5000
_SHINGLES = 60
_NOTES_A_PATIENT = 10


def main() -> None:
    """Run each size in a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, nargs="+", default=[50_000, 200_000, 800_000])
    parser.add_argument("--one", action="store_true", help="measure this one size in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.notes[0])), flush=True)
        return
    for size in arguments.notes:
        subprocess.run([sys.executable, "-m", "benchmarks.dedup_memory", "--one", "--notes", str(size)], check=True)


def measure(num_notes: int) -> dict[str, float]:
    """Write sketches of `num_notes` notes, group them, and say what it took."""
    with tempfile.TemporaryDirectory() as folder:
        stems = [
            write_piece(Path(folder), first, min(_PIECE_NOTES, num_notes - first))
            for first in range(0, num_notes, _PIECE_NOTES)
        ]
        on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
        before = _peak_mb()
        begin = time.process_time()
        near = find_near_copies(stems, np.ones(num_notes, np.bool_), DedupConfig(), Path(folder) / "scratch")
        seconds = time.process_time() - begin
    return {
        "notes": num_notes,
        "near_within_patient": int(near.within_patient.sum()),
        "near_across_patients": int(near.across_patients.sum()),
        "sketches_mb": round(on_disk / 1e6),
        "peak_mb_before": before,
        "peak_mb": _peak_mb(),
        "cpu_seconds": round(seconds, 1),
        "notes_per_cpu_second": round(num_notes / seconds),
    }


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
    stem = folder / f"{first:09d}"
    for ending, array in (("notes", records), ("bands", bands), ("shingles", shingles)):
        array.tofile(stem.with_name(f"{stem.name}.{ending}"))
    return stem


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
