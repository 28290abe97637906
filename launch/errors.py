"""The one exception that a user's mistake raises.

Every message names the value, the limit, where it came from and what to do next, in one sentence. `launch.main` prints
it without a traceback and exits with status 2. Messages never contain note text.
"""


class NotemillError(Exception):
    """Bad input: a missing file, a wrong column, an unknown key, a manifest that does not match."""
