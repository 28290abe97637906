"""`PATH?key=value&key=value`, the form in which the command line names a file or address with settings of its own.

Values are percent-decoded: `&` in one is written %26 and `%` is %25. What follows a `?` is settings only where it
begins with `key=`, so that globs such as `note_?.csv` stay what they are. A database or web address has settings of its
own in the same place; those that we do not know stay in the address.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

from launch.errors import NotemillError

_SETTINGS = re.compile(r"(?P<path>.*?)\?(?P<settings>[A-Za-z_][A-Za-z0-9_.-]*=.*)", re.DOTALL)
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):.*@", re.DOTALL)
_SECRET_SETTING = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key|sig|connect)[^=&]*=)[^&]*", re.IGNORECASE)


def split_settings(spec: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """The path and the settings named in `known`. Raises NotemillError for another one after a plain path."""
    match = _SETTINGS.fullmatch(spec)
    if match is None:
        return spec, {}
    settings: dict[str, str] = {}
    others = []
    for pair in match["settings"].split("&"):
        key, _, value = pair.partition("=")
        if key in known and value:
            settings[key] = unquote(value)
        else:
            others.append(pair)
    path = match["path"]
    if others and "://" in path:
        return f"{path}?{'&'.join(others)}", settings
    if others:
        key = others[0].partition("=")[0]
        problem = f"no value for '{key}'" if key in known else f"unknown column role '{key}'"
        raise NotemillError(f"{problem} in '{without_secrets(spec)}'; known are {', '.join(known)}.")
    return path, settings


def without_secrets(text: str) -> str:
    """An address for messages and manifests: no password, and no value of a setting that sounds like one."""
    return _SECRET_SETTING.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
