"""Does private training learn anything, and what can be attacked in the result? Invented notes, epsilon 8.

    python -m benchmarks.private --work /tmp/private --seeds 0 1 2

Two invented hospitals: a small one makes tokenizer and public model, the large one's training patients are trained on
with configs/private/invented.yaml, once a seed with a secret of its own. Members are then told from held-out patients
with the public model as the attacker's reference. What lies in --work is taken up; benchmarks/results/private.json.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, rounded, save_result
from data_pipeline.files import make_private_folder
from data_pipeline.invented import write_invented
from eval.audit.attacks import AttackConfig
from eval.audit.findings import read_audit
from eval.audit.mia import audit_membership
from eval.audit.policy import load_policy
from eval.audit.split import make_split
from eval.audit.verdict import judge

RESULTS = Path(__file__).parent / "results" / "private.json"
CONFIG = Path(__file__).parents[1] / "configs" / "private" / "invented.yaml"
TINY = Path(__file__).parents[1] / "configs" / "tiny.yaml"
PUBLIC_STEPS = 600
_PACKAGES = ("notemill", "torch", "transformers", "opacus", "dp-accounting")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--patients", type=int, default=4500)
    parser.add_argument("--public-patients", type=int, default=400)
    parser.add_argument("--audited-notes", type=int, default=600, help="members and non-members, each")
    parser.add_argument("--attacks", nargs="+", default=["loss", "pll", "min_k", "ratio"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    work = make_private_folder(arguments.work)
    corpus = _corpus(work, "inv", arguments.patients, 21)
    public = _public_model(work, _corpus(work, "ref", arguments.public_patients, 77))
    split = work / "split"
    if not (split / "split.json").is_file():
        make_split(corpus, split, max_notes=arguments.audited_notes)
    config = AttackConfig(attacks=arguments.attacks, max_pieces=32, max_length=128)
    rows = []
    for seed in arguments.seeds:
        started, out = time.monotonic(), work / f"s{seed}"
        _notemill(
            *("train-private", "--config", CONFIG, f"model.path={public}", f"data.path={corpus}"),
            *(f"run.seed={seed}", f"run.dir={out}"),
        )
        row: dict[str, Any] = {"seed": seed, "minutes": (time.monotonic() - started) / 60}
        row |= {name: [f.value, f.low, f.high] for name, f in read_audit(out).findings.items()}
        audit = audit_membership(out, split, work / f"mia{seed}", config, public)
        row |= {name: [f.value, f.low, f.high] for name, f in audit.findings.items() if name.endswith("auc")}
        rows.append(row | {"verdict": judge(audit, load_policy()).verdict})
        print(json.dumps(rounded(rows[-1])), flush=True)
    save_result(arguments.results, "invented", rounded({"machine": machine(_PACKAGES, "private"), "seeds": rows}))


def _corpus(work: Path, name: str, patients: int, seed: int) -> Path:
    corpus, key = work / f"corpus-{name}", work / "key"
    if not key.is_file():
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
    if not (corpus / "manifest.json").is_file():
        notes = write_invented(work / name, patients, seed)
        kinds = ("noteevents", "omop", "jsonl")
        inputs = [argument for kind in kinds for argument in ("--input", f"{kind}:{notes[kind]}")]
        shares = ("split.train=0.8", "split.valid=0.1", "split.test=0.1")
        _notemill("corpus", "build", *inputs, "--out", corpus, "--key-file", key, *shares)
    return corpus


def _public_model(work: Path, corpus: Path) -> Path:
    """Two layers of width 128, pretrained without noise on patients of the other hospital."""
    vocab, tokens, run, model = (work / name for name in ("vocab", "tokens-ref", "run-ref", "hf-ref"))
    if not (model / "config.json").is_file():
        _notemill("tokenizer", "train", "--corpus", corpus, "--out", vocab, "vocab_size=1024")
        _notemill("tokens", "build", "--corpus", corpus, "--tokenizer", vocab, "--out", tokens)
        steps = (f"train.steps={PUBLIC_STEPS}", f"checkpoint.every={PUBLIC_STEPS}")
        _notemill("train", "--config", TINY, f"data.path={tokens}", f"run.dir={run}", *steps)
        _notemill("export", "--checkpoint", run / "checkpoints" / f"step-{PUBLIC_STEPS:08d}", "--out", model)
    return model


def _notemill(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "launch.main", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
