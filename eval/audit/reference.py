"""The models that an audit of memory asks: the audited one, and a reference that never saw the members."""

from pathlib import Path

import torch

from eval.audit.attacks import AttackConfig
from eval.audit.mlm_scores import MaskedLM
from launch.errors import NotemillError


def load_masked(folder: Path, config: AttackConfig) -> MaskedLM:
    """The model in `folder`, asked as `config` says. Raises NotemillError."""
    return MaskedLM(folder, device=config.device, max_length=config.max_length, batch_tokens=config.batch_tokens)


def load_reference(folder: Path | None, model: MaskedLM, config: AttackConfig) -> MaskedLM | None:
    """The reference for `model`; None where none is given.

    Raises NotemillError where likelihoods cannot be compared: another vocabulary, shorter windows, or the same weights.
    """
    if folder is None:
        return None
    reference = load_masked(folder, config)
    if reference.vocabulary != model.vocabulary:
        raise NotemillError(
            f"the reference {folder} has another vocabulary than {model.folder}; likelihoods compare only for one "
            "tokenizer, so train the reference with the audited model's."
        )
    if reference.max_length < model.max_length:
        raise NotemillError(
            f"the reference {folder} reads {reference.max_length} pieces and the model {model.max_length}; give "
            f"max_length={reference.max_length}."
        )
    if _have_same_weights(model, reference):
        raise NotemillError(
            f"the reference {folder} has the weights of the audited model {model.folder} and would hide whatever that "
            "remembers; give a model that was not trained on the members."
        )
    return reference


def _have_same_weights(one: MaskedLM, other: MaskedLM) -> bool:
    """Whether all tensors are equal, however the files are named or divided."""
    left, right = one.model.state_dict(), other.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(value, right[name]) for name, value in left.items())
