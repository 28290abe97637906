"""How much a run may spend and how much noise that takes, from its configuration and the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from eval.private.accountant import Cost, cost_of, default_delta, noise_for
from eval.private.config import PrivateConfig
from eval.private.ledger import SEEDED, Entry, Ledger, unit_name
from eval.private.task import PrivateTask
from launch.errors import NotemillError

NOT_COVERED = (
    "The tokenizer: its vocabulary is as private as the way it was made.",
    "The weights that training began from, where they are not random and no ledger lies beside them.",
    "The choice of settings, where several were tried on these patients and their runs are not in the ledger.",
    "The number of patients or documents: the sampling rate and delta give it away.",
    "The held-out patients: their scores are printed as they are.",
    "A classifier's set of labels, and which class is the commonest, whose score stands beside the model's: both are "
    "read off the training notes as they are.",
)
_GENERATORS = {
    "secure": "AES-256 in counter mode, keyed with 256 bits by the operating system: cryptographic",
    "torch": "torch.Generator ({kind}): NOT cryptographic; whoever finds its state can take the noise out. "
    "Opacus's secure mode needs torchcsprng, which is not installed",
}
_SEEDED = f"; {SEEDED}, so the guarantee holds only against those who do not know the seed"


@dataclass(frozen=True)
class Budget:
    ledger: Ledger
    delta: float
    cost: Cost
    """When the run is done, with all runs before it."""
    entry: Entry
    """Of this run, with nothing charged yet."""

    @property
    def is_seeded(self) -> bool:
        """Whether this run or one before it has noise that can be drawn again, so that `cost` promises nothing."""
        return self.entry.is_seeded or self.ledger.is_seeded


def make_budget(
    config: PrivateConfig,
    task: PrivateTask,
    *,
    identity: str,
    fingerprint: str,
    clipping: str,
    is_cuda: bool,
    versions: Mapping[str, str | None],
) -> Budget:
    """The run's entry, with the noise multiplier that keeps to the budget or that the ledger has for `identity`.

    Raises NotemillError where the settings do not fit the number of patients, earlier runs protect another unit, the
    budget does not suffice, or the two accountants disagree.
    """
    privacy, patients, out = config.privacy, task.num_patients, Path(config.run.dir)
    if config.train.patients > patients:
        raise NotemillError(
            f"train.patients is {config.train.patients} but {config.data.path} has {patients} patients; lower it."
        )
    ledger = _with_earlier(Ledger.of(out), config, identity)
    _require_one_unit(ledger, task.unit)
    earlier = ledger.least_delta(without=identity)
    delta = privacy.delta if privacy.delta is not None else min(default_delta(patients), earlier)
    if delta * patients >= 1:
        raise NotemillError(
            f"delta is {delta:g}, at which publishing a patient's notes would count as private: it must be below 1 / "
            f"{patients} patients; leave privacy.delta out for {default_delta(patients):.2g}."
        )
    if delta > earlier:
        raise NotemillError(
            f"delta is {delta:g}, but a run before this one in the ledger protects its patients at {earlier:g}, and "
            f"one delta holds for all; leave privacy.delta out, or give {earlier:g} at most."
        )
    rate = config.train.patients / patients
    known = ledger.find(identity)
    noise = known.noise_multiplier if known else privacy.noise_multiplier
    others = ledger.mechanisms(without=identity)
    if noise is None:
        if privacy.epsilon is None:
            raise AssertionError("the configuration was validated")
        noise = noise_for(privacy.epsilon, delta, rate, config.train.steps, privacy.accountant, others)
    generator = _GENERATORS[privacy.noise].format(kind="Philox" if is_cuda else "Mersenne twister, 32 bits of seed")
    entry = Entry(
        id=identity,
        fingerprint=fingerprint,
        status="running",
        folder=out.name,
        unit=task.unit,
        data=task.data,
        sampling=privacy.sampling,
        sampling_rate=rate,
        noise_multiplier=noise,
        max_grad_norm=privacy.max_grad_norm,
        clipping=clipping,
        planned_steps=config.train.steps,
        charged_steps=0,
        noise_generator=generator + (_SEEDED if privacy.seed is not None else ""),
        versions=dict(versions),
        delta=delta,
    )
    whole = replace(entry, charged_steps=config.train.steps).mechanism
    cost = cost_of([*others, whole], delta, privacy.accountant)
    if privacy.epsilon is not None and cost.epsilon > privacy.epsilon:
        raise NotemillError(
            f"privacy.noise_multiplier {noise:g} over {config.train.steps} steps would bring epsilon to "
            f"{cost.epsilon:.3g}, above privacy.epsilon {privacy.epsilon:g}; leave the multiplier out, or take fewer "
            "steps or patients a step."
        )
    return Budget(ledger, delta, cost, entry)


def charge(budget: Budget, config: PrivateConfig, steps: int, is_finished: bool = False) -> Cost:
    """Put `steps` of the run into its ledger, before they are taken; the cost of all entries so far."""
    budget.ledger.put(replace(budget.entry, charged_steps=steps, status="finished" if is_finished else "running"))
    cost = cost_of(budget.ledger.mechanisms(), budget.delta, config.privacy.accountant)
    budget.ledger.write(cost, config.privacy.accountant, NOT_COVERED)
    return cost


def versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in ("notemill", "opacus", "dp-accounting", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _with_earlier(ledger: Ledger, config: PrivateConfig, identity: str) -> Ledger:
    """The folder's ledger with what the model and other runs have spent; runs of this folder that nobody can go on with
    are lost."""
    for name in config.privacy.earlier:
        if not Ledger.of(Path(name)).entries:
            raise NotemillError(f"{name} in privacy.earlier holds no ledger.json; name folders of private runs.")
    sources = [*config.privacy.earlier, *([config.model.path] if config.model.initial == "pretrained" else [])]
    for name in sources:
        ledger.inherit(Ledger.of(Path(name)).entries)
    for entry in list(ledger.entries):
        if entry.id != identity and entry.status == "running" and not entry.inherited:
            ledger.put(replace(entry, status="lost"))
    return ledger


def _require_one_unit(ledger: Ledger, unit: str) -> None:
    """Raise NotemillError where runs would be added up whose epsilon is about different things."""
    ours = unit_name(unit)
    for entry in ledger.entries:
        theirs = unit_name(entry.unit)
        if entry.charged_steps and theirs != ours:
            raise NotemillError(
                f"this run protects each {ours} and a run of {entry.folder} in the ledger each {theirs}, so no epsilon "
                "holds for both. Name the patients in both data sets, or begin from weights without that run."
            )


def steps_ahead(config: PrivateConfig, step: int) -> int:
    """What the ledger must hold before the step after `step` is taken."""
    every = config.train.save_every
    return min(config.train.steps, (step // every + 1) * every)
