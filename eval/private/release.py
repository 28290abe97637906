"""The folder that a private training leaves: model, card, ledger, audit."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_pipeline.files import PRIVATE_FILE, write_text
from eval.audit.findings import Audit, Finding
from eval.finetune.encoder import model_hashes
from eval.private.accountant import Cost
from eval.private.budget import NOT_COVERED, Budget
from eval.private.config import PrivateConfig
from eval.private.task import PrivateTask, Utility
from launch.config import to_yaml

_CARD = """---
library_name: transformers
tags: [clinical, differential-privacy, notemill]
---

# Clinical model trained with differential privacy

Trained by `notemill train-private` so that the weights say little of any one patient: whether or not a patient's notes
were among the training notes, the weights come out alike, to within epsilon {epsilon:.3g} and delta {delta:.3g}.

| | |
|---|---|
| epsilon, delta | {epsilon:.3g}, {delta:.3g} (Opacus {accountant}: {opacus:.3g}, dp-accounting: {dp_accounting:.3g}) |
| unit of privacy | {unit} |
| training set | {patients:,} units |
| sampling | Poisson, rate {rate:.4g} |
| noise multiplier, clipping norm | {noise:g}, {norm:g} |
| steps | {steps:,} |
| noise generator | {generator} |
| began from | {initial} |
| runs in the ledger | {runs} |

## Use and usefulness

{utility}

| | value | 95% interval |
|---|---|---|
{rows}

## What epsilon does not cover

{not_covered}

`ledger.json` holds the account, `audit.json` the figures above. Epsilon bounds what the weights say of one patient; it
is no proof that they say nothing, and what all patients have in common is learnt on purpose. The model has not been
cleared for decisions about patients.
"""


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
    write_text(out / "config.yaml", to_yaml(config))
    write_text(out / "README.md", _card(config, task, budget, cost, utility))
    entry = budget.entry
    findings = {
        "epsilon": Finding(
            cost.epsilon,
            f"The larger of two accounts of {len(budget.ledger.mechanisms())} run(s) of Poisson-subsampled Gaussian "
            f"noise, neighbours differing in one unit, at delta {cost.delta:.3g}.",
            note=f"Unit: {task.unit}.",
        ),
        "epsilon.opacus": Finding(cost.opacus, f"Opacus's {config.privacy.accountant} accountant."),
        "epsilon.dp_accounting": Finding(cost.dp_accounting, "Google's dp-accounting, the second opinion."),
        "delta": Finding(cost.delta, "Probability that the bound fails; chosen before training, below 1 / patients."),
        "noise_multiplier": Finding(entry.noise_multiplier, "Standard deviation of the noise over the clipping norm."),
        "sampling_rate": Finding(entry.sampling_rate, "Probability with which a step draws each patient."),
        "steps": Finding(config.train.steps, "Updates."),
        "patients": Finding(task.num_patients, "Units that the training set holds."),
        **utility.findings,
    }
    Audit(
        "private",
        {"model": {"name": out.name, "files": model_hashes(out)}, "data": task.data},
        asdict(config),
        findings,
        {
            "unit": task.unit,
            "entries": [asdict(item) for item in budget.ledger.entries],
            "not_covered": list(NOT_COVERED),
            "counts": task.counts,
            "curve": list(curve),
        },
    ).write(out)


def _card(config: PrivateConfig, task: PrivateTask, budget: Budget, cost: Cost, utility: Utility) -> str:
    entry = budget.entry
    initial = (
        "random weights"
        if config.model.initial == "random"
        else f"the weights in `{Path(config.model.path).name}`, of whose own training text this says nothing"
    )
    return _CARD.format(
        epsilon=cost.epsilon,
        delta=cost.delta,
        accountant=config.privacy.accountant,
        opacus=cost.opacus,
        dp_accounting=cost.dp_accounting,
        unit=task.unit,
        patients=task.num_patients,
        rate=entry.sampling_rate,
        noise=entry.noise_multiplier,
        norm=entry.max_grad_norm,
        steps=config.train.steps,
        generator=entry.noise_generator,
        initial=initial,
        runs=len(budget.ledger.mechanisms()),
        utility=f"{utility.line[0].upper()}{utility.line[1:]}.",
        rows="\n".join(_row(name, finding) for name, finding in utility.findings.items()),
        not_covered="\n".join(f"- {line}" for line in NOT_COVERED),
    )


def _row(name: str, finding: Finding) -> str:
    interval = "" if finding.low is None or finding.high is None else f"{finding.low:.3f} to {finding.high:.3f}"
    value = "" if finding.value is None else f"{finding.value:.3f}"
    return f"| {name.removeprefix('utility.')} | {value} | {interval} |"
