"""The one exception that a user's mistake raises.

Every message names the value, the limit, where it came from and what to do next, in one sentence. `launch.main` prints
it without a traceback and exits with status 2. Messages never contain note text.
"""


class NotemillError(Exception):
    """Bad input: a missing file, a wrong column, an unknown key, a manifest that does not match."""


def one_line(error: BaseException) -> str:
    """What a library says of a file, short enough for a sentence of our own."""
    lines = str(error).split("\n") if str(error).strip() else [type(error).__name__]
    told = [" ".join(line.split()) for line in lines if line.strip()]
    # Where the first line only names what follows, as in "Validation error for field 'hidden_size':".
    first = " ".join(told[:2]) if told[0].endswith(":") else told[0]
    return first.rstrip(".") + "."
