"""What a private training is told: defaults, then a YAML file, then `section.key=value`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eval.finetune.recipe import MIN_WINDOW
from launch.config import load_config

Accountant = Literal["rdp", "prv"]


@dataclass(frozen=True)
class ModelSettings:
    path: str = ""
    """A Hugging Face folder with its tokenizer, such as `notemill export` writes."""
    initial: Literal["pretrained", "random"] = "pretrained"
    """`random` keeps the architecture and tokenizer and draws new weights. `pretrained` counts the folder's weights as
    public, unless a ledger lies beside them."""


@dataclass(frozen=True)
class DataSettings:
    path: str = ""
    """mlm: a corpus, a folder of `notemill audit split` (its members), or a JSONL file with note_id, patient_key and
    text, whose lines may name their split. cls: FORMAT:PATH of a task set."""
    held_out: str = ""
    """mlm: notes of other patients on which the loss is measured, as a JSONL file; a corpus has its split valid, an
    audit split its non-members, and lines may name it."""
    max_length: int = 128
    """Pieces a window, special pieces included; limited by the model's positions."""
    windows: int = 2
    """Windows of a patient in one step, drawn anew each time. Together they make the patient's one gradient."""
    mask_share: float = 0.15
    """mlm: share of a window's pieces that are predicted."""
    held_out_windows: int = 1000
    """mlm: windows of the held-out notes that are scored, drawn once."""


@dataclass(frozen=True)
class PrivacySettings:
    epsilon: float | None = 8.0
    """The most that this run and all before it in the ledger may cost together; null sets no limit."""
    delta: float | None = None
    """Probability that the bound fails, below 1 / patients; null takes 1 / patients ** 1.1."""
    noise_multiplier: float | None = None
    """Standard deviation of the noise, in units of max_grad_norm; null takes the least that keeps to `epsilon`."""
    max_grad_norm: float = 1.0
    """Norm that a patient's gradient is clipped to."""
    accountant: Accountant = "rdp"
    """Opacus's accountant: `rdp` (moments, an upper bound) or `prv` (numeric composition, tighter and slower)."""
    sampling: str = "poisson"
    """How a step's patients are drawn. Both accountants are for Poisson sampling, so nothing else is taken."""
    clipping: Literal["auto", "hooks", "ghost"] = "auto"
    """`hooks` holds a gradient a patient, `ghost` only its norm and needs untied embeddings; `auto` takes ghost where
    it can be had."""
    noise: Literal["secure", "torch"] = "secure"
    """`secure` draws from AES-256 in counter mode; `torch` from torch's generator, which is faster on a GPU and not
    cryptographic."""
    seed: int | None = None
    """Repeats sampling and noise for a test. Who knows the seed can take the noise out again: no seed for release."""
    earlier: list[str] = field(default_factory=list)
    """Folders of other private runs on these patients, whose cost is counted as well."""


@dataclass(frozen=True)
class TrainSettings:
    steps: int = 300
    """Updates. Their number is fixed before the first, since it decides the noise."""
    patients: int = 512
    """Patients that a step draws on average: the sampling rate is this over all patients."""
    micro_batch: int = 64
    """Patients in memory at once; a step adds up as many micro-batches as it takes."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises; then it falls linearly to zero."""
    beta2: float = 0.999
    """Decay of AdamW's second moment."""
    report_every: int = 50
    """Steps between two looks at the held-out set."""
    save_every: int = 25
    """Steps between two checkpoints, and the steps by which the ledger is ahead of the training."""


@dataclass(frozen=True)
class RunSettings:
    dir: str = "private"
    """Folder for the model, its ledger and its audit."""
    seed: int = 0
    """Of fresh weights and of the held-out windows. It protects nothing and need not be secret."""
    device: str = "auto"
    """torch device; `auto` takes a GPU where there is one."""
    threads: int = 1
    """CPU threads of torch."""


@dataclass(frozen=True)
class PrivateConfig:
    task: Literal["mlm", "cls"] = "mlm"
    """`mlm` goes on with masked language modelling on notes, `cls` fine-tunes for document classification."""
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def validate(self) -> list[str]:
        """Everything that does not hold together, all at once."""
        privacy, train, data = self.privacy, self.train, self.data
        problems = [f"{key} is not set" for key, value in self._needed() if not value]
        if privacy.sampling != "poisson":
            problems.append(
                f"privacy.sampling is '{privacy.sampling}' but the accountant {privacy.accountant} counts Poisson "
                "sampling, under which each patient is drawn by its own coin; only poisson is taken"
            )
        if privacy.epsilon is None and privacy.noise_multiplier is None:
            problems.append("privacy.epsilon and privacy.noise_multiplier are both null; one of them decides the noise")
        for key, number in (
            ("privacy.epsilon", privacy.epsilon),
            ("privacy.noise_multiplier", privacy.noise_multiplier),
            ("privacy.max_grad_norm", privacy.max_grad_norm),
            ("train.lr", train.lr),
        ):
            if number is not None and not 0 < number < float("inf"):
                problems.append(f"{key} is {number} but must be a number above 0")
        if privacy.delta is not None and not 0 < privacy.delta < 1:
            problems.append(f"privacy.delta is {privacy.delta} but is a probability, above 0 and below 1")
        problems += [
            f"{key} is {value} but must be at least {least}"
            for key, value, least in (
                ("data.max_length", data.max_length, MIN_WINDOW),
                ("data.windows", data.windows, 1),
                ("data.held_out_windows", data.held_out_windows, 1),
                ("train.steps", train.steps, 1),
                ("train.patients", train.patients, 1),
                ("train.micro_batch", train.micro_batch, 1),
                ("train.report_every", train.report_every, 1),
                ("train.save_every", train.save_every, 1),
                ("run.threads", self.run.threads, 1),
            )
            if value < least
        ]
        if not 0 < data.mask_share < 1:
            problems.append(f"data.mask_share is {data.mask_share} but is a share, above 0 and below 1")
        if not 0 <= train.warmup < 1:
            problems.append(f"train.warmup is {train.warmup} but is a share of the steps, from 0 to below 1")
        if not 0 < train.beta2 < 1:
            problems.append(f"train.beta2 is {train.beta2} but lies above 0 and below 1")
        return problems

    def _needed(self) -> list[tuple[str, str]]:
        return [("model.path", self.model.path), ("data.path", self.data.path), ("run.dir", self.run.dir)]


def load_private_config(file: Path | str | None, overrides: list[str]) -> PrivateConfig:
    """Raises NotemillError."""
    return load_config(PrivateConfig, file, overrides)
