"""A wrong command line ends with what is wrong and status 2, never with a traceback."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["corpus", "build", "--inputs", "x"], "No such option: --inputs"),
        (["corpus", "build"], "Missing option '--input'"),
        (["corpus", "review", "corpus", "--show", "first"], "Invalid value for '--show'"),
        (["corpse"], "No such command 'corpse'"),
        ([], "Usage:"),
        (["tokens"], "Usage:"),
    ],
)
def test_usage_errors(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launch.main", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr and "unexpected" not in done.stderr
