"""A full disk is told as one, in whatever error a library hides it."""

import errno

import pytest

from launch import main as command
from launch.disk import disk_problem


class CheckpointException(BaseException):
    """As torch's, which is no Exception and holds the tracebacks of all ranks."""


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__context__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (chained(RuntimeError("worker"), OSError(errno.EDQUOT, "Disk quota exceeded")), "Disk quota exceeded"),
        (ValueError("Error while serializing: I/O error: No space left on device (os error 28)"), "No space left"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), "for a full disk"),
        (
            RuntimeError("Worker failure: PytorchStreamWriter failed writing file data/0: file write failed"),
            "full disk",
        ),
        (RuntimeError("PytorchStreamReader failed reading zip archive: invalid header"), None),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
    ],
)
def test_what_a_disk_refused_is_found(error: BaseException, told: str | None) -> None:
    found = disk_problem(error)
    assert (found is None) if told is None else (found is not None and told in found)


@pytest.mark.parametrize(
    ("error", "told", "status"),
    [
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), "make room", 1),
        (command.typer.Abort(), "interrupted", 130),
        (CheckpointException("ranks [0]: Worker failure: . unexpected pos 704 vs 598"), "make room", 1),
        (EOFError(), "ends too early", 2),
    ],
)
def test_the_command_says_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, told: str, status: int
) -> None:
    app = command.typer.Typer(pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True)
    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "build_app", lambda: app)
    monkeypatch.setattr("sys.argv", ["notemill"])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == status
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("notemill: ") and told in line
