"""The folder that a private training leaves: model, card, ledger, audit.

What is a function of the training notes without noise stays out of it (hashes, counts), and so does privacy.seed.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_pipeline.files import PRIVATE_FILE, write_text
from eval.audit.findings import Audit, Finding, exact
from eval.audit.table import written
from eval.finetune.model_config import model_hashes
from eval.private.accountant import Cost
from eval.private.budget import NOT_COVERED, Budget
from eval.private.config import PrivateConfig
from eval.private.ledger import VOID, unit_name
from eval.private.task import PrivateTask, Utility
from launch.config import to_yaml

_CARD = """---
library_name: transformers
tags: [clinical, differential-privacy, notemill]
---

# Clinical model trained with differential privacy

{promise}

| | |
|---|---|
| epsilon, delta | {spent} |
| unit of privacy | {unit} |
| sampling | Poisson, rate {rate:.4g} |
| noise multiplier, clipping norm | {noise:g}, {norm:g} |
| steps | {steps:,} |
| noise generator | {generator} |
| began from | {initial} |
| runs in the ledger | {runs} |

## Use and usefulness

{utility}

| | value [95% interval] |
|---|---|
{rows}

## What epsilon does not cover

{not_covered}

`ledger.json` holds the account, `audit.json` the figures above. Epsilon bounds what the weights say of one
{unit_name}; it is no proof that they say nothing, and what all {unit_name}s have in common is learnt on purpose. The
model has not been cleared for decisions about patients.
"""
_PROMISE = """Trained by `notemill train-private` so that the weights say little of any one {unit_name}: whether or not
{what} among the training notes, the weights come out alike, to within epsilon {epsilon:.3g} and delta {delta:.3g}."""
_WHAT = {"patient": "a patient's notes were", "document": "a document was"}


def write_release(
    out: Path,
    config: PrivateConfig,
    task: PrivateTask,
    budget: Budget,
    cost: Cost,
    utility: Utility,
    curve: Sequence[dict[str, Any]],
) -> None:
    """Write the model beside its ledger, with config.yaml, README.md and audit.json."""
    task.save(out)
    for path in out.iterdir():
        if path.is_file():
            path.chmod(PRIVATE_FILE)
    config = replace(config, privacy=replace(config.privacy, seed=None))
    before = Finding(
        curve[0]["utility"][f"utility.{task.measured}"], "The same of the weights that training began from."
    )
    utility = Utility({**utility.findings, f"utility.{task.measured}.before": before}, utility.line)
    write_text(out / "config.yaml", to_yaml(config))
    write_text(out / "README.md", _card(config, task, budget, cost, utility))
    Audit(
        "private",
        {"model": out.name, "files": model_hashes(out), "data": task.data},
        asdict(config),
        _findings(config, task, budget, cost) | utility.findings,
        {
            "unit": task.unit,
            "entries": [asdict(item) for item in budget.ledger.entries],
            "not_covered": list(NOT_COVERED),
            "curve": list(curve),
        },
    ).write(out)


def _findings(config: PrivateConfig, task: PrivateTask, budget: Budget, cost: Cost) -> dict[str, Finding]:
    entry, unit = budget.entry, unit_name(task.unit)

    def epsilon(value: float, method: str, note: str = "") -> Finding:
        return Finding(None, method, note=VOID) if budget.is_seeded else Finding(value, method, note=note)

    return {
        "epsilon": epsilon(
            cost.epsilon,
            f"The larger of two accounts of {len(budget.ledger.mechanisms())} run(s) of Poisson-subsampled Gaussian "
            f"noise, neighbours differing in one {unit}, at delta {cost.delta:.3g}.",
            f"Unit: {task.unit}.",
        ),
        "epsilon.opacus": epsilon(cost.opacus, f"Opacus's {config.privacy.accountant} accountant."),
        "epsilon.dp_accounting": epsilon(cost.dp_accounting, "Google's dp-accounting, the second opinion."),
        "unit.is_patient": exact(
            float(unit == "patient"), f"1 where epsilon holds for all notes of a patient; here for each {unit}."
        ),
        "delta": Finding(cost.delta, f"Probability that the bound fails; chosen before training, below 1 / {unit}s."),
        "noise_multiplier": Finding(entry.noise_multiplier, "Standard deviation of the noise over the clipping norm."),
        "sampling_rate": Finding(entry.sampling_rate, f"Probability with which a step draws each {unit}."),
        "steps": Finding(config.train.steps, "Updates."),
    }


def _card(config: PrivateConfig, task: PrivateTask, budget: Budget, cost: Cost, utility: Utility) -> str:
    entry, unit = budget.entry, unit_name(task.unit)
    initial = (
        "random weights"
        if config.model.initial == "random"
        else f"the weights in `{Path(config.model.path).name}`, of whose own training text this says nothing"
    )
    promise = _PROMISE.format(unit_name=unit, what=_WHAT[unit], epsilon=cost.epsilon, delta=cost.delta)
    spent = (
        f"{cost.epsilon:.3g}, {cost.delta:.3g} (Opacus {config.privacy.accountant}: {cost.opacus:.3g}, dp-accounting: "
        f"{cost.dp_accounting:.3g})"
    )
    return _CARD.format(
        promise=VOID if budget.is_seeded else promise,
        spent="none" if budget.is_seeded else spent,
        unit=task.unit,
        unit_name=unit,
        rate=entry.sampling_rate,
        noise=entry.noise_multiplier,
        norm=entry.max_grad_norm,
        steps=config.train.steps,
        generator=entry.noise_generator,
        initial=initial,
        runs=len(budget.ledger.mechanisms()),
        utility=f"{utility.line[0].upper()}{utility.line[1:]}.",
        rows="\n".join(
            f"| {name.removeprefix('utility.')} | {written(finding)} |" for name, finding in utility.findings.items()
        ),
        not_covered="\n".join(f"- {line}" for line in NOT_COVERED),
    )
