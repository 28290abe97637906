"""megatron-core in the tests' own process: it must be made to run without a GPU before any test imports it."""

import os

import pytest

from pretrain import megatron_on_cpu

megatron_on_cpu.quieten()
megatron_on_cpu.install()


@pytest.fixture
def own_process_groups():
    """Leaves no trace in the environment of the process groups that a test starts in its own process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
