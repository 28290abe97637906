"""Our fine-tuning beside transformers' Trainer as its example run_ner.py uses it, alternating in one run.

    python -m benchmarks.finetune --model hf --data ncbi_disease --peer-python peer/bin/python
    python -m benchmarks.finetune --model hf --data ncbi_disease --fraction 0.2 --epochs 1 --rounds 2

Both sides start from the same folder and see the same sentences with the same epochs, batch size, rate, dropout,
arithmetic and threads; each round is another seed. Ours is `notemill eval run` with its defaults otherwise;
benchmarks/run_ner.py says what the other side is. Times: `whole` is the whole command, from its start to its end,
scoring among it; `train_and_dev` is training and dev alone, which ours reads after every epoch and theirs once.
CPU seconds are of the whole command. Ratios are taken within a round, then their median. Needs accelerate in the
peer's environment.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, rounded, save_result, versions
from benchmarks.processes import Use, run
from data_pipeline.files import read_json
from eval.results import load_results
from eval.score_files import score_files
from launch.errors import NotemillError

RESULTS = Path(__file__).parent / "results" / "finetune.json"
OURS, THEIRS = "ours", "run_ner"
SIDES = (OURS, THEIRS)
_PACKAGES = ("notemill", "torch", "transformers")
_PEER_PACKAGES = ("accelerate", "torch", "transformers")
_SPLITS = ("train", "devel", "test")


@dataclass(frozen=True)
class Run:
    """One side in one round."""

    use: Use
    train_and_dev: float
    strict_f1: float


@dataclass
class Comparison:
    """All rounds of both sides."""

    arguments: argparse.Namespace
    work: Path
    data: Path
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def play(self, number: int) -> None:
        """A round, which begins with another side than the one before."""
        for side in SIDES if number % 2 else SIDES[::-1]:
            folder = self.work / side
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            one = self._ours(folder, number) if side == OURS else self._theirs(folder, number)
            self.runs.setdefault(side, []).append(one)
            print(
                f"{side}: {one.use.wall_seconds:.1f} s, {one.use.cpu_seconds:.1f} CPU seconds, training and dev "
                f"{one.train_and_dev:.1f} s, strict F1 {one.strict_f1:.4f}",
                flush=True,
            )

    def _ours(self, folder: Path, seed: int) -> Run:
        arguments = self.arguments
        # As far as the model reads, which is where run_ner's way cuts.
        longest = min(512, read_json(arguments.model / "config.json", "model configuration")["max_position_embeddings"])
        use = self._run(
            sys.executable,
            *(
                "launch.main",
                "eval",
                "run",
                "--model",
                arguments.model,
                "--task",
                "ner",
                "--data",
                f"conll:{self.data}",
            ),
            *("--out", folder, f"seeds=[{seed}]", f"threads={arguments.threads}", f"precision={arguments.precision}"),
            *(f"epochs={arguments.epochs}", f"lr={arguments.lr}", f"batch_size={arguments.batch_size}"),
            *(f"hidden_dropout={arguments.dropout}", f"head_dropout={arguments.dropout}"),
            *("warmup=0", "weight_decay=0", f"max_length={longest}", f"stride={longest * 3 // 4}"),
        )
        [result] = load_results(folder)
        return Run(use, result["seeds"][0]["train_seconds"], result["metrics"]["strict_f1"]["value"])

    def _theirs(self, folder: Path, seed: int) -> Run:
        arguments = self.arguments
        use = self._run(
            arguments.peer_python,
            *("benchmarks.run_ner", "--model", arguments.model, "--data", self.data, "--out", folder),
            *("--epochs", arguments.epochs, "--lr", arguments.lr, "--batch-size", arguments.batch_size),
            *("--dropout", arguments.dropout, "--precision", arguments.precision, "--seed", seed),
        )
        scores = score_files("ner", f"conll:{self.data}", folder / "predictions.tsv")
        times = read_json(folder / "times.json", "times")
        return Run(use, times["train_and_dev"], scores["metrics"]["strict_f1"])

    def _run(self, python: str, module: str, *words: Any) -> Use:
        threads = f"OMP_NUM_THREADS={self.arguments.threads}"
        command = ["env", threads, "HF_HUB_OFFLINE=1", python, "-m", module, *map(str, words)]
        return run(command, self.work / "log")


def main() -> None:
    """Measure, and write the results after every round."""
    arguments = _arguments()
    name = f"{arguments.data.name} {arguments.precision} {arguments.threads} thread"
    about = machine(_PACKAGES, "finetune") | {"peer_packages": versions(arguments.peer_python, _PEER_PACKAGES)}
    try:
        with tempfile.TemporaryDirectory(dir=arguments.work, prefix="benchmark-") as folder:
            data = Path(folder) / arguments.data.name
            sentences = copy_part(arguments.data, data, arguments.fraction)
            comparison = Comparison(arguments, Path(folder), data)
            for number in range(arguments.rounds):
                comparison.play(number)
                told = {"machine": about, "sentences": sentences} | rounded(summary(comparison))
                save_result(arguments.results, name, told)
    except NotemillError as error:
        sys.exit(f"error: {error}")


def copy_part(source: Path, target: Path, fraction: float) -> dict[str, int]:
    """The first sentences of each split, the share `fraction` of them; returns their numbers."""
    target.mkdir()
    kept = {}
    for split in _SPLITS:
        path = source / f"{split}.tsv"
        if not path.is_file():
            raise NotemillError(f"no {path}; --data is a folder of {', '.join(f'{name}.tsv' for name in _SPLITS)}.")
        blocks = [block for block in path.read_text(encoding="utf-8").split("\n\n") if block.strip()]
        part = blocks[: max(1, round(fraction * len(blocks)))]
        (target / path.name).write_text("\n\n".join(part) + "\n", encoding="utf-8")
        kept[split] = len(part)
    return kept


def summary(comparison: Comparison) -> dict[str, Any]:
    """What goes into the results file."""
    arguments = comparison.arguments
    ours, theirs = (comparison.runs[side] for side in SIDES)
    settings = ("epochs", "lr", "batch_size", "dropout", "precision", "threads", "fraction")
    return {
        **{name: getattr(arguments, name) for name in settings},
        "rounds": len(ours),
        "sides": {side: _side(runs) for side, runs in comparison.runs.items()},
        "ours takes of run_ner's": {
            "whole": _ratio([(a.use.wall_seconds, b.use.wall_seconds) for a, b in zip(ours, theirs, strict=True)]),
            "cpu": _ratio([(a.use.cpu_seconds, b.use.cpu_seconds) for a, b in zip(ours, theirs, strict=True)]),
            "train_and_dev": _ratio([(a.train_and_dev, b.train_and_dev) for a, b in zip(ours, theirs, strict=True)]),
        },
    }


def _side(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "whole_seconds": statistics.median(one.use.wall_seconds for one in runs),
        "cpu_seconds": statistics.median(one.use.cpu_seconds for one in runs),
        "train_and_dev_seconds": statistics.median(one.train_and_dev for one in runs),
        "strict_f1": statistics.fmean(one.strict_f1 for one in runs),
        "strict_f1_by_round": [one.strict_f1 for one in runs],
    }


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(a / b for a, b in pairs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv, devel.tsv and test.tsv")
    parser.add_argument("--fraction", type=float, default=1.0, help="share of each split")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dropout", type=float, default=0.1, help="on hidden states; attention has none")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable, help="Python with accelerate, for the Trainer")
    parser.add_argument("--work", type=Path, help="folder for scratch")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
