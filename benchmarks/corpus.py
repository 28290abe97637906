"""Corpus building beside datatrove's own pipeline: speed by stage, peak memory, and what large corpora take.

    python -m benchmarks.corpus --mb 100 --data noteevents:NOTEEVENTS.csv.gz --peer-python peer/bin/python
    python -m benchmarks.corpus --memory --mb 20 --data …       # peak memory and disk at 1, 4 and 16 times 20 MB
    python -m benchmarks.corpus --grouping                      # memory and time of finding copies, by notes
    python -m benchmarks.corpus --sizing                        # prints the table of docs/corpus.md from the results

Without --data the notes are invented. datatrove's tokenizer for English is spaCy's, and it needs an older xxhash than
notemill's other libraries do, so it has an environment of its own:

    python -m venv peer && peer/bin/pip install -r benchmarks/peer_requirements.txt

Each run is a process of its own; its CPU seconds are those of itself and all its children, counted by the kernel, start
included. The rate with the start amortised is that of what the text has more than a run over the first few hundred
notes. MB are 10^6 bytes of the text of all notes read, in UTF-8. Stages come from one more run, in which they are
sampled (`benchmarks/stages.py`). Each call replaces its part of results/corpus.json and names the machine there.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, rounded, save_result, versions, without_folders
from benchmarks.processes import Use, folder_mb, run
from benchmarks.roster import write_roster
from benchmarks.sides import RESULT_NAME, SIDES
from benchmarks.sizing import rates_of, table
from benchmarks.text import TextRow, TextSize, read_sources, write_rows
from data_pipeline.files import read_json
from launch.errors import NotemillError

RESULTS = Path(__file__).parent / "results" / "corpus.json"
START_MB = 0.5
"""Text of the run that stands for the start."""
_PACKAGES = ("notemill", "pyarrow", "numpy", "google-re2", "rensa", "orjson")
_PEER_PACKAGES = ("datatrove", "spacy", "xxhash", "numpy", "orjson")


def main() -> None:
    """Do what the flags ask for and write the results."""
    arguments = _arguments()
    try:
        if arguments.sizing:
            print(table(rates_of(_results(arguments.results))))
            return
        with tempfile.TemporaryDirectory(dir=arguments.work, prefix="benchmark-") as folder:
            if arguments.grouping:
                _save(arguments, "grouping", grouping(arguments.near, arguments.exact))
            elif arguments.memory:
                _save(arguments, "memory", memory(arguments, Path(folder)))
            else:
                _save(arguments, "compare", compare(arguments, Path(folder)))
    except NotemillError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--memory", action="store_true", help="peak memory and disk of our build by the size of its input"
    )
    mode.add_argument(
        "--grouping", action="store_true", help="memory and time of finding copies by the number of notes"
    )
    mode.add_argument("--sizing", action="store_true", help="print the sizing table from the results")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="KIND:PATH", help="inputs as for notemill corpus build"
    )
    parser.add_argument("--mb", type=float, default=20, help="text, by sampling or by rounds with variation (text.py)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--repeats", type=int, default=1, help="runs of each side, in turn; the fastest counts")
    parser.add_argument(
        "--roster-patients", type=int, default=0, help="give ours a roster of so many invented patients"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="Python that runs datatrove")
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 4, 16], help="of --memory")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of --memory")
    parser.add_argument("--near", type=int, nargs="+", default=[800_000, 3_200_000], help="notes, of --grouping")
    parser.add_argument("--exact", type=int, nargs="+", default=[4_000_000, 32_000_000], help="notes, of --grouping")
    parser.add_argument("--work", type=Path, help="folder for scratch; needs some times the text")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


# ---- the comparison --------------------------------------------------------------------------------------------------


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All sides over the same rows, in turn."""
    sources = read_sources(arguments.data, folder)
    rows, start_rows = folder / "rows.jsonl", folder / "start.jsonl"
    size = write_rows(rows, sources, round(arguments.mb * 1e6))
    start_size = write_rows(start_rows, sources, round(min(START_MB, arguments.mb / 4) * 1e6))
    roster = folder / "roster.csv" if arguments.roster_patients else None
    if roster is not None:
        write_roster(roster, arguments.roster_patients)
    starts: dict[str, list[Use]] = {side: [] for side in arguments.sides}
    wholes: dict[str, list[Use]] = {side: [] for side in arguments.sides}
    for _ in range(arguments.repeats):
        for side in arguments.sides:
            starts[side].append(_run_side(arguments, folder, side, start_rows, roster)[0])
            wholes[side].append(_run_side(arguments, folder, side, rows, roster)[0])
            _say(f"{side}: {size.text_bytes / 1e6 / wholes[side][-1].cpu_seconds:.2f} MB a CPU second, start included")
    sides = {}
    for side in arguments.sides:
        use, result = _run_side(arguments, folder, side, rows, roster, "--stages")
        sides[side] = _rates(size, start_size, _fastest(starts[side]), _fastest(wholes[side]), use, result)
        _say(_stage_lines(side, sides[side]))
    return {
        "text": _text_entry(arguments, sources, size) | {"roster_patients": arguments.roster_patients},
        "peer_packages": versions(arguments.peer_python, _PEER_PACKAGES),
        "sides": sides,
        "times_as_fast": _times_as_fast(sides),
    }


def _run_side(
    arguments: argparse.Namespace, folder: Path, side: str, rows: Path, roster: Path | None, *options: str
) -> tuple[Use, dict[str, Any]]:
    python = sys.executable if side == "ours" else arguments.peer_python
    lists = ["--roster", str(roster)] if roster and side == "ours" else []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [python, "-m", "benchmarks.sides", side, "--rows", str(rows), "--work", work, *lists, *options]
        use = run(command, folder / "log")
        return use, read_json(Path(work) / RESULT_NAME, "result")


def _rates(
    size: TextSize, start_size: TextSize, start: Use, whole: Use, staged: Use, result: dict[str, Any]
) -> dict[str, Any]:
    mb, start_mb = size.text_bytes / 1e6, start_size.text_bytes / 1e6
    more_seconds = whole.cpu_seconds - start.cpu_seconds
    stages = sorted(result["stages"].items(), key=lambda item: -item[1]["cpu_seconds"])
    return {
        "mb_per_cpu_second": mb / whole.cpu_seconds,
        # None where so little text was asked for that the start hides it.
        "mb_per_cpu_second_amortised": (mb - start_mb) / more_seconds if more_seconds > 0 else None,
        "cpu_seconds": whole.cpu_seconds,
        "wall_seconds": whole.wall_seconds,
        "start": {"text_mb": start_mb, "cpu_seconds": start.cpu_seconds},
        "largest_process_mb": whole.largest_process_mb,
        "kept": result["kept"],
        "cpu_seconds_with_stages": staged.cpu_seconds,
        "stages": {
            name: {
                "cpu_seconds": use["cpu_seconds"],
                "mb_per_cpu_second": mb / use["cpu_seconds"] if use["cpu_seconds"] else None,
                "peak_mb": use["peak_mb"],
            }
            for name, use in stages
        },
    }


def _times_as_fast(sides: dict[str, Any]) -> dict[str, dict[str, float]]:
    if "ours" not in sides:
        return {}
    names = ("mb_per_cpu_second", "mb_per_cpu_second_amortised")
    return {
        side: {name: sides["ours"][name] / rates[name] for name in names if sides["ours"][name] and rates[name]}
        for side, rates in sides.items()
        if side != "ours"
    }


def _stage_lines(side: str, rates: dict[str, Any]) -> str:
    total = sum(use["cpu_seconds"] for use in rates["stages"].values())
    whole, amortised = rates["mb_per_cpu_second"], rates["mb_per_cpu_second_amortised"] or 0
    lines = [
        f"{side}: {whole:.2f} MB a CPU second, {amortised:.2f} with its start amortised; {rates['kept']} notes kept; "
        f"largest process {rates['largest_process_mb']:.0f} MB"
    ]
    for name, use in rates["stages"].items():
        share = use["cpu_seconds"] / total
        lines.append(
            f"    {name:24} {use['cpu_seconds']:9.2f} s {share:6.1%} {use['mb_per_cpu_second'] or 0:9.2f} MB/s"
        )
    return "\n".join(lines)


def _fastest(uses: Sequence[Use]) -> Use:
    return min(uses, key=lambda use: use.cpu_seconds)


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Our build at some multiples of the text, with some numbers of workers."""
    sources = read_sources(arguments.data, folder)
    rows = folder / "rows.jsonl"
    runs = []
    for scale in arguments.scales:
        size = write_rows(rows, sources, round(scale * arguments.mb * 1e6))
        for workers in arguments.workers:
            entry = {"scale": scale, "workers": workers, "notes": size.notes, "text_mb": size.text_bytes / 1e6}
            runs.append(entry | _watch_build(folder, rows, workers))
            _say("  ".join(f"{name} {value:,.0f}" for name, value in runs[-1].items()))
    return {"text": _text_entry(arguments, sources, size), "runs": runs}


def _watch_build(folder: Path, rows: Path, workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [
            sys.executable, "-m", "benchmarks.sides", "ours", "--rows", str(rows), "--work", work,
            "--workers", str(workers),
        ]  # fmt: skip
        use = run(command, folder / "log", is_watched=True, folder=Path(work))
        return dataclasses.asdict(use) | {"result_mb": folder_mb(Path(work))}


def grouping(near: Sequence[int], exact: Sequence[int]) -> dict[str, Any]:
    """Finding copies, each size in a process of its own."""
    measured: dict[str, list[dict[str, Any]]] = {"near": [], "exact": []}
    for what, sizes in (("near", near), ("exact", exact)):
        for notes in sizes:
            command = [sys.executable, "-m", "benchmarks.grouping", what, str(notes)]
            finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if finished.returncode:
                raise NotemillError(f"grouping {notes} notes ({what}) ended with status {finished.returncode}.")
            measured[what].append(json.loads(finished.stdout))
            _say(f"{what}: {measured[what][-1]}")
    return measured


# ---- results ---------------------------------------------------------------------------------------------------------


def _text_entry(arguments: argparse.Namespace, sources: Sequence[Sequence[TextRow]], size: TextSize) -> dict[str, Any]:
    return {
        "data": without_folders(arguments.data) or ["invented notes"],
        "notes_of_sources": [len(rows) for rows in sources],
        "mb_of_sources": sum(len(row.text.encode()) for rows in sources for row in rows) / 1e6,
        "notes": size.notes,
        "mb": size.text_bytes / 1e6,
        "bytes_a_note": size.text_bytes / size.notes,
    }


def _save(arguments: argparse.Namespace, name: str, measured: dict[str, Any]) -> None:
    save_result(arguments.results, name, {"machine": machine(_PACKAGES, "corpus")} | rounded(measured))


def _results(path: Path) -> dict[str, Any]:
    return read_json(path, "results file")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
