"""The `notemill` command: collects the verbs and turns a user's mistake into one sentence and a non-zero exit."""

import importlib
import os
import sys

import typer

from data_pipeline.private_process import keep_memory_private, without_values
from launch.errors import NotemillError

VERBS = ("corpus", "tokenizer", "tokens", "train", "export", "evaluate", "demo", "doctor")
"""The files of `launch/verbs/` in the order of the flow, which is the order of the help."""
VERBS_WITH_NOTES = ("corpus", "tokenizer", "tokens")
"""An unexpected error of these is told without its message, which might quote a note."""
USER_ERROR = 2
"""Exit status of a run that bad input ended."""


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
    # Nothing here may reach for a network: hubs are off and telemetry is never sent, whatever a library's default is.
    for name in (
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
    ):
        os.environ.setdefault(name, "1")
    os.umask(0o077)
    holds_notes = sys.argv[1:2] and sys.argv[1] in VERBS_WITH_NOTES
    if holds_notes:
        keep_memory_private()
    try:
        build_app()()
    except BrokenPipeError:
        sys.exit(141)
    except NotemillError as error:
        print(f"notemill: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except Exception as error:
        if not holds_notes:
            raise
        print(
            f"notemill: an unexpected {without_values(error)}; its message is left out because it may hold note text.",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("notemill: interrupted; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
