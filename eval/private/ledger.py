"""ledger.json: what has been spent on the patients of a model, one entry for each run.

    entries   runs that the weights come from, oldest first: those of the folder the model was loaded from, those named
              as earlier, those started in this folder
    total     ε of all of them together, by both libraries

It is released beside the weights, so nothing in it is read off the notes without noise, but for their patients' number
in the sampling rate and delta.

The ledger is ahead of the training: before steps are taken they are in it, so a run that is killed, and never goes on,
has been charged for at least what it did.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from data_pipeline.files import read_json, write_json
from eval.audit.findings import AUDIT_FILE, read_audit
from eval.private.accountant import Cost, Mechanism
from launch.errors import NotemillError

LEDGER_FILE = "ledger.json"
LEDGER_VERSION = 1
_MOST = 10**9
"""Above any number of steps and any noise multiplier that a run can have had."""
SEEDED = "seeded by privacy.seed"
"""What an entry's noise_generator says where the noise can be drawn again."""
VOID = (
    "No epsilon: privacy.seed was set in a run, and whoever knows the seed can draw its noise again and take it out of "
    "the weights. Train without a seed."
)


@dataclass(frozen=True)
class Entry:
    """One run on one set of patients."""

    id: str
    """Drawn when the run began."""
    fingerprint: str
    """Of the settings and the model that decide the run, without the notes and privacy.seed."""
    status: Literal["running", "finished", "lost"]
    """`lost` runs were killed and their checkpoint is gone; what they were charged stays charged."""
    folder: str
    unit: str
    """What one sample is: what is added or removed between two neighbouring data sets."""
    data: dict[str, Any]
    """Path of what was trained on. No hash: whoever knows all notes but a patient's could try that patient's on it."""
    sampling: str
    sampling_rate: float
    noise_multiplier: float
    max_grad_norm: float
    clipping: str
    planned_steps: int
    charged_steps: int
    """Steps taken or about to be."""
    noise_generator: str
    """How the noise was drawn, and whether it can be predicted."""
    versions: dict[str, str | None] = field(default_factory=dict)
    inherited: bool = False
    """Whether it was run in another folder."""
    delta: float | None = None
    """At which its patients are protected: below 1 / their number. None in an entry of before it was kept here."""

    @property
    def mechanism(self) -> Mechanism:
        return Mechanism(self.noise_multiplier, self.sampling_rate, self.charged_steps)

    @property
    def is_seeded(self) -> bool:
        return SEEDED in self.noise_generator


def _is_sound(entry: Entry) -> bool:
    """Whether an accountant can count the entry; of an edited one it might take for ever."""
    steps = (entry.charged_steps, entry.planned_steps)
    return (
        all(type(number) is int and 0 <= number < _MOST for number in steps)
        and 0 < entry.sampling_rate <= 1
        and 0 < entry.noise_multiplier < _MOST
        and (entry.delta is None or 0 < entry.delta < 1)
        and isinstance(entry.unit, str)
        and isinstance(entry.noise_generator, str)
    )


def _was_private(folder: Path) -> bool:
    """Whether the audit.json that a private training leaves is there; another file of that name says nothing."""
    try:
        return (folder / AUDIT_FILE).is_file() and read_audit(folder).kind == "private"
    except NotemillError:
        return False


def unit_name(unit: str) -> str:
    """`patient` or `document`, from a unit in words."""
    return unit.partition(":")[0]


class Ledger:
    """The entries of one folder; `write` puts them there with their total."""

    def __init__(self, folder: Path, entries: Sequence[Entry] = ()) -> None:
        self.folder = folder
        self.entries = list(entries)

    @classmethod
    def of(cls, folder: Path) -> "Ledger":
        """The folder's ledger, empty where there is none. Raises NotemillError when it is damaged."""
        path = folder / LEDGER_FILE
        remedy = "restore it from a backup, since it says what has been spent on these patients"
        if not path.is_file():
            if _was_private(folder):
                raise NotemillError(f"{folder} was trained privately but its {LEDGER_FILE} is gone; {remedy}.")
            return cls(folder)
        content = read_json(path, "ledger of private training", remedy)
        try:
            if content["version"] != LEDGER_VERSION:
                raise NotemillError(f"{path} is of version {content['version']}; this notemill reads {LEDGER_VERSION}.")
            entries = [Entry(**{"delta": content["total"]["delta"], **entry}) for entry in content["entries"]]
            if not entries or not all(map(_is_sound, entries)):
                raise ValueError
            return cls(folder, entries)
        except (KeyError, TypeError, ValueError):
            raise NotemillError(f"{path} is no ledger of private training; {remedy}.") from None

    def find(self, identity: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.id == identity), None)

    def put(self, entry: Entry) -> None:
        """Add the entry, or replace the one of its id. A charge never becomes less."""
        for place, known in enumerate(self.entries):
            if known.id == entry.id:
                steps = max(known.charged_steps, entry.charged_steps)
                self.entries[place] = replace(entry, charged_steps=steps)
                return
        self.entries.append(entry)

    @property
    def is_seeded(self) -> bool:
        """Whether the noise of any run can be drawn again by whoever knows its seed, which voids epsilon."""
        return any(entry.is_seeded for entry in self.entries)

    def least_delta(self, without: str) -> float:
        """The smallest δ of any run: at a larger one its patients are not protected. 1 where there is none."""
        deltas = [entry.delta for entry in self.entries if entry.id != without and entry.charged_steps]
        return min((delta for delta in deltas if delta is not None), default=1.0)

    def inherit(self, entries: Iterable[Entry]) -> None:
        """Take entries of other folders in, before our own and each once, at the most that any ledger has for them.

        A run that goes on elsewhere is charged all of its steps: its ledger is not read again when it has taken them.
        """
        new = []
        for entry in entries:
            is_going_on = entry.status == "running"
            charged = max(entry.charged_steps, entry.planned_steps) if is_going_on else entry.charged_steps
            known = self.find(entry.id)
            if known is None:
                new.append(replace(entry, charged_steps=charged, inherited=True))
            else:
                status = entry.status if known.inherited and known.status == "running" else known.status
                self.put(replace(known, status=status, charged_steps=charged))
        self.entries = [*new, *self.entries]

    def mechanisms(self, without: str = "") -> list[Mechanism]:
        return [entry.mechanism for entry in self.entries if entry.id != without and entry.charged_steps]

    def write(self, cost: Cost, accountant: str, not_covered: Sequence[str]) -> None:
        """Write the folder's ledger.json; `cost` is of all entries."""
        given = None if self.is_seeded else cost
        write_json(
            self.folder / LEDGER_FILE,
            {
                "version": LEDGER_VERSION,
                "total": {
                    "epsilon": given and given.epsilon,
                    "delta": cost.delta,
                    "accountant": accountant,
                    "opacus": given and given.opacus,
                    "dp_accounting": given and given.dp_accounting,
                    "difference": given and given.difference,
                    "neighbours": "data sets that differ by one unit, added or removed",
                    **({} if given else {"note": VOID}),
                },
                "entries": [asdict(entry) for entry in self.entries],
                "not_covered": list(not_covered),
            },
        )
