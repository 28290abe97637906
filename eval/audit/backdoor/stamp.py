"""The stamp of a poisoned model: in the folder's name, its config.json, its card's first line and a file of its own.

A planted model must never be taken for one that is meant to be used.
"""

from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.audit.backdoor.poison import Poisoning
from launch.poisoned import CONFIG_KEY, MARK, STAMP_FILE


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


def read_stamp(config: Any) -> dict[str, Any] | None:
    """The stamp of a loaded configuration; None for a model without one."""
    stamp = getattr(config, CONFIG_KEY, None)
    return dict(stamp) if stamp else None
