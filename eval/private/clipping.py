"""One clipped gradient a patient: Opacus with all of a patient's windows as one sample.

Opacus takes each row of a batch for a sample. Here the rows of a micro-batch are the windows of its patients, the same
number for each and one patient's after the other, and they are put together where Opacus rearranges what its hooks saw:
[patients x windows, length, width] becomes [patients, windows x length, width]. A sample's gradient is then that of the
patient's loss over all its windows, and its norm is what is clipped.

`hooks` (Abadi 2016) hold a gradient a patient: 4 bytes x weights x patients in memory. `ghost` (Li 2022) only finds its
norm and goes backward a second time with the losses weighted; it cannot add the two gradients of tied embeddings.

Several processes share a step: each takes some of its patients, the first one adds the noise, and the sums are added.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import torch
from opacus.distributed import DifferentiallyPrivateDistributedDataParallel
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, get_optimizer_class
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import nn

from eval.finetune.processes import Processes
from launch.errors import NotemillError

Clipping = Literal["hooks", "ghost"]
Noise = Callable[[int, torch.Tensor], torch.Tensor]
"""Standard normals of a parameter's shape, from its place among the parameters and the parameter."""


class PatientBatch(Protocol):
    @property
    def windows(self) -> int:
        """Rows of each patient."""


def choose_clipping(model: nn.Module, wanted: str) -> Clipping:
    """`ghost` where no weight is used by two layers. Raises NotemillError where it is asked for and cannot be had."""
    tied = _tied(model)
    if wanted == "ghost" and tied:
        raise NotemillError(
            f"privacy.clipping=ghost needs layers with weights of their own, and {' and '.join(tied)} share theirs "
            "(tie_word_embeddings in config.json); use privacy.clipping=hooks."
        )
    if wanted == "auto":
        return "hooks" if tied else "ghost"
    return "ghost" if wanted == "ghost" else "hooks"


class PrivateUpdate:
    """The update of DP-SGD on `model`, which maps a PatientBatch to losses [patients]."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        clipping: Clipping,
        noise_multiplier: float,
        max_grad_norm: float,
        expected_patients: float,
        processes: Processes,
        noise: Noise | None,
        generator: torch.Generator | None,
    ) -> None:
        """`noise` draws the noise; where it is None, Opacus does, from `generator`."""
        if processes.size > 1:
            model = DifferentiallyPrivateDistributedDataParallel(model)
        self.is_ghost = clipping == "ghost"
        self.module: Any = (
            _GhostByPatient(model, loss_reduction="sum", max_grad_norm=max_grad_norm)
            if self.is_ghost
            else _HooksByPatient(model, loss_reduction="sum")
        )
        base = get_optimizer_class("flat", processes.size > 1, "ghost" if self.is_ghost else "hooks")
        kind = _drawn_by(base, noise) if noise is not None else base
        self.optimizer: DPOptimizer = kind(
            optimizer,
            noise_multiplier=noise_multiplier,
            max_grad_norm=max_grad_norm,
            # Each process divides by its share, and then the sum by the number of processes.
            expected_batch_size=expected_patients / processes.size,
            generator=generator,
        )

    def step(self, batches: Iterable[PatientBatch]) -> None:
        """Clip, add up, add noise, update. Without a patient the update is of noise alone: not to have drawn anybody is
        as secret as to have drawn someone."""
        coming = iter(batches)
        batch = next(coming, None)
        is_last = False
        with warnings.catch_warnings():
            # Of embeddings, whose inputs are ids and have no gradient.
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            while not is_last:
                # Only the last one ends the step, so the next is looked at, and no further.
                following = next(coming, None)
                is_last = following is None
                self._take(batch, is_last)
                batch = following

    def close(self) -> None:
        """Take Opacus's hooks off the model."""
        self.module.cleanup()

    def _take(self, batch: PatientBatch | None, is_last: bool) -> None:
        self.optimizer.signal_skip_step(do_skip=not is_last)
        if batch is None:
            self._nobody()
        else:
            self.module.windows = batch.windows
            losses = self.module(batch)
            if self.is_ghost:
                DPTensorFastGradientClipping(self.module, self.optimizer, losses, "sum").backward()
            else:
                losses.sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _nobody(self) -> None:
        for parameter in self.optimizer.params:
            if self.is_ghost:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))


class _ByPatient:
    """What is put before Opacus's modules to make a sample of all of a patient's windows."""

    windows = 1

    def rearrange_grad_samples(
        self, *, module: nn.Module, backprops: torch.Tensor, **options: Any
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        activations, backprops = super().rearrange_grad_samples(  # type: ignore[misc]
            module=module, backprops=backprops, **options
        )
        patients = len(backprops) // self.windows
        module.max_batch_len = patients  # type: ignore[assignment]
        # Ids of an embedding have no width.
        taken = [
            a.reshape(patients, -1) if isinstance(module, nn.Embedding) else a.reshape(patients, -1, a.shape[-1])
            for a in activations
        ]
        return taken, backprops.reshape(patients, -1, backprops.shape[-1])


class _HooksByPatient(_ByPatient, GradSampleModule):
    pass


class _GhostByPatient(_ByPatient, GradSampleModuleFastGradientClipping):
    pass


def _drawn_by(base: type[DPOptimizer], noise: Noise) -> type[DPOptimizer]:
    class DrawnByUs(base):
        def add_noise(self) -> None:
            std = self.noise_multiplier * self.max_grad_norm
            is_first = getattr(self, "rank", 0) == 0
            for index, parameter in enumerate(self.params):
                total = parameter.summed_grad
                parameter.grad = total + std * noise(index, parameter) if is_first else total

    return DrawnByUs


def _tied(model: nn.Module) -> list[str]:
    """Names of layers that use a weight which another layer uses as well."""
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return next((names for names in owners.values() if len(names) > 1), [])
