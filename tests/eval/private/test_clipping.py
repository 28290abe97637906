"""Clipped gradients against a loop that computes each patient's gradient by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval.finetune.processes import ALONE
from eval.private.clipping import PrivateUpdate, choose_clipping
from eval.private.config import load_private_config
from eval.private.hidden import hidden_states
from eval.private.mlm import MlmTask
from eval.private.task import PrivateTask
from launch.errors import NotemillError
from tests.eval.private.toys import SMALL, write_labelled

PATIENTS = (3, 0, 11, 7, 20, 5)


def _groups(task: PrivateTask) -> list[list]:
    """Windows of the same patients each time, together by their number."""
    by_windows: dict[int, list] = {}
    for patient in PATIENTS:
        windows = task.draw(patient, np.random.default_rng(patient))
        by_windows.setdefault(len(windows), []).append(windows)
    return list(by_windows.values())


def _naive(task: PrivateTask, max_grad_norm: float) -> tuple[list[torch.Tensor], list[float]]:
    """Sum of the clipped gradients of each patient alone, and the norms before clipping."""
    weights = list(task.model.parameters())
    total, norms = [torch.zeros_like(weight) for weight in weights], []
    for windows in (patient for group in _groups(task) for patient in group):
        loss = task.model(task.collate([windows], torch.device("cpu")))
        gradients = torch.autograd.grad(loss.sum(), weights)
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        factor = min(1.0, max_grad_norm / (norms[-1] + 1e-6))
        total = [so_far + factor * gradient for so_far, gradient in zip(total, gradients, strict=True)]
    return total, norms


class _Recorder(torch.optim.SGD):
    """Keeps the gradients that it is given."""

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.given = [weight.grad.clone() for weight in self.param_groups[0]["params"]]


def _clipped(task: PrivateTask, clipping: str, max_grad_norm: float, size: int) -> list[torch.Tensor]:
    """What the optimizer is given, with noise of zero, by micro-batches of `size` patients."""
    optimizer = _Recorder(task.model.parameters(), lr=1.0)
    update = PrivateUpdate(
        task.model.train(),
        optimizer,
        clipping=clipping,  # type: ignore[arg-type]
        noise_multiplier=1.0,
        max_grad_norm=max_grad_norm,
        expected_patients=1,
        processes=ALONE,
        noise=lambda _, weight: torch.zeros_like(weight),
        generator=None,
    )
    batches = [
        task.collate(group[start : start + size], torch.device("cpu"))
        for group in _groups(task)
        for start in range(0, len(group), size)
    ]
    update.step(batches)
    update.close()
    return optimizer.given


def _distance(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """Norm of the difference of two gradients, as a share of the second's."""
    a, b = (torch.cat([part.flatten() for part in gradient]).double() for gradient in (found, wanted))
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("clipping, tied", [("hooks", True), ("hooks", False), ("ghost", False)])
def test_clipped_gradients_equal_a_loop_over_patients(
    clipping: str, tied: bool, tied_model: Path, untied_model: Path, notes: tuple[str, str]
) -> None:
    model = tied_model if tied else untied_model
    task = MlmTask(load_private_config(None, [f"model.path={model}", *notes, *SMALL]))
    wanted, norms = _naive(task, 1.0)
    # Some are clipped and some are not, so that either would be seen.
    limit = sorted(norms)[len(norms) // 2]
    wanted, _ = _naive(task, limit)
    for size in (2, 6):
        task = MlmTask(load_private_config(None, [f"model.path={model}", *notes, *SMALL]))
        found = _clipped(task, clipping, limit, size)
        assert _distance(found, wanted) < 1e-5


@pytest.mark.parametrize("clipping", ["hooks", "ghost"])
def test_a_patient_with_many_windows_weighs_no_more_than_one(
    clipping: str, untied_model: Path, notes: tuple[str, str]
) -> None:
    """By note the sum over one patient's two windows could reach a norm of 2."""
    task = MlmTask(load_private_config(None, [f"model.path={untied_model}", *notes, *SMALL]))
    patient = next(p for p in range(task.num_patients) if len(task.draw(p, np.random.default_rng(0))) == 2)
    windows = task.draw(patient, np.random.default_rng(0))
    limit = 1e-2
    optimizer = torch.optim.SGD(task.model.parameters(), lr=1.0)
    before = [weight.detach().clone() for weight in task.model.parameters()]
    update = PrivateUpdate(
        task.model.train(),
        optimizer,
        clipping=clipping,  # type: ignore[arg-type]
        noise_multiplier=1.0,
        max_grad_norm=limit,
        expected_patients=1,
        processes=ALONE,
        noise=lambda _, weight: torch.zeros_like(weight),
        generator=None,
    )
    update.step([task.collate([windows], torch.device("cpu"))])
    moved = [old - new.detach() for old, new in zip(before, task.model.parameters(), strict=True)]
    assert float(torch.stack([m.norm() for m in moved]).norm()) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("clipping", ["hooks", "ghost"])
def test_a_classifiers_gradients_are_a_patients_too(clipping: str, tmp_path: Path, untied_model: Path) -> None:
    from eval.private.classification import ClsTask

    data = write_labelled(tmp_path / "set", 30)
    settings = ["task=cls", f"model.path={untied_model}", f"data.path=jsonl:{data}", *SMALL]

    def task() -> ClsTask:
        return ClsTask(load_private_config(None, settings))

    limit = sorted(_naive(task(), 1.0)[1])[3]
    wanted, _ = _naive(task(), limit)
    assert _distance(_clipped(task(), clipping, limit, 4), wanted) < 1e-5


@pytest.mark.parametrize("clipping", ["hooks", "ghost"])
def test_a_step_that_draws_nobody_still_adds_its_noise(
    clipping: str, untied_model: Path, notes: tuple[str, str]
) -> None:
    task = MlmTask(load_private_config(None, [f"model.path={untied_model}", *notes, *SMALL]))
    before = [weight.detach().clone() for weight in task.model.parameters()]
    update = PrivateUpdate(
        task.model.train(),
        torch.optim.SGD(task.model.parameters(), lr=1.0),
        clipping=clipping,  # type: ignore[arg-type]
        noise_multiplier=2.0,
        max_grad_norm=0.5,
        expected_patients=4,
        processes=ALONE,
        noise=lambda _, weight: torch.ones_like(weight),
        generator=None,
    )
    update.step([])
    for old, new in zip(before, task.model.parameters(), strict=True):
        # Noise of 2.0 x 0.5, over the four patients that a step expects.
        torch.testing.assert_close(old - new, torch.full_like(old, 0.25))


def test_a_step_holds_one_micro_batch_ahead(
    untied_model: Path, notes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = MlmTask(load_private_config(None, [f"model.path={untied_model}", *notes, *SMALL]))
    made: list[int] = []
    taken: list[tuple[int, int, bool]] = []
    update = PrivateUpdate(
        task.model.train(),
        torch.optim.SGD(task.model.parameters(), lr=1.0),
        clipping="hooks",
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_patients=1,
        processes=ALONE,
        noise=lambda _, weight: torch.zeros_like(weight),
        generator=None,
    )
    real = PrivateUpdate._take

    def take(self: PrivateUpdate, batch: Any, is_last: bool) -> None:
        taken.append((len(taken), len(made), is_last))
        real(self, batch, is_last)

    def batches() -> Iterator[Any]:
        for index in range(4):
            made.append(index)
            yield task.collate([task.draw(index, np.random.default_rng(index))], torch.device("cpu"))

    monkeypatch.setattr(PrivateUpdate, "_take", take)
    update.step(batches())
    assert taken == [(0, 2, False), (1, 3, False), (2, 4, False), (3, 4, True)]


def test_ghost_clipping_refuses_tied_weights(tied_model: Path, notes: tuple[str, str]) -> None:
    task = MlmTask(load_private_config(None, [f"model.path={tied_model}", *notes, *SMALL]))
    assert choose_clipping(task.model, "auto") == "hooks"
    with pytest.raises(NotemillError, match=r"word_embeddings and decoder share"):
        choose_clipping(task.model, "ghost")


@pytest.mark.parametrize("kind, first", [("roberta", 2), ("bert", 0)])
def test_positions_are_those_that_transformers_fills_in(kind: str, first: int) -> None:
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(
        kind,
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=12 + first,
        pad_token_id=1,
    )
    model = AutoModel.from_config(config).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    mask = torch.ones_like(ids)
    wanted = model(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(hidden_states(model, ids, mask), wanted)
