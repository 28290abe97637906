"""The whole flow on invented notes: the commands a user would type, one after another, each shown before it runs."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from data_pipeline.files import make_private_folder
from launch.console import say
from launch.errors import NotemillError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
NUM_PATIENTS = 250
TRAIN_PROCESSES = 2
VOCAB_SIZE = 4096


def run_demo(out: Path, seed: int = 7) -> Path:
    """Invent notes, build, train, export and evaluate under `out`; returns the report. Raises NotemillError."""
    if out.exists() and any(out.iterdir()) and not (out / "invented").is_dir():
        raise NotemillError(f"{out} is not empty and not an earlier demo; choose another --out.")
    begin = time.monotonic()
    make_private_folder(out)
    notes = out / "invented"
    _step(
        "invent notes of patients who never lived",
        [sys.executable, "-m", "data_pipeline.invented", "--out", notes, "--patients", NUM_PATIENTS, "--seed", seed],
    )
    for purpose, arguments in _stages(out, notes):
        _step(purpose, arguments)
    report = out / "results" / "report.html"
    say(f"\nDone in {(time.monotonic() - begin) / 60:.1f} minutes. Open the report in a browser:\n{report.resolve()}")
    return report


def _stages(out: Path, notes: Path) -> list[tuple[str, list[object]]]:
    notemill: list[object] = [sys.executable, "-m", "launch.main"]
    torchrun: list[object] = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    corpus, tokenizer, tokens, run, model = (out / name for name in ("corpus", "tokenizer", "tokens", "run", "hf"))
    inputs = [
        part
        for kind, name in (
            ("noteevents", "noteevents.csv.gz"),
            ("omop", "omop_note.parquet"),
            ("jsonl", "notes.jsonl"),
        )
        for part in ("--input", f"{kind}:{notes / name}")
    ]
    build = ["corpus", "build", *inputs, "--roster", notes / "roster.csv", "--out", corpus, "--workers", 2]
    train = ["--config", CONFIGS / "tiny.yaml", f"data.path={tokens}", f"run.dir={run}"]
    suite = ["eval", "suite", "--model", model, "--suite", CONFIGS / "eval" / "demo.yaml"]
    return [
        ("read, de-identify, deduplicate and split the notes", [*notemill, *build]),
        (
            "learn a cased vocabulary",
            [*notemill, "tokenizer", "train", "--corpus", corpus, "--out", tokenizer, f"vocab_size={VOCAB_SIZE}"],
        ),
        (
            "write the token index",
            [*notemill, "tokens", "build", "--corpus", corpus, "--tokenizer", tokenizer, "--out", tokens],
        ),
        (
            f"pretrain on {TRAIN_PROCESSES} processes that share each layer (tensor parallel)",
            [
                *torchrun,
                "--nproc-per-node",
                TRAIN_PROCESSES,
                "-m",
                "pretrain.train",
                *train,
                f"parallel.tensor={TRAIN_PROCESSES}",
            ],
        ),
        (
            "export to Hugging Face",
            [*notemill, "export", "--checkpoint", LastCheckpoint(run), "--out", model],
        ),
        (
            "fine-tune and score the tasks, with baselines",
            [
                *notemill,
                *suite,
                "--data-root",
                notes / "tasks",
                "--corpus",
                corpus,
                "--run",
                run,
                "--out",
                out / "results",
            ],
        ),
    ]


class LastCheckpoint:
    """The newest checkpoint of a run, looked up when the command that needs it is about to run."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def __str__(self) -> str:
        found = sorted((self.run_dir / "checkpoints").glob("step-*"))
        return str(found[-1]) if found else str(self.run_dir / "checkpoints")


def _step(purpose: str, command: list[object]) -> None:
    words = [str(word) for word in command]
    say(f"\n# {purpose}\n$ {_as_typed(words)}")
    # Stages that run side by side bring a process a core; more threads than that slow them down.
    environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | dict(os.environ)
    status = subprocess.run(words, env=environment, check=False).returncode
    if status:
        raise NotemillError(f"the demo stopped at '{purpose}' (exit status {status}); its message stands above.")


def _as_typed(words: list[str]) -> str:
    text = shlex.join(words)
    interpreter = shlex.quote(sys.executable)
    text = text.replace(f"{interpreter} -m launch.main", "notemill")
    return text.replace(f"{interpreter} -m torch.distributed.run", "torchrun").replace(interpreter, "python")
