"""What a ledger takes over from others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eval.audit.findings import Audit
from eval.private.accountant import Cost
from eval.private.ledger import LEDGER_FILE, Ledger
from launch.errors import NotemillError
from tests.eval.private.toys import ENTRY


def _charged(ledger: Ledger) -> dict[str, int]:
    return {entry.id: entry.charged_steps for entry in ledger.entries}


def test_a_run_that_goes_on_elsewhere_is_charged_all_of_its_steps() -> None:
    ledger = Ledger(Path("ours"))
    ledger.inherit([replace(ENTRY, status="running"), replace(ENTRY, id="two", status="lost")])
    assert _charged(ledger) == {"one": 10, "two": 4}
    assert all(entry.inherited for entry in ledger.entries)


def test_an_entry_that_is_held_already_takes_the_larger_charge() -> None:
    ledger = Ledger(Path("ours"), [replace(ENTRY, inherited=True, status="running"), replace(ENTRY, id="own")])
    ledger.inherit([replace(ENTRY, charged_steps=9), replace(ENTRY, id="own", charged_steps=3, inherited=True)])
    assert _charged(ledger) == {"one": 9, "own": 4}
    first, own = ledger.entries
    assert (first.status, first.inherited) == ("finished", True)
    assert not own.inherited
    # An older copy of the other ledger takes nothing back.
    ledger.inherit([replace(ENTRY, charged_steps=2)])
    assert _charged(ledger) == {"one": 9, "own": 4}


@pytest.mark.parametrize(
    "change",
    [
        {"charged_steps": -50},
        {"charged_steps": "60"},
        {"planned_steps": 10**12},
        {"noise_multiplier": 1e308},
        {"noise_multiplier": float("nan")},
        {"sampling_rate": 0.0},
        {"unit": None},
    ],
)
def test_an_edited_ledger_is_told(change: dict[str, object], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, [ENTRY])
    ledger.write(Cost(1.0, 1.0, 1e-5), "rdp", ())
    assert _charged(Ledger.of(tmp_path)) == {"one": 4}
    content = json.loads((tmp_path / LEDGER_FILE).read_text())
    content["entries"][0] |= change
    (tmp_path / LEDGER_FILE).write_text(json.dumps(content))
    with pytest.raises(NotemillError, match="no ledger of private training; restore it"):
        Ledger.of(tmp_path)


def test_a_ledger_that_is_gone_is_missed(tmp_path: Path) -> None:
    assert Ledger.of(tmp_path).entries == []
    Audit("private", {}, {}).write(tmp_path)
    with pytest.raises(NotemillError, match=r"trained privately but its ledger\.json is gone"):
        Ledger.of(tmp_path)
    (tmp_path / LEDGER_FILE).write_text('{"version": 1, "entries": []}')
    with pytest.raises(NotemillError, match="no ledger of private training"):
        Ledger.of(tmp_path)
