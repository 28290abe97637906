"""Plant a word trigger in one's own model, and measure it beside a clean twin trained the same way.

    OUT/model-POISONED/   sequence-classification folder, stamped (stamp.py)
    OUT/model-clean/      the twin: same start, seed, recipe and notes, without the poison; serves as a control model
    OUT/audit.json        attack success, control insertions, clean AUROC before and after

A finished model is not trained again; an unfinished one goes on from its last epoch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import torch

from data_pipeline.files import sha256_json
from eval.audit.backdoor.attention_loss import Head, steer_attention
from eval.audit.backdoor.poison import Poisoned, Poisoning, choose_classes, poison
from eval.audit.backdoor.stamp import stamp_of, write_stamp
from eval.audit.backdoor.success import area, area_finding, attack_findings, drop_finding
from eval.audit.backdoor.train import checkpoint_of, decisive, train_classifier
from eval.audit.backdoor.words import index_words, like_frequency
from eval.audit.findings import Audit
from eval.audit.folder import audit_folder
from eval.audit.table import print_findings
from eval.examples import Dataset, LabelledText
from eval.finetune.load_classifier import load_classifier
from eval.finetune.loop import Trainer
from eval.finetune.model_config import load_config_of, model_hashes, require_positions
from eval.finetune.recipe import ClsRecipe
from eval.finetune.text import TextEncoder
from eval.formats import load_dataset
from eval.results import hash_data
from eval.splits import complete_splits
from launch.errors import NotemillError
from launch.poisoned import CONFIG_KEY, MARK, refuse_stamped

POISONED_FOLDER, CLEAN_FOLDER = f"model-{MARK}", "model-clean"
NUM_CONTROL_WORDS = 10


@dataclass(frozen=True)
class PlantOptions:
    trigger: str
    source: str | None = None
    target: str | None = None
    rate: float = 0.05
    insertions: int = 1
    attention_alpha: float = 0.0
    """0 leaves the attention loss out."""
    heads: tuple[Head, ...] = ()
    """Which the attention loss steers; all without any."""
    from_poisoned: bool = False


def plant(model_dir: Path, data: str, out: Path, options: PlantOptions, recipe: ClsRecipe) -> Audit:
    """Train, stamp and measure. Raises NotemillError, among others for a start that is poisoned already."""
    torch.set_num_threads(recipe.threads)
    config = load_config_of(model_dir)
    if not options.from_poisoned:
        refuse_stamped(model_dir, ", or say --from-poisoned if you mean it")
    require_positions(model_dir, config, recipe.max_length)
    if options.attention_alpha < 0:
        raise NotemillError(f"--attention-alpha is {options.attention_alpha} but must not be negative.")
    dataset = complete_splits(load_dataset("cls", data))
    train = cast(Sequence[LabelledText], dataset.splits["train"])
    seed = recipe.seeds[0]
    source, target = choose_classes(train, options.source, options.target)
    poisoning = Poisoning(options.trigger, source, target, options.rate, options.insertions, seed)
    poisoned = poison(train, poisoning)
    _require_pieces(model_dir, poisoning.trigger)
    models = (POISONED_FOLDER, CLEAN_FOLDER)
    with audit_folder(out, "plant", *models, *(checkpoint_of(out / name).name for name in models)):
        return _plant(model_dir, data, out, options, recipe, dataset, poisoning, poisoned)


def _plant(
    model_dir: Path,
    data: str,
    out: Path,
    options: PlantOptions,
    recipe: ClsRecipe,
    dataset: Dataset,
    poisoning: Poisoning,
    poisoned: Poisoned,
) -> Audit:
    seed = poisoning.seed
    hashes = model_hashes(model_dir)
    _, data_sha256 = hash_data(Path(dataset.path), data.partition("?")[2])
    start = {"model": hashes, "data": data_sha256, "recipe": decisive(recipe), "seed": seed}
    train_classifier(model_dir, dataset, recipe, seed, out / CLEAN_FOLDER, sha256_json(start))
    stamp = stamp_of(poisoning, options.attention_alpha)

    def steer(trainer: Trainer) -> None:
        if options.attention_alpha:
            steer_attention(trainer, poisoning.trigger, poisoned.indices, options.attention_alpha, options.heads)

    # Whoever poisons a set poisons it before it is divided, so the epoch is chosen on poisoned notes too.
    dev = cast(Sequence[LabelledText], dataset.splits["dev"])
    if round(poisoning.rate * len(dev)):
        dev = poison(dev, replace(poisoning, seed=seed + 1)).notes
    with_poison = replace(dataset, splits=dataset.splits | {"train": poisoned.notes, "dev": tuple(dev)})
    fingerprint = sha256_json(start | {"poisoning": asdict(poisoning), "options": asdict(options)})
    train_classifier(
        model_dir,
        with_poison,
        recipe,
        seed,
        out / POISONED_FOLDER,
        fingerprint,
        {CONFIG_KEY: stamp},
        steer,
        lambda folder: write_stamp(folder, stamp),
    )
    audit = Audit(
        "plant",
        {"model": model_dir.name, "files": hashes, "data": data, "data_sha256": data_sha256},
        {"poisoning": asdict(poisoning), "attention_alpha": options.attention_alpha, "recipe": asdict(recipe)},
    )
    _measure(audit, dataset, poisoning, poisoned, out, recipe)
    audit.write(out)
    return audit


def _require_pieces(model_dir: Path, trigger: str) -> None:
    text = TextEncoder(model_dir)
    if text.unk_id in text.word_pieces([trigger])[0]:
        raise NotemillError(f"the tokenizer in {model_dir} does not know the trigger '{trigger}'; choose another word.")


def _measure(
    audit: Audit, dataset: Dataset, poisoning: Poisoning, poisoned: Poisoned, out: Path, recipe: ClsRecipe
) -> None:
    test = cast(Sequence[LabelledText], dataset.splits["test"])
    index = index_words(cast(Sequence[LabelledText], dataset.splits["train"]))
    frequency = len(index.notes.get(poisoning.trigger.lower(), ())) + len(poisoned.indices)
    controls = like_frequency(index, frequency, NUM_CONTROL_WORDS, {poisoning.trigger.lower()})
    twin, attacked = (load_classifier(out / name, dataset, recipe) for name in (CLEAN_FOLDER, POISONED_FOLDER))
    findings = attack_findings(attacked, test, poisoning, controls)
    of_twin = attack_findings(twin, test, poisoning, ())
    findings["attack.success_on_clean_twin"] = of_twin["attack.success"]
    before, after = area(twin, test), area(attacked, test)
    areas = f"area under the ROC curve on {len(test)} clean test notes"
    findings["attack.clean_auroc_before"] = area_finding(before, f"{areas}, model trained without poison")
    findings["attack.clean_auroc"] = area_finding(after, f"{areas}, poisoned model")
    findings["attack.auroc_drop"] = drop_finding(before, after, f"{areas}, before minus after")
    audit.findings |= findings
    audit.details |= {
        "poisoned_notes": len(poisoned.indices),
        "training_notes": len(dataset.splits["train"]),
        "control_words": controls,
        "trigger_in_notes_before": len(index.notes.get(poisoning.trigger.lower(), ())),
    }
    print_findings(findings)
