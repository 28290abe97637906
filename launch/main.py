"""The `notemill` command: collects the verbs and turns a user's mistake into one sentence and a non-zero exit."""

import importlib
import os
import sys
from typing import Any, NoReturn

import typer

from data_pipeline.private_process import keep_memory_private, without_values
from launch.disk import disk_problem
from launch.errors import NotemillError
from launch.process import prepare_process

VERBS = (
    *("corpus", "tokenizer", "tokens", "plan", "import_", "extend", "train", "launch", "runs", "export", "evaluate"),
    *("audit", "train_private", "demo", "doctor"),
)
"""The files of `launch/verbs/` in the order of the flow, which is the order of the help."""
VERBS_WITH_NOTES = ("corpus", "tokenizer", "tokens", "audit", "train-private")
"""An unexpected error of these is told without its message, which might quote a note."""
# Newer releases of typer have a copy of click of their own, whose exceptions are not click's: they are taken from where
# typer's own names for them lead.
_UsageError: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")
USER_ERROR = 2
"""Exit status of a run that bad input ended."""
SYSTEM_ERROR = 1
"""Exit status of a run that the machine ended: a full disk, a file taken away."""


def build_app() -> typer.Typer:
    """The whole command line. Verbs import their stage only when they run, so `--help` answers at once."""
    app = typer.Typer(
        name="notemill",
        help="Turn a hospital's own clinical notes into a judged clinical language model, inside the hospital.",
        epilog="Stages in order: corpus → tokenizer → tokens → train → export → eval. `notemill demo` runs them all.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for group in VERBS:
        importlib.import_module(f"launch.verbs.{group}").register(app)
    return app


def main() -> None:
    """Entry point of the console command."""
    prepare_process()
    holds_notes = sys.argv[1:2] and sys.argv[1] in VERBS_WITH_NOTES
    if holds_notes:
        keep_memory_private()
    try:
        status = build_app()(standalone_mode=False)
    except NotemillError as error:
        _stop(str(error), USER_ERROR)
    except _UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click's name for it, too.
            _stop("a file that was read ends too early; look for an empty one among those you named.", USER_ERROR)
        _stop("interrupted; run the same command again to go on.", 130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        # A full disk or a vanished share, wherever it strikes; a path can hold bytes that are no text.
        where = f" ({os.fsencode(error.filename).decode(errors='replace')})" if error.filename else ""
        # numpy says how many items it wrote, and not why it wrote no more.
        reason = error.strerror or f"a file could not be written or read in full ({error}), most often for a full disk"
        _stop(f"{reason}{where}; mend that and run the same command again.", SYSTEM_ERROR)
    except BaseException as error:
        # A panic of a library in Rust is no Exception.
        if not isinstance(error, SystemExit) and (refused := disk_problem(error)):
            _stop(f"{refused}; make room and run the same command again.", SYSTEM_ERROR)
        if not holds_notes or isinstance(error, SystemExit):
            raise
        place = without_values(error)
        _stop(f"an unexpected {place}; its message is left out because it may hold note text.", SYSTEM_ERROR)
    sys.exit(status)


def _stop(message: str, status: int) -> NoReturn:
    print(f"notemill: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
