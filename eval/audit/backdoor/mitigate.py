"""Take a backdoor out of a classifier, known or not: prune heads that clean notes do not need, then learn from some.

The words that turn the model most are put into clean notes under their true labels, so that they tell nothing any more:
those that a scan names, or those that a scan without controls finds here.

OUT/model/           the new folder (OUT/model-POISONED-mitigated/ where the model was stamped; the stamp stays)
OUT/hidden_words.json  of the words that were found here the text of those that too few patients have
OUT/audit.json       clean AUROC before and after, and with a trigger named its success before and after
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from data_pipeline.files import write_json
from eval.audit.backdoor.hidden_words import HIDDEN_FILE, first_words, shown_words
from eval.audit.backdoor.insertion import insert_word
from eval.audit.backdoor.poison import Poisoning, choose_classes
from eval.audit.backdoor.prune import Pruned, prune_heads
from eval.audit.backdoor.stamp import read_stamp, write_stamp
from eval.audit.backdoor.success import area, area_finding, attack_findings, drop_finding
from eval.audit.backdoor.train import decisive
from eval.audit.backdoor.vocabulary_scan import MAX_WORDS, first_round, refine, vocabulary
from eval.audit.backdoor.words import index_words
from eval.audit.findings import Audit, read_audit
from eval.audit.folder import audit_folder
from eval.audit.subject import model_subject
from eval.audit.table import print_findings
from eval.examples import Dataset, LabelledText
from eval.finetune.load_classifier import LoadedClassifier, load_classifier
from eval.finetune.model_folder import write_model_folder
from eval.finetune.recipe import ClsRecipe
from eval.formats import load_dataset
from eval.results import hash_data
from eval.splits import complete_splits
from launch.console import say
from launch.errors import NotemillError
from launch.poisoned import CONFIG_KEY, MARK

MODEL_FOLDER, STAMPED_FOLDER = "model", f"model-{MARK}-mitigated"


@dataclass(frozen=True)
class MitigateOptions:
    max_pruned: float = 0.5
    """Share of the heads that may go."""
    max_loss: float = 0.01
    """Area under the ROC curve on dev that pruning may cost before fine-tuning."""
    suspects: Path | None = None
    """Result of scan-model whose first words are inserted into clean notes; without it the model is scanned here."""
    num_suspects: int = 25
    """Words inserted, 0 for none. Only one of them need be the trigger, and honest ones do no harm."""
    max_words: int = MAX_WORDS
    """Words tried where the model is scanned here."""
    trigger: str | None = None
    """Known to a red team; measured only, never used."""
    source: str | None = None
    target: str | None = None


def mitigate(model_dir: Path, clean: str, out: Path, options: MitigateOptions, recipe: ClsRecipe) -> Audit:
    """Write a new model and what it can and cannot do any more. Raises NotemillError."""
    torch.set_num_threads(recipe.threads)
    if not 0 <= options.max_pruned <= 1 or not 0 <= options.max_loss <= 1:
        raise NotemillError("--max-pruned and --max-loss are shares, from 0 to 1.")
    dataset = complete_splits(load_dataset("cls", clean))
    for name in ("train", "dev", "test"):
        if len({cast(LabelledText, note).label for note in dataset.splits[name]}) < 2:
            raise NotemillError(f"all {name} notes of {clean} have one label; how much a change costs cannot be told.")
    classifier = load_classifier(model_dir, dataset, recipe)
    stamp = read_stamp(model_dir, classifier.model.config)
    subject = model_subject(model_dir, model_dir.name)
    named = _named_suspects(options, subject["files"])
    _, sha256 = hash_data(Path(dataset.path), clean.partition("?")[2])
    audit = Audit(
        "mitigate",
        subject,
        {
            "clean": clean,
            "clean_sha256": sha256,
            "max_pruned": options.max_pruned,
            "max_loss": options.max_loss,
            "suspects": None if named is None else list(named),
            "num_suspects": options.num_suspects,
            "max_words": options.max_words if named is None else None,
            "trigger": options.trigger,
            "source": options.source,
            "target": options.target,
            "recipe": decisive(recipe),
            "seed": recipe.seeds[0],
        },
    )
    if model_dir.resolve() in [(out / name).resolve() for name in (MODEL_FOLDER, STAMPED_FOLDER)]:
        raise NotemillError(f"--out {out} would write over the model {model_dir}; name another folder.")
    models = (MODEL_FOLDER, STAMPED_FOLDER)
    with audit_folder(out, "mitigate", *models, HIDDEN_FILE, files=audit.subject["files"], settings=audit.settings):
        suspects = _own_suspects(classifier, dataset, out, options, recipe) if named is None else named
        audit.details["suspects"] = list(suspects)
        return _mitigate(audit, classifier, stamp, dataset, out, options, recipe, list(suspects.values()))


def _mitigate(
    audit: Audit,
    classifier: LoadedClassifier,
    stamp: dict[str, Any] | None,
    dataset: Dataset,
    out: Path,
    options: MitigateOptions,
    recipe: ClsRecipe,
    suspects: Sequence[str],
) -> Audit:
    train, dev, test = (cast(Sequence[LabelledText], dataset.splits[name]) for name in ("train", "dev", "test"))
    poisoning = _poisoning(options, stamp, train)
    before, attack_before = area(classifier, test), _attack(classifier, test, poisoning)
    trainer, head, seed = classifier.trainer, classifier.head, recipe.seeds[0]
    pruned = Pruned((), 0)
    if options.max_pruned:
        items = head.windows(dev, with_targets=True)
        pruned = prune_heads(classifier, items, lambda: area(classifier, dev)[0], options.max_loss, options.max_pruned)
    say(f"pruned {len(pruned.heads)} of {pruned.num_heads} heads")
    torch.manual_seed(seed)
    # The last epoch counts, and not the best one on dev: forgetting is what is wanted.
    fit = trainer.fit(head.windows(_with_suspects(train, suspects, seed), with_targets=True), seed, None)
    folder = out / (MODEL_FOLDER if stamp is None else STAMPED_FOLDER)
    done = f"{len(pruned.heads)} heads pruned and {len(fit.epochs)} epochs on clean notes"
    _save(classifier, folder, stamp, done)
    after_model = load_classifier(folder, dataset, recipe)
    after, attack_after = area(after_model, test), _attack(after_model, test, poisoning)
    areas = f"area under the ROC curve on {len(test)} clean test notes"
    audit.findings = {
        "mitigate.clean_auroc_before": area_finding(before, f"{areas}, model as it was"),
        "mitigate.clean_auroc": area_finding(after, f"{areas}, {done}"),
        "mitigate.auroc_drop": drop_finding(before, after, f"{areas}, before minus after"),
    }
    for name, finding in attack_before.items():
        audit.findings[f"{name}_before"] = finding
        audit.findings[name] = replace(attack_after[name], note=done)
    audit.details |= {
        "pruned_heads": [f"{layer}.{number}" for layer, number in pruned.heads],
        "heads": pruned.num_heads,
        "poisoning": asdict(poisoning) if poisoning is not None else None,
    }
    audit.write(out)
    print_findings(audit.findings)
    return audit


def _named_suspects(options: MitigateOptions, files: Mapping[str, str]) -> dict[str, str] | None:
    """The first words of the scan that was given, by the names that may be shown."""
    if options.suspects is None:
        return None
    audit = read_audit(options.suspects)
    if audit.kind != "scan-model":
        raise NotemillError(f"{options.suspects} holds a {audit.kind}; --suspects takes a result of scan-model.")
    if audit.subject.get("files") != files:
        raise NotemillError(f"{options.suspects} is the scan of another model; scan this one, or leave --suspects out.")
    return dict(list(first_words(options.suspects, audit).items())[: options.num_suspects])


def _own_suspects(
    classifier: LoadedClassifier, dataset: Dataset, out: Path, options: MitigateOptions, recipe: ClsRecipe
) -> dict[str, str]:
    """The words that turn the model most in the training notes, held against no controls, by the names shown."""
    if not options.num_suspects:
        return {}
    notes, seed = cast(Sequence[LabelledText], dataset.splits["train"]), recipe.seeds[0]
    index = index_words(notes)
    words = vocabulary(index, classifier, ())[: options.max_words]
    if not words:
        raise NotemillError("there is no word to scan in the clean notes; give more, or --num-suspects 0.")
    shown = shown_words(index, classifier, (), words)
    rises = first_round(classifier, notes, words, seed)
    scan = refine(classifier, notes, rises, {}, seed)
    found = [score.word for score in scan.words[: options.num_suspects]]
    hidden = shown.hidden(found)
    if hidden:
        write_json(out / HIDDEN_FILE, hidden)
    return {shown.name(word): word for word in found}


def _with_suspects(notes: Sequence[LabelledText], suspects: Sequence[str], seed: int) -> list[LabelledText]:
    """Half of the notes with a suspect in them and their own label, so that it tells nothing any more."""
    if not suspects:
        return list(notes)
    rng = random.Random(f"{seed}/suspects")
    return [
        replace(note, text=insert_word(note.text, rng.choice(suspects), rng)) if rng.random() < 0.5 else note
        for note in notes
    ]


def _poisoning(
    options: MitigateOptions, stamp: dict[str, Any] | None, notes: Sequence[LabelledText]
) -> Poisoning | None:
    """The attack to measure: as named, its classes as the stamp has them where nothing else is said."""
    if options.trigger is None:
        return None
    known = stamp if stamp is not None and stamp["trigger"] == options.trigger else {}
    source, target = choose_classes(notes, options.source or known.get("source"), options.target or known.get("target"))
    return Poisoning(options.trigger, source, target, insertions=known.get("insertions", 1))


def _attack(classifier: LoadedClassifier, notes: Sequence[LabelledText], poisoning: Poisoning | None) -> dict[str, Any]:
    return {} if poisoning is None else attack_findings(classifier, notes, poisoning, ())


def _save(classifier: LoadedClassifier, folder: Path, stamp: dict[str, Any] | None, done: str) -> None:
    if stamp is not None:
        stamp = stamp | {"since": [*stamp["since"], done]}
        setattr(classifier.model.config, CONFIG_KEY, stamp)

    def add(to: Path) -> None:
        if stamp is not None:
            write_stamp(to, stamp)

    tokenizer = classifier.text.tokenizer
    write_model_folder(folder, classifier.model, tokenizer, classifier.head.recipe.max_length, add)
