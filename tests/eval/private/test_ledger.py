"""What a ledger takes over from others."""

from dataclasses import replace
from pathlib import Path

from eval.private.ledger import Ledger
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
