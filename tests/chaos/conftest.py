"""One process that forks all runs of a session's worker."""

import os

import pytest

from tests.chaos.forking import Forking


@pytest.fixture(scope="session")
def forking():
    with Forking() as process:
        yield process


@pytest.fixture(scope="session")
def kills() -> int:
    """How many kills a test of many may spend; raised by hand, as in NOTEMILL_KILLS=200."""
    return int(os.environ.get("NOTEMILL_KILLS", "6"))
