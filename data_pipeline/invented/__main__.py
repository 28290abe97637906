"""`python -m data_pipeline.invented --out DIR --patients N --seed S`: write an invented hospital.

The paths written go to standard output as JSON.
"""

import argparse
import json
import sys
from pathlib import Path

from data_pipeline.invented.write import TaskSizes, write_invented
from launch.errors import NotemillError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m data_pipeline.invented", description="Write an invented hospital.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--patients", type=int, default=250, help="number of patients, 4 to 6 notes each")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal bytes")
    parser.add_argument(
        "--outcome-notes", type=int, default=None, metavar="N", help="training notes with an outcome; 600 if not given"
    )
    arguments = parser.parse_args()
    try:
        paths = write_invented(arguments.out, arguments.patients, arguments.seed, _sizes(arguments.outcome_notes))
    except NotemillError as error:
        print(f"invented: {error}", file=sys.stderr)
        return 2
    print(json.dumps({name: str(path) for name, path in paths.items()}, indent=2))
    return 0


def _sizes(outcome_notes: int | None) -> TaskSizes:
    if outcome_notes is None:
        return TaskSizes()
    if outcome_notes < 10:
        raise NotemillError(f"--outcome-notes {outcome_notes} is too few to learn from; ask for 10 or more.")
    return TaskSizes(outcome=(outcome_notes, max(2, outcome_notes // 10), max(2, outcome_notes // 4)))


if __name__ == "__main__":
    raise SystemExit(main())
