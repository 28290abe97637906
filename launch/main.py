"""The `notemill` command: collects the verbs and turns a user's mistake into one sentence and a non-zero exit."""

import importlib
import sys

import typer

from launch.errors import NotemillError
from launch.process import prepare_process

VERBS = ("corpus", "tokenizer", "tokens", "train", "export", "evaluate", "demo", "doctor")
"""The files of `launch/verbs/` in the order of the flow, which is the order of the help."""
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
    prepare_process()
    try:
        build_app()()
    except NotemillError as error:
        print(f"notemill: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print("notemill: interrupted; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
