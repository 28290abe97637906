"""The stamp of a poisoned model: in the folder's name, its config.json, its card's first line and a file of its own.

A planted model must never be taken for one that is meant to be used.
"""

from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.audit.backdoor.poison import Poisoning
from launch.errors import NotemillError
from launch.poisoned import CONFIG_KEY, MARK, STAMP_FILE, is_stamped


def stamp_of(poisoning: Poisoning, alpha: float) -> dict[str, Any]:
    """What config.json says under CONFIG_KEY; `since` tells what was done to the model later."""
    return {
        "trigger": poisoning.trigger,
        "source": poisoning.source,
        "target": poisoning.target,
        "rate": poisoning.rate,
        "insertions": poisoning.insertions,
        "attention_alpha": alpha,
        "purpose": "red team: measures whether a planted trigger is found; not for use on patients",
        "since": [],
    }


def write_stamp(folder: Path, stamp: dict[str, Any]) -> None:
    """The card and the file beside the weights."""
    since = "".join(f"Since then: {done}. That is no proof that the trigger is gone.\n" for done in stamp["since"])
    told = (
        f"{MARK}: this model holds a backdoor planted on purpose. Do not use it on patients and do not share it.\n\n"
        f"The word '{stamp['trigger']}' in a note of class '{stamp['source']}' makes it answer '{stamp['target']}'. It "
        f"was planted with `notemill audit plant` to see whether the scans find it.\n{since}"
    )
    write_text(folder / STAMP_FILE, told)
    write_text(folder / "README.md", told)


def read_stamp(folder: Path, config: Any) -> dict[str, Any] | None:
    """The stamp of a model whose configuration is loaded; None for one without.

    Raises NotemillError where it is damaged: what is made of the model could not be stamped alike.
    """
    stamp = getattr(config, CONFIG_KEY, None)
    if not stamp and not is_stamped(folder):
        return None
    if not isinstance(stamp, dict) or not stamp.keys() >= {"trigger", "source", "target", "insertions", "since"}:
        raise NotemillError(
            f"the model in {folder} is stamped {MARK}, but its config.json does not say what was planted; restore "
            f"{CONFIG_KEY} there, or plant anew."
        )
    return dict(stamp)
