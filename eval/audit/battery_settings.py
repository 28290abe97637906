"""Which settings of the attacks decide a result, and by which an attack finds too little to clear a model."""

from collections.abc import Sequence

from eval.audit.attacks import AttackConfig
from eval.audit.findings import Finding, exact

WEAK_SETTINGS = "battery.weak_settings"
NOT_DECISIVE = ("threads", "device", "batch_tokens")
"""A rerun may have others: no number depends on them."""
_SOUND: dict[str, tuple[float, float]] = {
    "max_pieces": (64, float("inf")),
    "max_length": (128, float("inf")),
    "perturbed_rounds": (2, float("inf")),
    "neighbours": (4, float("inf")),
    "paraphrases": (2, float("inf")),
    "min_k": (0.05, 0.5),
    "rmia_offset": (0.7, 1.0),
    "rmia_gamma": (0.5, 2.0),
    "resamples": (200, float("inf")),
}
"""Between which each setting must lie for an attack that finds nothing to be evidence."""
OF_LIKELIHOODS = ("max_pieces", "max_length", "resamples")
"""Those that count where notes are scored by pseudo-likelihood alone."""


def weak_settings(config: AttackConfig, names: Sequence[str] = tuple(_SOUND)) -> list[str]:
    """Those of `names` with which an attack may well find nothing in a model that leaks, each in words."""
    weak = []
    for name in names:
        low, high = _SOUND[name]
        value = getattr(config, name)
        takes_all = name == "max_pieces" and value == 0
        if not takes_all and not low <= value <= high:
            wanted = f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"
            weak.append(f"{name} is {value:g}, not {wanted}")
    return weak


def weak_settings_finding(config: AttackConfig, names: Sequence[str] = tuple(_SOUND)) -> Finding:
    """Their number, which the default policy wants to be 0."""
    weak = weak_settings(config, names)
    return exact(
        float(len(weak)), "settings with which an attack may find nothing in a model that leaks", "; ".join(weak)
    )
