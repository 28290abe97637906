"""`notemill train-private`: DP-SGD (Abadi 2016) over patients, from a Hugging Face folder to another one.

    each step   every patient is drawn by its own coin -> windows -> clipped gradient a patient -> sum + noise -> AdamW
    OUT/        the model, README.md, ledger.json, audit.json, config.yaml; checkpoint.pt only while it is unfinished

Killed at any moment, the same command goes on to the same weights: the checkpoint holds the secret that decides whom
the steps after it draw and which noise they add, so nothing is spent twice. Where the checkpoint is gone, a new run
begins and the lost one stays in the ledger. Under torchrun processes are data-parallel replicas.

Neither the training loss nor a gradient's norm is ever written: both are functions of the patients without noise.
"""

import contextlib
import math
import secrets
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import make_private_folder, only_writer, sha256_json
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.loop import lr_factor, resolve_device
from eval.finetune.model_config import model_hashes
from eval.finetune.processes import Processes, joined
from eval.private.accountant import Cost
from eval.private.budget import Budget, charge, make_budget, steps_ahead, versions
from eval.private.clipping import Noise, PrivateUpdate, choose_clipping
from eval.private.config import PrivateConfig
from eval.private.ledger import LEDGER_FILE, Ledger
from eval.private.randomness import SecretRandom, new_secret
from eval.private.release import write_release
from eval.private.sampling import drawn_patients, micro_batches
from eval.private.task import PrivateTask, Utility
from launch.console import say
from launch.errors import NotemillError

CHECKPOINT_FILE = "checkpoint.pt"
_NOT_DECISIVE = ("dir", "device", "threads")
"""Keys of `run` that do not change which run it is."""


def train_private(config: PrivateConfig) -> Path:
    """Train, or go on, and write the folder; returns it. Raises NotemillError."""
    torch.set_num_threads(config.run.threads)
    device = resolve_device(config.run.device)
    with joined(device) as processes:
        out = Path(config.run.dir)
        if not processes.is_main:
            processes.wait()
            return _train(config, out, torch.device(device), processes)
        _require_own(out)
        make_private_folder(out)
        with only_writer(out):
            processes.wait()
            return _train(config, out, torch.device(device), processes)


def _require_own(out: Path) -> None:
    """Raise NotemillError where the folder, which is to be released, holds anything but a private run."""
    Ledger.of(out)
    there = [path.name for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if there and not (out / LEDGER_FILE).exists() and not (out / CHECKPOINT_FILE).exists():
        raise NotemillError(f"run.dir {out} is not empty and holds no private run ({min(there)}); name another folder.")


def _train(config: PrivateConfig, out: Path, device: torch.device, processes: Processes) -> Path:
    task = _task(config)
    fingerprint = _fingerprint(config)
    checkpoint = Checkpoint(out / CHECKPOINT_FILE, _secret_fingerprint(config, task), processes)
    state = checkpoint.load()
    if state is None and _is_finished(out, fingerprint):
        _say(
            processes,
            f"{out} is finished; nothing was trained and nothing spent. What the notes at {config.data.path} were is "
            "not kept, so name another run.dir if they have changed.",
        )
        return out
    identity, secret = _identity(config, state, processes)
    clipping = choose_clipping(task.model, config.privacy.clipping)
    budget = make_budget(
        config,
        task,
        identity=identity,
        fingerprint=fingerprint,
        clipping=clipping,
        is_cuda=device.type == "cuda",
        versions=versions(),
    )
    _require_same_noise(state, budget, checkpoint.path)
    # All of them have read the ledger before the first one writes it.
    processes.wait()
    _tell(config, task, budget, processes)
    run = _Run(config, task, budget, checkpoint, secret, device, processes)
    with run.updating():
        run.go_on(state)
    if processes.is_main:
        utility = task.measure(device)
        if not all(math.isfinite(value) for value in _values(utility).values() if value is not None):
            raise NotemillError(
                f"the model in {out} has diverged, and what it spent stays in {LEDGER_FILE}; lower train.lr and name "
                "another run.dir."
            )
        cost = charge(budget, config, config.train.steps, is_finished=True)
        write_release(out, config, task, budget, cost, utility, run.curve)
        say(f"{_told(cost, budget)}; {utility.line}.")
        say(f"wrote {out}")
    checkpoint.remove()
    processes.wait()
    return out


class _Run:
    """The steps of one training."""

    def __init__(
        self,
        config: PrivateConfig,
        task: PrivateTask,
        budget: Budget,
        checkpoint: Checkpoint,
        secret: bytes,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.config, self.task, self.budget = config, task, budget
        self.checkpoint, self.secret, self.device, self.processes = checkpoint, secret, device, processes
        self.random = SecretRandom(secret)
        self.curve: list[dict[str, Any]] = []
        """What was measured on the way: step, epsilon, and the utility in words."""
        self._step = 0
        self._epsilon = 0.0
        """Of everything in the ledger."""
        self._generator: torch.Generator | None = None

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        """Opacus's hooks on the model, for as long as the context lasts."""
        config, train = self.config, self.config.train
        self.task.model.to(self.device).train()
        weights = [parameter for parameter in self.task.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=train.lr, betas=(0.9, train.beta2), weight_decay=0.0)
        is_ours = config.privacy.noise == "secure"
        if not is_ours:
            self._generator = torch.Generator(self.device)
            self._generator.manual_seed(int.from_bytes(self.secret[:8], "big") >> 1)
        self.update = PrivateUpdate(
            self.task.model,
            optimizer,
            clipping="ghost" if self.budget.entry.clipping == "ghost" else "hooks",
            noise_multiplier=self.budget.entry.noise_multiplier,
            max_grad_norm=config.privacy.max_grad_norm,
            expected_patients=train.patients,
            processes=self.processes,
            noise=self._noise() if is_ours else None,
            generator=self._generator,
        )
        try:
            yield
        finally:
            self.update.close()

    def go_on(self, state: dict[str, Any] | None) -> None:
        """All steps that are left; those up to the next checkpoint are in the ledger before the first of them."""
        train = self.config.train
        done = 0 if state is None else self._restore(state)
        if state is None:
            self._report(0)
        for step in range(done, train.steps):
            if step == done or step % train.save_every == 0:
                if step != done or state is None:
                    self._save(step)
                self._charge(step)
            self._update(step)
            if (step + 1) % train.report_every == 0 and step + 1 < train.steps:
                self._report(step + 1)
        if done < train.steps:
            self._save(train.steps)

    def _update(self, step: int) -> None:
        self._step = step
        train = self.config.train
        for group in self.update.optimizer.param_groups:
            group["lr"] = train.lr * lr_factor(step, train.steps, train.warmup)
        drawn = drawn_patients(self.random, step, self.task.num_patients, self.budget.entry.sampling_rate)
        share = drawn[self.processes.rank :: self.processes.size]
        self.update.step(micro_batches(self.task, share, self.random, step, train.micro_batch, self.device))

    def _noise(self) -> Noise:
        def noise(index: int, parameter: torch.Tensor) -> torch.Tensor:
            drawn = self.random.normals("noise", self._step, index, parameter.numel())
            return torch.from_numpy(drawn).to(parameter.device, parameter.dtype).view_as(parameter)

        return noise

    def _charge(self, step: int) -> None:
        if self.processes.is_main:
            self._epsilon = charge(self.budget, self.config, steps_ahead(self.config, step)).epsilon
        # No process takes a step that is not in the ledger yet.
        self.processes.wait()

    def _report(self, step: int) -> None:
        if not self.processes.is_main:
            return
        utility = self.task.measure(self.device, is_quick=step > 0)
        epsilon = None if self.budget.is_seeded else self._epsilon
        self.curve.append({"step": step, "epsilon": epsilon, "utility": _values(utility)})
        spent = "no epsilon" if epsilon is None else f"epsilon at most {epsilon:.3g}"
        spent = spent if step else "nothing spent by this run"
        say(f"step {step}/{self.config.train.steps}: {spent}; {utility.line}")

    def _save(self, step: int) -> None:
        self.checkpoint.save(
            {
                "step": step,
                "identity": self.budget.entry.id,
                "secret": self.secret.hex(),
                "noise_multiplier": self.budget.entry.noise_multiplier,
                "model": self.task.model.state_dict(),
                "optimizer": self.update.optimizer.state_dict(),
                "generator": None if self._generator is None else self._generator.get_state(),
                "curve": self.curve,
            }
        )

    def _restore(self, state: dict[str, Any]) -> int:
        self.task.model.load_state_dict(state["model"])
        self.update.optimizer.load_state_dict(state["optimizer"])
        if self._generator is not None:
            self._generator.set_state(state["generator"])
        self.curve = list(state["curve"])
        _say(self.processes, f"goes on after step {state['step']} of {self.config.train.steps}.")
        return int(state["step"])


def _task(config: PrivateConfig) -> PrivateTask:
    if config.task == "cls":
        from eval.private.classification import ClsTask

        return ClsTask(config)
    from eval.private.mlm import MlmTask

    return MlmTask(config)


def _fingerprint(config: PrivateConfig) -> str:
    """For the ledger, which is released: of no note, and not of the seed, which could be tried out on it."""
    content = asdict(config)
    run = {key: value for key, value in content["run"].items() if key not in _NOT_DECISIVE}
    train = {key: value for key, value in content["train"].items() if key != "report_every"}
    privacy = content["privacy"] | {"seed": config.privacy.seed is not None}
    model = {"initial": config.model.initial, "files": model_hashes(Path(config.model.path))}
    return sha256_json(content | {"run": run, "train": train, "privacy": privacy, "model": model})


def _secret_fingerprint(config: PrivateConfig, task: PrivateTask) -> str:
    """For the checkpoint, which goes nowhere: where the same notes lie does not matter, what they are does."""
    moved = replace(config, data=replace(config.data, path="", held_out=""))
    return sha256_json([_fingerprint(moved), config.privacy.seed, task.sha256])


def _require_same_noise(state: dict[str, Any] | None, budget: Budget, checkpoint: Path) -> None:
    """Raise NotemillError where the steps of the checkpoint had other noise than is accounted for."""
    if state is not None and state["noise_multiplier"] != budget.entry.noise_multiplier:
        raise NotemillError(
            f"the steps in {checkpoint} were taken with noise multiplier {state['noise_multiplier']:g} and the ledger "
            f"counts {budget.entry.noise_multiplier:g}; restore {LEDGER_FILE} from a backup."
        )


def _identity(config: PrivateConfig, state: dict[str, Any] | None, processes: Processes) -> tuple[str, bytes]:
    """Name and secret of the run: the checkpoint's, or new ones that all processes share."""
    if state is not None:
        return state["identity"], bytes.fromhex(state["secret"])
    drawn = (secrets.token_hex(8), new_secret(config.privacy.seed)) if processes.is_main else ("", b"")
    return processes.gather(drawn)[0]


def _is_finished(out: Path, fingerprint: str) -> bool:
    """Raises NotemillError where the folder holds another run's model."""
    finished = [entry for entry in Ledger.of(out).entries if entry.status == "finished" and not entry.inherited]
    if any(entry.fingerprint == fingerprint for entry in finished):
        return True
    if finished:
        raise NotemillError(
            f"{out} holds a private model of other settings, data or weights; choose another run.dir, and name {out} "
            "in privacy.earlier if both are to be released."
        )
    return False


def _tell(config: PrivateConfig, task: PrivateTask, budget: Budget, processes: Processes) -> None:
    entry, train = budget.entry, config.train
    default = "" if config.privacy.delta is not None else ", 1 / patients ** 1.1"
    _say(processes, f"unit of privacy: {task.unit}; {task.num_patients} of them.")
    _say(processes, f"not to be released: {', '.join(f'{count} {what}' for what, count in task.counts.items())}.")
    _say(
        processes,
        f"{train.steps} steps of {train.patients} on average (Poisson, rate {entry.sampling_rate:.4g}), noise "
        f"multiplier {entry.noise_multiplier:g}, delta {budget.delta:.3g}{default}, clipping by {entry.clipping} at "
        f"norm {entry.max_grad_norm:g}; this will come to {_told(budget.cost, budget)}.",
    )
    _say(processes, f"noise: {entry.noise_generator}.")


def _told(cost: Cost, budget: Budget) -> str:
    void = "no epsilon, since privacy.seed is set; unseeded it would be " if budget.is_seeded else ""
    return (
        f"{void}epsilon {cost.epsilon:.3f} at delta {cost.delta:.3g} (Opacus {cost.opacus:.3f}, dp-accounting "
        f"{cost.dp_accounting:.3f})"
    )


def _values(utility: Utility) -> dict[str, float | None]:
    return {name: finding.value for name, finding in utility.findings.items()}


def _say(processes: Processes, message: str) -> None:
    if processes.is_main:
        say(message)
