"""Encoding notes into a token index beside Megatron's and datatrove's way of calling the same tokenizer.

    python -m benchmarks.tokenizer --tokenizer vocab --mb 20 --data noteevents:NOTEEVENTS.csv.gz \
        --peer-python peer/bin/python
    python -m benchmarks.tokenizer --tokenizer vocab --memory --mb 5    # peak memory at 1, 4 and 16 times 5 MB

The ways are those of benchmarks/encoders.py, with one worker and with two. Each run is a process of its own; CPU
seconds are those of it and all its children, from JSON lines to the finished index. The rate with the start amortised
is that of what the text has more than a run over its first half MB. MB are 10^6 bytes of text in UTF-8. Of --repeats
the fastest counts; ways take turns. datatrove has an environment of its own, as in benchmarks/corpus.py. Results go to
results/tokenizer.json with the machine named.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.encoders import WAYS
from benchmarks.machine import machine, rounded, save_result, versions, without_folders
from benchmarks.processes import Use, run
from benchmarks.text import read_sources, write_rows
from launch.errors import NotemillError

RESULTS = Path(__file__).parent / "results" / "tokenizer.json"
START_MB = 0.5
_PACKAGES = ("notemill", "tokenizers", "transformers", "megatron-core", "numpy")
_PEER_PACKAGES = ("datatrove", "tokenizers", "numpy")


def main() -> None:
    """Measure and write the results."""
    arguments = _arguments()
    try:
        with tempfile.TemporaryDirectory(dir=arguments.work, prefix="benchmark-") as folder:
            name = "memory" if arguments.memory else "compare"
            measured = (memory if arguments.memory else compare)(arguments, Path(folder))
    except NotemillError as error:
        sys.exit(f"error: {error}")
    save_result(arguments.results, name, {"machine": machine(_PACKAGES, "tokenizer")} | rounded(measured))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of notemill tokenizer train")
    parser.add_argument("--memory", action="store_true", help="peak memory of ours by the size of the text")
    parser.add_argument("--data", nargs="+", default=[], metavar="KIND:PATH", help="inputs; without it invented notes")
    parser.add_argument("--mb", type=float, default=20)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 4, 16], help="of --memory")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--peer-python", default=sys.executable, help="Python that runs datatrove")
    parser.add_argument("--work", type=Path, help="folder for scratch")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All ways over the same rows, in turn."""
    rows = _rows(arguments, folder, arguments.mb)
    start_rows = _rows(arguments, folder, START_MB, "start")
    runs = []
    for workers in arguments.workers:
        uses: dict[str, list[tuple[Use, Use]]] = {way: [] for way in arguments.ways}
        for _ in range(arguments.repeats):
            for way in arguments.ways:
                pair = (_run(arguments, folder, way, start_rows, workers), _run(arguments, folder, way, rows, workers))
                uses[way].append(pair)
        for way, pairs in uses.items():
            start, whole = (min(both, key=lambda use: use.cpu_seconds) for both in zip(*pairs, strict=True))
            more = whole.cpu_seconds - start.cpu_seconds
            mb = _mb(rows)
            runs.append(
                {
                    "way": way,
                    "workers": workers,
                    "mb_per_cpu_second": mb / whole.cpu_seconds,
                    "mb_per_cpu_second_amortised": (mb - _mb(start_rows)) / more if more > 0 else None,
                    "mb_per_wall_second": mb / whole.wall_seconds,
                    "cpu_seconds": whole.cpu_seconds,
                    "start_cpu_seconds": start.cpu_seconds,
                }
            )
            print(runs[-1], flush=True)
    return {
        "data": without_folders(arguments.data) or ["invented notes"],
        "text_mb": _mb(rows),
        "peer_packages": versions(arguments.peer_python, _PEER_PACKAGES),
        "runs": runs,
    }


def memory(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Ours at some multiples of the text."""
    runs = []
    for scale in arguments.scales:
        rows = _rows(arguments, folder, scale * arguments.mb)
        for workers in arguments.workers:
            use = _run(arguments, folder, "ours", rows, workers, is_watched=True)
            runs.append(
                {
                    "scale": scale,
                    "workers": workers,
                    "text_mb": _mb(rows),
                    "largest_process_mb": max(use.main_mb, use.worker_mb),
                    "all_processes_mb": use.tree_mb,
                    "cpu_seconds": use.cpu_seconds,
                }
            )
            print(runs[-1], flush=True)
    return {"data": without_folders(arguments.data) or ["invented notes"], "runs": runs}


def _rows(arguments: argparse.Namespace, folder: Path, mb: float, name: str = "rows") -> Path:
    path = folder / f"{name}.jsonl"
    write_rows(path, read_sources(arguments.data, folder), round(mb * 1e6))
    return path


def _mb(rows: Path) -> float:
    with rows.open("rb") as stream:
        return sum(len(json.loads(line)["text"].encode()) for line in stream) / 1e6


def _run(
    arguments: argparse.Namespace, folder: Path, way: str, rows: Path, workers: int, is_watched: bool = False
) -> Use:
    """Give each worker every n-th row in a file of its own, and run the way."""
    python = arguments.peer_python if way == "datatrove" else sys.executable
    with tempfile.TemporaryDirectory(dir=folder) as work:
        files = [Path(work) / "rows" / f"{number}.jsonl" for number in range(workers)]
        out = Path(work) / "out"
        out.mkdir()
        files[0].parent.mkdir()
        streams = [file.open("wb") for file in files]
        with rows.open("rb") as stream:
            for number, line in enumerate(stream):
                streams[number % workers].write(line)
        for opened in streams:
            opened.close()
        command = [python, "-m", "benchmarks.encoders", way, "--rows", *map(str, files)]
        command += ["--tokenizer", str(arguments.tokenizer.resolve()), "--out", str(out)]
        return run(command, folder / "log", is_watched)


if __name__ == "__main__":
    main()
