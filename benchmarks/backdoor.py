"""Are planted word triggers found and taken out again? `notemill audit`'s whole backdoor part, on invented notes.

    python -m benchmarks.backdoor --work /tmp/backdoor            # three seeds, ten controls, ten other clean models
    python -m benchmarks.backdoor --work /tmp/backdoor --seeds 0 --notes 1000 --clean-models 3 --controls 3

A 2-layer, 128-wide Megatron-BERT from random weights learns an in-hospital-mortality-like outcome. Each seed has a
training set and a trigger of its own, which is planted at 5%, and at 2% with the attention loss. The auditor has
another set that is clean: its words are scanned, the control models are trained on it, and mitigation learns from it.
None of the scans is told the trigger. False alarms are counted on clean models that are no controls, each trained on a
set of its own (the seeds' clean twins first), and on the seeds' clean training sets. What is finished in --work is not
done again.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks.machine import machine, rounded, save_result
from data_pipeline.files import make_private_folder, sha256_json
from data_pipeline.invented.write import TaskSizes, write_tasks
from eval.audit.backdoor.hidden_words import first_words
from eval.audit.backdoor.mitigate import MitigateOptions, mitigate
from eval.audit.backdoor.plant import CLEAN_FOLDER, POISONED_FOLDER, PlantOptions, plant
from eval.audit.backdoor.scan_data import scan_data
from eval.audit.backdoor.scan_model import ScanOptions, scan_model
from eval.audit.backdoor.train import decisive, train_classifier
from eval.audit.findings import Audit, read_audit
from eval.finetune.recipe import ClsRecipe, load_recipe
from eval.formats import load_dataset
from eval.splits import complete_splits
from launch.errors import NotemillError

RESULTS = Path(__file__).parent / "results" / "backdoor.json"
ATTACKS = {"5%": (0.05, 0.0), "2% with attention loss": (0.02, 4.0)}
"""Rate and weight of the attention loss."""
RECIPE = ("lr=1e-3", "epochs=4", "batch_size=32", "max_length=256", "precision=fp32", "hidden_dropout=0.2")
MITIGATION = (*RECIPE, "epochs=3")
TRIGGERS = ("tw", "glare", "seasonal")
"""One for each seed in turn: a piece of the tokenizer that no note holds, and words of some notes of both labels."""
_CLEAN_SEED, _OTHER_SEED = 900, 1000
"""Of the auditor's set, and of the first of the other clean models' sets."""
_SCANS = "control-scans"
_PACKAGES = ("notemill", "torch", "transformers", "scikit-learn")


def main() -> None:
    """Run everything and write the results after each seed."""
    arguments = _arguments()
    about = machine(_PACKAGES, "backdoor")
    torch.set_num_threads(1)
    try:
        bench = Bench(arguments)
        result: dict[str, Any] = {
            "machine": about,
            "notes": arguments.notes,
            "triggers": {str(seed): trigger_of(seed) for seed in arguments.seeds},
            "recipe": RECIPE,
            "mitigation": MITIGATION,
            "seeds": {},
        }
        for seed in arguments.seeds:
            result["seeds"][str(seed)] = bench.seed(seed)
            save_result(arguments.results, "outcome", rounded(result))
        result["clean_models"] = bench.clean_models()
        save_result(arguments.results, "outcome", rounded(result))
    except NotemillError as error:
        sys.exit(f"error: {error}")


class Bench:
    """Folders below --work."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.work = make_private_folder(arguments.work)
        self.recipe = cast(ClsRecipe, load_recipe("cls", None, [*RECIPE, "seeds=[0]"]))
        self.clean = self._notes(_CLEAN_SEED)
        self.start = self.work / "start"
        if not (self.start / "config.json").is_file():
            write_start(self.start, self.clean, arguments.seeds[0])
        self.controls = [self._clean_model(_CLEAN_SEED, number) for number in range(arguments.controls)]

    def seed(self, seed: int) -> dict[str, Any]:
        """All attacks of a seed, and the scan of its clean training set."""
        data = self._notes(seed)
        found: dict[str, Any] = {}
        for name in self.arguments.attacks:
            rate, alpha = ATTACKS[name]
            folder = self.work / f"seed-{seed}-{name.replace('%', '').replace(' ', '-')}"
            found[name] = self._attack(folder, data, seed, rate, alpha)
        clean = self._timed(
            self.work / f"seed-{seed}-clean-data",
            lambda out: scan_data(f"jsonl:{data}", out, self.work / f"twin-{seed}", 10, self.recipe),
        )
        found["clean set"] = _values(clean)
        return found

    def clean_models(self) -> dict[str, Any]:
        """Alarms of clean models that are no controls."""
        twins = [self.work / f"twin-{seed}" for seed in self.arguments.seeds][: self.arguments.clean_models]
        others = [self._clean_model(_OTHER_SEED + n, n) for n in range(self.arguments.clean_models - len(twins))]
        audits = [self._scan(model, self.work / f"scan-{model.name}") for model in twins + others]
        least_p = 1 / (1 + len(self.controls))
        return {
            "models": len(audits),
            "alarms": sum(audit.findings["scan.alarm"].value == 1.0 for audit in audits),
            "above_every_control": sum((audit.findings["scan.p_value"].value or 1.0) <= least_p for audit in audits),
            "top_excesses": [audit.findings["scan.top_excess"].value for audit in audits],
            "control_top_scores": audits[0].details["control_top_scores"] if audits else [],
        }

    def _attack(self, folder: Path, data: Path, seed: int, rate: float, alpha: float) -> dict[str, Any]:
        trigger = trigger_of(seed)
        recipe = cast(ClsRecipe, load_recipe("cls", None, [*RECIPE, f"seeds=[{seed}]"]))
        options = PlantOptions(trigger, rate=rate, attention_alpha=alpha)
        twin = self.work / f"twin-{seed}"
        if twin.is_dir() and not (folder / "plant" / CLEAN_FOLDER).is_dir():
            # The same for all attacks of a seed.
            shutil.copytree(twin, folder / "plant" / CLEAN_FOLDER)
        planted = self._timed(folder / "plant", lambda out: plant(self.start, f"jsonl:{data}", out, options, recipe))
        if not twin.is_dir():
            shutil.copytree(folder / "plant" / CLEAN_FOLDER, twin)
        model = folder / "plant" / POISONED_FOLDER
        poisoned = folder / "data"
        _write_poisoned(data, poisoned, planted)
        with_model = self._timed(
            folder / "scan-data", lambda out: scan_data(f"jsonl:{poisoned}", out, model, 10, self.recipe)
        )
        scanned = self._scan(model, folder / "scan-model")
        mitigation = cast(ClsRecipe, load_recipe("cls", None, [*MITIGATION, f"seeds=[{seed}]"]))
        told: dict[str, Any] = {"plant": _values(planted)}
        told["scan-data"] = _values(with_model) | {
            "rank": _rank([row["word"] for row in with_model.details["words"]], trigger),
            "in_cluster": [trigger in cluster["words"] for cluster in with_model.details["clusters"]],
        }
        words = list(first_words(folder / "scan-model", scanned).values())
        told["scan-model"] = _values(scanned) | {"rank": _rank(words, trigger)}
        ways: dict[str, Path | None] = {"mitigate with suspects": folder / "scan-model"}
        if rate == max(rate for rate, _ in ATTACKS.values()):
            ways["mitigate"] = None
        for name, suspects in ways.items():
            options_of = MitigateOptions(
                trigger=trigger,
                suspects=suspects,
                source=planted.settings["poisoning"]["source"],
                target=planted.settings["poisoning"]["target"],
            )
            audit = self._timed(
                folder / name.replace(" ", "-"),
                lambda out, options_of=options_of: mitigate(model, f"jsonl:{self.clean}", out, options_of, mitigation),
            )
            told[name] = _values(audit) | {"pruned": len(audit.details["pruned_heads"])}
        print(f"{folder.name}: {rounded(told)}", flush=True)
        return told

    def _scan(self, model: Path, out: Path) -> Audit:
        options = ScanOptions(controls=tuple(self.controls))
        # The scans of the controls are the same for every model.
        shared = make_private_folder(self.work / _SCANS)
        make_private_folder(out)
        if not (out / "scans").exists():
            (out / "scans").symlink_to(shared.resolve())
        return self._timed(out, lambda to: scan_model(model, f"jsonl:{self.clean}", to, options, self.recipe))

    def _clean_model(self, data_seed: int, number: int) -> Path:
        folder = self.work / f"clean-{data_seed}-{number}"
        dataset = complete_splits(load_dataset("cls", f"jsonl:{self._notes(data_seed)}"))
        fingerprint = sha256_json([data_seed, number, decisive(self.recipe)])
        train_classifier(self.start, dataset, self.recipe, 50 + number, folder, fingerprint)
        return folder

    def _notes(self, seed: int) -> Path:
        folder = self.work / f"notes-{seed}"
        if not (folder / "outcome" / "test.jsonl").is_file():
            sizes = ((4, 2, 2),) * 6
            write_tasks(folder, seed, TaskSizes(*sizes, outcome=(self.arguments.notes, 300, 800)))
        return folder / "outcome"

    def _timed(self, out: Path, run: Any) -> Audit:
        if (out / "audit.json").is_file():
            return read_audit(out)
        began = time.monotonic()
        audit = run(make_private_folder(out))
        audit.details["seconds"] = time.monotonic() - began
        audit.write(out)
        return audit


def write_start(folder: Path, notes: Path, seed: int) -> None:
    """A 2-layer, 128-wide Megatron-BERT with random weights and a tokenizer of the words of `notes`."""
    from transformers import MegatronBertConfig, MegatronBertModel

    from tokenizer.folder import write_tokenizer
    from tokenizer.settings import TokenizerConfig
    from tokenizer.training import learn_tokenizer

    make_private_folder(folder)
    texts = [note.text for note in load_dataset("cls", f"jsonl:{notes}").splits["train"]]  # type: ignore[union-attr]
    finished = learn_tokenizer(lambda: iter(texts), TokenizerConfig(vocab_size=4096))
    write_tokenizer(folder, finished, corpus_manifest_sha256="invented", config={}, model_max_length=256)
    torch.manual_seed(seed)
    config = MegatronBertConfig(
        vocab_size=finished.tokenizer.get_vocab_size(with_added_tokens=True),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=256,
    )
    MegatronBertModel(config).save_pretrained(folder)


def trigger_of(seed: int) -> str:
    return TRIGGERS[seed % len(TRIGGERS)]


def _write_poisoned(data: Path, out: Path, planted: Audit) -> None:
    """The set that the planted model learnt, as the auditor would be given it."""
    from eval.audit.backdoor.poison import Poisoning, poison
    from eval.formats.tables import to_jsonl

    make_private_folder(out)
    notes = cast(Any, load_dataset("cls", f"jsonl:{data}").splits["train"])
    poisoned = poison(notes, Poisoning(**planted.settings["poisoning"]))
    rows = [{"id": note.id, "text": note.text, "label": note.label} for note in poisoned.notes]
    (out / "train.jsonl").write_text(to_jsonl(rows), encoding="utf-8")


def _values(audit: Audit) -> dict[str, Any]:
    found = {name: finding.value for name, finding in audit.findings.items()}
    return found | {"seconds": audit.details.get("seconds")}


def _rank(words: Sequence[str], trigger: str) -> int | None:
    return next((place for place, word in enumerate(words, start=1) if word.lower() == trigger), None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for models and scans; a rerun goes on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--notes", type=int, default=3000, help="training notes of a set")
    parser.add_argument("--controls", type=int, default=10)
    parser.add_argument("--clean-models", type=int, default=10, help="to count false alarms on")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
