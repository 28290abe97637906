"""Do the membership audits see what is known to be there? Models trained to known degrees, on invented notes.

    python -m benchmarks.audit --seeds 0 1 2
    python -m benchmarks.audit --seeds 0 --patients 60 --epochs 0 4     # a quick look
    python -m benchmarks.audit --texts tasks/mtsamples_types/train.jsonl --patients 600 --words 40 --epochs 0 20 30 80

For each seed: patients are divided anew, a tokenizer is made of members and the reference part, a reference model of
the latter. A small Megatron-BERT is trained on the members and audited untrained, half-way and overtrained; a shifted
set of non-members (other phrases) must void the audit; canaries planted among the members must show. The results say
what each attack saw; benchmarks/results/audit.json.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.audit_models import train_mlm, train_tokenizer, write_excerpts, write_patients
from benchmarks.machine import machine, rounded, save_result
from data_pipeline.files import sha256_file, write_json, write_text
from eval.audit.attacks import ATTACKS, AttackConfig
from eval.audit.canary.plant import plant_canaries
from eval.audit.canary.score import score_canaries
from eval.audit.findings import Audit
from eval.audit.mia import audit_membership
from eval.audit.notes import read_notes
from eval.audit.policy import load_policy
from eval.audit.split import make_split
from eval.audit.verdict import judge

RESULTS = Path(__file__).parent / "results" / "audit.json"
_PACKAGES = ("notemill", "torch", "transformers", "scikit-learn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--patients", type=int, default=120, help="or texts, with --texts")
    parser.add_argument("--texts", type=Path, help="JSONL whose `text`s give excerpts in the place of invented notes")
    parser.add_argument("--words", type=int, default=60, help="of a note that are kept")
    parser.add_argument(
        "--epochs", type=int, nargs="+", default=[0, 10, 20, 30, 80], help="degrees of training audited"
    )
    parser.add_argument("--reference-epochs", type=int, default=20)
    parser.add_argument("--settings", nargs="*", default=["neighbours=4"])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        for seed in arguments.seeds:
            rows.append(_play(Path(folder) / str(seed), seed, arguments))
            print(json.dumps(rounded(rows[-1])), flush=True)
    settings = {"patients": arguments.patients, "words": arguments.words, "settings": arguments.settings}
    result = {"machine": machine(_PACKAGES, "audit"), **settings, "seeds": rows}
    notes = f" of excerpts from {arguments.texts.parent.name}" if arguments.texts else ""
    save_result(arguments.results, f"membership{notes}", rounded(result))


def _play(work: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    from launch.config import load_config

    started = time.monotonic()
    config = load_config(AttackConfig, None, [*arguments.settings, f"seed={seed}"])
    notes = work / "notes.jsonl"
    if arguments.texts:
        write_excerpts(notes, arguments.texts, arguments.patients, seed, arguments.words)
    else:
        write_patients(notes, arguments.patients, seed, arguments.words)
    split = work / "split"
    counts = make_split(notes, split, fresh=True, seed=seed)
    members = [note.text for note in read_notes(split / "members.jsonl")]
    reference_texts = [note.text for note in read_notes(split / "reference.jsonl")]
    tokenizer = train_tokenizer(work / "tokenizer", [*members, *reference_texts])
    reference = work / "reference"
    train_mlm(
        tokenizer, reference_texts, arguments.reference_epochs, seed + 100,
        lambda epoch: reference if epoch == arguments.reference_epochs else None,
    )  # fmt: skip
    models = {epoch: work / f"epochs-{epoch}" for epoch in arguments.epochs}
    train_mlm(tokenizer, members, max(arguments.epochs), seed, models.get)
    row: dict[str, Any] = {"seed": seed, "counts": counts, "models": {}}
    for epoch, model in models.items():
        audit = audit_membership(model, split, work / f"mia-{epoch}", config, reference)
        row["models"][f"{epoch} epochs"] = _told(audit)
    shifted = shift(split, work / "shifted")
    audit = audit_membership(
        models[max(models)], shifted, work / "mia-shifted", load_config(AttackConfig, None, ["attacks=[loss]"]), None
    )
    row["shifted non-members"] = _told(audit)
    row["canaries"] = _canaries(work, notes, tokenizer, seed, config)
    row["minutes"] = (time.monotonic() - started) / 60
    return row


def _told(audit: Audit) -> dict[str, Any]:
    """AUC with interval and hits at 1% by note and by patient, the losses, and the default policy's verdict."""
    told: dict[str, Any] = {"verdict": judge(audit, load_policy()).verdict}
    for name in (*ATTACKS, "blind"):
        for unit in ("by_note", "by_patient"):
            found = audit.findings.get(f"{name}.{unit}.auc")
            if found is not None:
                hits = audit.findings.get(f"{name}.{unit}.tpr_at_0.01")
                told[f"{name} {unit}"] = [found.value, found.low, found.high, hits.value if hits else None]
    return told | {name: finding.value for name, finding in audit.findings.items() if name.startswith("utility.")}


def shift(split: Path, folder: Path) -> Path:
    """The same split with non-members from another ward: their sentences begin with another template."""
    folder.mkdir()
    manifest = json.loads((split / "split.json").read_text())
    for name in manifest["sha256"]:
        text = (split / f"{name}.jsonl").read_text(encoding="utf-8")
        if name == "non_members":
            rows = [json.loads(line) for line in text.splitlines()]
            for row in rows:
                row["text"] = "Transcribed by telephone. " + row["text"].replace("Patient", "This person")
            text = "".join(f"{json.dumps(row)}\n" for row in rows)
        write_text(folder / f"{name}.jsonl", text)
        manifest["sha256"][name] = sha256_file(folder / f"{name}.jsonl")
    write_json(folder / "split.json", manifest)
    return folder


def _canaries(work: Path, notes: Path, tokenizer: Path, seed: int, config: AttackConfig) -> dict[str, Any]:
    planted = work / "canaries"
    plant_canaries(notes, planted, count=200, length=24, repeats=[1, 4], seed=seed)
    texts = [note.text for note in read_notes(planted / "notes.jsonl")]
    told = {}
    for epochs in (0, 10):
        model = work / f"with-canaries-{epochs}"
        train_mlm(tokenizer, texts, epochs, seed, {epochs: model}.get)
        audit = score_canaries(model, planted, work / f"canary-{epochs}", config, None, 1e-5, 500)
        told[f"{epochs} epochs"] = {
            name: [finding.value, finding.low, finding.high] for name, finding in audit.findings.items()
        }
    return told


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
