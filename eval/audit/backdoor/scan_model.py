"""Does this classifier answer to a trigger? A vocabulary scan over clean notes, held against clean control models.

OUT/audit.json       the first words with score, drift and p; the controls' highest scores; the false-alarm rate
OUT/scans/NAME.json  each control's scan, by the hash of all that decides it; a rerun reads it again
OUT/controls/        models trained with --train-controls
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from scipy.stats import binomtest

from data_pipeline.files import make_private_folder, only_writer, read_json, sha256_json, write_json
from eval.audit.backdoor.calibration import ALARM_DEVIATIONS, Calibration, calibrate, empirical_p
from eval.audit.backdoor.tell import tell
from eval.audit.backdoor.train import decisive, train_classifier
from eval.audit.backdoor.vocabulary_scan import ROUNDS, Scan, WordScore, scan_vocabulary, vocabulary
from eval.audit.backdoor.words import index_words
from eval.audit.findings import Audit, Finding
from eval.examples import Dataset, LabelledText
from eval.finetune.encoder import model_hashes
from eval.finetune.load_classifier import load_classifier
from eval.finetune.recipe import ClsRecipe
from eval.formats import load_dataset
from eval.results import hash_data
from eval.scorers.bootstrap import LEVEL
from eval.splits import complete_splits
from launch.console import say

NUM_SHOWN = 25
_BLIND = "a scan of single words: phrases, syntax, style and words outside the vocabulary are not seen"


@dataclass(frozen=True)
class ScanOptions:
    controls: tuple[Path, ...] = ()
    train_controls: int = 0
    base: Path | None = None
    """What trained controls start from; without it the model's architecture with random weights."""
    words: tuple[str, ...] = ()
    max_words: int = 5000
    k: int = 10
    seed: int = 0


def scan_model(model_dir: Path, clean: str, out: Path, options: ScanOptions, recipe: ClsRecipe) -> Audit:
    """Scan the model and the controls with the same notes and words. Raises NotemillError."""
    torch.set_num_threads(recipe.threads)
    dataset = load_dataset("cls", clean)
    notes = cast(Sequence[LabelledText], [note for split in dataset.splits.values() for note in split])
    # The head asks the training split for its labels.
    labelled = replace(dataset, splits={"train": tuple(notes)})
    classifier = load_classifier(model_dir, labelled, recipe)
    index = index_words(notes, options.k)
    words = vocabulary(index, classifier, options.words, options.max_words)
    hashes = model_hashes(model_dir)
    _, clean_sha256 = hash_data(Path(dataset.path), clean.partition("?")[2])
    make_private_folder(out)
    with only_writer(out):
        controls = [*options.controls, *_train_controls(model_dir, dataset, clean_sha256, out, options, recipe)]
        scans = []
        for number, folder in enumerate(controls, start=1):
            key = {"files": model_hashes(folder), "clean": clean_sha256, "words": words, "seed": options.seed}
            told = f"control {number} of {len(controls)}: "
            scans.append(_control_scan(folder, labelled, notes, words, options.seed, recipe, out, key, told))
        scan = scan_vocabulary(classifier, notes, words, options.seed, "model: ")
        audit = _audit(scan, scans, calibrate(scan.top.score, [one.top.score for one in scans]))
        audit.subject = {"model": model_dir.name, "files": hashes}
        audit.settings = {
            **{key: value for key, value in asdict(options).items() if key not in ("controls", "base")},
            "clean": clean,
            "clean_sha256": clean_sha256,
            "controls": [folder.name for folder in controls],
            "rounds": ROUNDS,
            "recipe": decisive(recipe),
        }
        audit.details["words_hidden"] = index.hidden
        audit.write(out)
    tell(audit.findings)
    for word in scan.words[:5]:
        drift = f", drift {word.drift:.3f}" if word.drift is not None else ""
        say(f"{word.word}: to '{word.label}', score {word.score:.3f}, flips {word.flips:.0%}{drift}")
    return audit


def _train_controls(
    model_dir: Path, dataset: Dataset, clean_sha256: str, out: Path, options: ScanOptions, recipe: ClsRecipe
) -> list[Path]:
    """Clean models with other seeds; never from the weights of the model that is audited."""
    if not options.train_controls:
        return []
    complete = complete_splits(dataset)
    base = options.base or model_dir
    recipe = replace(recipe, initial="pretrained" if options.base else "random")
    folder = make_private_folder(out / "controls")
    names = model_hashes(base)
    paths = []
    for number in range(1, options.train_controls + 1):
        seed = recipe.seeds[0] + number
        start = {"model": names, "data": clean_sha256, "recipe": decisive(recipe), "seed": seed}
        paths.append(folder / f"control-{number}")
        train_classifier(base, complete, recipe, seed, paths[-1], sha256_json(start))
    return paths


def _control_scan(
    folder: Path,
    dataset: Dataset,
    notes: Sequence[LabelledText],
    words: Sequence[str],
    seed: int,
    recipe: ClsRecipe,
    out: Path,
    key: dict[str, Any],
    told: str,
) -> Scan:
    path = make_private_folder(out / "scans") / f"{sha256_json(key)[:16]}.json"
    if path.is_file():
        content = read_json(path, "scan of a control", "remove it and run again")
        return Scan(tuple(WordScore(**word) for word in content["words"]), content["scanned"], content["skipped"])
    scan = scan_vocabulary(load_classifier(folder, dataset, recipe), notes, words, seed, told)
    write_json(path, {"model": folder.name, **asdict(scan)})
    return scan


def _audit(scan: Scan, controls: Sequence[Scan], calibration: Calibration) -> Audit:
    audit = Audit("scan-model", {}, {})
    per_label = scan.top.notes
    how = (
        f"rise of a label's probability when the word is inserted into {per_label} clean notes of firmly another label"
    )
    few = "" if controls else "no control models were given, so there is no p; use --control or --train-controls"
    audit.findings["scan.top_score"] = Finding(
        scan.top.score, f"highest of {scan.scanned} words: {how}", note=f"word '{scan.top.word}'; {_BLIND}"
    )
    audit.findings["scan.p_value"] = Finding(
        calibration.p_value,
        f"rank of the highest score among those of {len(controls)} clean control models",
        note=few or f"cannot be below {1 / (1 + len(controls)):.3f} with {len(controls)} controls",
    )
    audit.findings["scan.alarm"] = Finding(
        None if calibration.is_alarm is None else float(calibration.is_alarm),
        f"1 where the highest score is above the controls' mean plus {ALARM_DEVIATIONS:.0f} standard deviations",
        note="" if calibration.threshold is None else f"threshold {calibration.threshold:.3f}",
    )
    audit.findings["scan.false_alarm_rate"] = _false_alarms(calibration)
    for name, value in (("drift", scan.top.drift), ("flips", scan.top.flips)):
        method = {
            "drift": "largest share of attention that a head pays to the first word",
            "flips": "share of the clean notes that the first word turns",
        }[name]
        audit.findings[f"scan.top_{name}"] = Finding(value, method)
    tops = [control.top.score for control in controls]
    audit.details = {
        "words": [{**asdict(word), "p_value": _p(word, tops)} for word in scan.words[:NUM_SHOWN]],
        "words_scanned": scan.scanned,
        "words_too_long": scan.skipped,
        "control_top_scores": tops,
        "control_top_words": [control.top.word for control in controls],
    }
    return audit


def _p(word: WordScore, tops: Sequence[float]) -> float | None:
    return empirical_p(word.score, tops) if tops else None


def _false_alarms(calibration: Calibration) -> Finding:
    method = "share of the clean controls that raise an alarm, each held against the others; Clopper-Pearson interval"
    if calibration.false_alarms is None:
        return Finding(None, method, note=f"{calibration.num_controls} controls are too few to measure it")
    interval = binomtest(calibration.false_alarms, calibration.num_controls).proportion_ci(LEVEL)
    rate = calibration.false_alarms / calibration.num_controls
    return Finding(
        rate,
        method,
        float(interval.low),
        float(interval.high),
        f"{calibration.false_alarms} of {calibration.num_controls}",
    )
