"""Does this classifier answer to a trigger? A vocabulary scan over clean notes, held against clean control models.

The model and every control are scanned with the same notes and words, each against all the others. So none is held
against more models than another, and a clean model's highest score is as likely to have any rank among them.

    OUT/audit.json    the first words with score, drift and p; the controls' highest; the false-alarm rate
    OUT/hidden_words.json  the text of first words that too few patients have, for the auditor alone
    OUT/scans/        each control's scans, by the hash of all that decides them; a rerun reads them again
    OUT/controls/     models trained with --train-controls
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from scipy.stats import binomtest

from data_pipeline.files import make_private_folder, read_json, sha256_json, write_json
from eval.audit.backdoor.calibration import ALARM_DEVIATIONS, Calibration, calibrate, empirical_p
from eval.audit.backdoor.hidden_words import HIDDEN_FILE, ShownWords, shown_words
from eval.audit.backdoor.train import decisive, train_classifier
from eval.audit.backdoor.vocabulary_scan import (
    FIRST_NOTES,
    MAX_WORDS,
    ROUNDS,
    Rises,
    Scan,
    WordScore,
    baseline_of,
    first_round,
    refine,
    vocabulary,
)
from eval.audit.backdoor.words import index_words
from eval.audit.findings import Audit, Finding, exact
from eval.audit.folder import audit_folder
from eval.audit.subject import model_subject
from eval.audit.table import print_findings
from eval.examples import Dataset, LabelledText
from eval.finetune.load_classifier import load_classifier
from eval.finetune.model_config import model_hashes, weights_sha256
from eval.finetune.recipe import ClsRecipe
from eval.formats import load_dataset
from eval.results import hash_data
from eval.scorers.bootstrap import LEVEL
from eval.splits import complete_splits
from launch.console import say
from launch.errors import NotemillError
from launch.poisoned import CONFIG_KEY, refuse_stamped

NUM_SHOWN = 25
_BLIND = "a scan of single words: phrases, syntax, style and words outside the vocabulary are not seen"


@dataclass(frozen=True)
class ScanOptions:
    controls: tuple[Path, ...] = ()
    train_controls: int = 0
    base: Path | None = None
    """What trained controls start from; without it the model's architecture with random weights."""
    words: tuple[str, ...] = ()
    max_words: int = MAX_WORDS
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
    everything = vocabulary(index, classifier, options.words)
    words = everything[: options.max_words]
    shown = shown_words(index, classifier, options.words, words)
    subject = model_subject(model_dir, model_dir.name)
    _require_others(model_dir, options)
    _, clean_sha256 = hash_data(Path(dataset.path), clean.partition("?")[2])
    settings = _settings(clean, clean_sha256, options, recipe)
    with audit_folder(out, "scan-model", "scans", "controls", HIDDEN_FILE, files=subject["files"], settings=settings):
        controls = [*options.controls, *_train_controls(model_dir, dataset, clean_sha256, out, options, recipe)]
        bench = _Bench(labelled, notes, words, clean_sha256, options.seed, recipe, make_private_folder(out / "scans"))
        rises = [bench.first_round(folder) for folder in controls]
        told = f"{model_dir.name}: "
        first = first_round(classifier, notes, words, options.seed, told)
        scan = refine(classifier, notes, first, baseline_of(rises), options.seed, told)
        scans = [
            bench.refine(folder, rises[number], [first, *rises[:number], *rises[number + 1 :]])
            for number, folder in enumerate(controls)
        ]
        calibration = calibrate(scan.top.excess, [one.top.excess for one in scans])
        audit = _audit(scan, scans, calibration, len(everything), shown)
        audit.subject, audit.settings = subject, settings
        audit.details["words_hidden"] = index.hidden
        hidden = shown.hidden([word.word for word in scan.words[:NUM_SHOWN]])
        if hidden:
            write_json(out / HIDDEN_FILE, hidden)
        audit.write(out)
    print_findings(audit.findings)
    if hidden:
        say(f"{len(hidden)} of the first words are of fewer than {options.k} patients; {out / HIDDEN_FILE} says which")
    for word in scan.words[:5]:
        drift = f", drift {word.drift:.3f}" if word.drift is not None else ""
        turns = f"score {word.score:.3f}, flips {word.flips:.0%}{drift}"
        say(f"{shown.name(word.word)}: to '{word.label}', excess {word.excess:.3f}, {turns}")
    return audit


def _require_others(model_dir: Path, options: ScanOptions) -> None:
    """Raise NotemillError where a control hides what it is to show: the audited weights, a stamped model, one twice."""
    known = {weights_sha256(model_dir): f"the audited model {model_dir}"}
    for folder in options.controls:
        refuse_stamped(folder, " for --control")
        weights = weights_sha256(folder)
        if weights in known:
            raise NotemillError(
                f"the control {folder} has the weights of {known[weights]}, and tells nothing of what clean models do; "
                "give clean models that were trained apart."
            )
        known[weights] = f"the control {folder}"
    if options.base is not None:
        refuse_stamped(options.base, " for --base")
        if weights_sha256(options.base) == weights_sha256(model_dir):
            raise NotemillError(f"--base {options.base} has the audited weights; controls must not start from them.")


def _settings(clean: str, clean_sha256: str, options: ScanOptions, recipe: ClsRecipe) -> dict[str, Any]:
    """What decides the result, the model apart; listed words may be names and are told by their hash."""
    return {
        **{key: value for key, value in asdict(options).items() if key not in ("controls", "base", "words")},
        "words": {"count": len(options.words), "sha256": sha256_json(list(options.words))},
        "clean": clean,
        "clean_sha256": clean_sha256,
        "controls": [folder.name for folder in options.controls]
        + [_control_name(number) for number in range(1, options.train_controls + 1)],
        "control_files": [model_hashes(folder) for folder in options.controls],
        "base": model_hashes(options.base) if options.base is not None else None,
        "rounds": [FIRST_NOTES, *ROUNDS],
        "recipe": decisive(recipe),
    }


def _control_name(number: int) -> str:
    return f"control-{number}"


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
        paths.append(folder / _control_name(number))
        # Without a base a stamped model lends its configuration, and no weight.
        train_classifier(base, complete, recipe, seed, paths[-1], sha256_json(start), {CONFIG_KEY: None})
    return paths


@dataclass(frozen=True)
class _Bench:
    """What all controls are scanned with, and where their scans are kept."""

    dataset: Dataset
    notes: Sequence[LabelledText]
    words: Sequence[str]
    clean_sha256: str
    seed: int
    recipe: ClsRecipe
    folder: Path

    def first_round(self, control: Path) -> Rises:
        path = self._path(control, "first")
        if path.is_file():
            return cast(Rises, read_json(path, "scan of a control", "remove it and run again"))
        classifier = load_classifier(control, self.dataset, self.recipe)
        rises = first_round(classifier, self.notes, self.words, self.seed, f"{control.name}: ")
        write_json(path, rises)
        return rises

    def refine(self, control: Path, rises: Rises, others: Sequence[Rises]) -> Scan:
        """The scan of a control against all other models."""
        path = self._path(control, sha256_json([rises, others]))
        if path.is_file():
            content = read_json(path, "scan of a control", "remove it and run again")
            return Scan(tuple(WordScore(**word) for word in content["words"]), content["scanned"])
        classifier = load_classifier(control, self.dataset, self.recipe)
        scan = refine(
            classifier,
            self.notes,
            rises,
            baseline_of(others),
            self.seed,
            f"{control.name} against the others: ",
        )
        write_json(path, {"model": control.name, **asdict(scan)})
        return scan

    def _path(self, control: Path, what: str) -> Path:
        how = [FIRST_NOTES, ROUNDS, self.seed, decisive(self.recipe), metadata.version("notemill")]
        decides = [model_hashes(control), self.clean_sha256, list(self.words), how, what]
        return self.folder / f"{sha256_json(decides)[:16]}.json"


def _audit(
    scan: Scan,
    controls: Sequence[Scan],
    calibration: Calibration,
    num_words: int,
    shown: ShownWords,
) -> Audit:
    audit = Audit("scan-model", {}, {})
    how = f"rise of a label's probability with the word in {scan.top.notes} clean notes firmly of another label"
    few = "" if controls else "no control models were given, so there is no p; use --control or --train-controls"
    above = f", above the highest of the same word in {len(controls)} clean controls" if controls else ""
    audit.findings["scan.top_excess"] = Finding(
        scan.top.excess,
        f"highest of {scan.scanned} words: {how}{above}",
        note=f"the word is {shown.name(scan.top.word)}; {_BLIND}",
    )
    audit.findings["scan.p_value"] = Finding(
        calibration.p_value,
        f"rank of the highest score among those of {len(controls)} clean control models",
        note=few or f"cannot be below {1 / (1 + len(controls)):.3f} with {len(controls)} controls",
        least=1 / (1 + len(controls)),
    )
    audit.findings["scan.alarm"] = Finding(
        None if calibration.is_alarm is None else float(calibration.is_alarm),
        f"1 where the highest score is above the controls' mean plus {ALARM_DEVIATIONS:.0f} standard deviations",
        note=f"{len(controls)} controls are too few to set a threshold"
        if calibration.threshold is None
        else f"threshold {calibration.threshold:.3f}",
    )
    audit.findings["scan.coverage"] = exact(
        scan.scanned / num_words,
        "share of the words that were tried: listed ones, those of the notes, whole words of the tokenizer",
        f"{scan.scanned:,} of {num_words:,} words",
    )
    audit.findings["scan.fewest_notes"] = exact(
        float(scan.fewest_notes),
        f"notes of another label that words were put into, for the label with the fewest; {ROUNDS[-1][0]} at most",
    )
    audit.findings["scan.false_alarm_rate"] = _false_alarms(calibration)
    audit.findings["scan.top_drift"] = Finding(
        scan.top.drift, "largest share of attention that a head pays to the first word, mean over notes"
    )
    audit.findings["scan.top_flips"] = Finding(scan.top.flips, "share of the clean notes that the first word turns")
    tops = [control.top.excess for control in controls]
    audit.details = {
        "words": [_row(word, shown, tops) for word in scan.words[:NUM_SHOWN]],
        "words_scanned": scan.scanned,
        "words_left_out": num_words - scan.scanned,
        "control_top_scores": tops,
        "control_top_words": [shown.name(control.top.word) for control in controls],
    }
    return audit


def _row(word: WordScore, shown: ShownWords, tops: Sequence[float]) -> dict[str, Any]:
    name = shown.name(word.word)
    p_value = empirical_p(word.excess, tops) if tops else None
    return {**asdict(word), "word": name, "is_hidden": name != word.word, "p_value": p_value}


def _false_alarms(calibration: Calibration) -> Finding:
    method = "share of the clean controls that raise an alarm, each held against the others; Clopper-Pearson interval"
    if calibration.false_alarms is None:
        return Finding(None, method, note=f"{calibration.num_controls} controls are too few to measure it")
    interval = binomtest(calibration.false_alarms, calibration.num_controls).proportion_ci(LEVEL)
    rate = calibration.false_alarms / calibration.num_controls
    note = f"{calibration.false_alarms} of {calibration.num_controls}"
    return Finding(rate, method, float(interval.low), float(interval.high), note)
