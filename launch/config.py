"""Typed configuration: dataclass defaults < YAML file < `section.key=value`.

A configuration is one tree of dataclasses. A YAML file may name another with `base: other.yaml` (relative to itself),
so that an experiment is a few lines. Unknown keys fail and name the nearest known one; types are the dataclass's.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from launch.errors import NotemillError

ConfigT = TypeVar("ConfigT")


def load_config(schema: type[ConfigT], file: Path | str | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Build `schema` from its defaults, then `file`, then `overrides` such as `train.lr=1e-4`.

    Raises NotemillError for an unreadable file, an unknown key or a value of the wrong type. Cross-field checks belong
    to the schema: if it has a `validate()` that returns a list of problems, all of them are told at once.
    """
    merged = OmegaConf.structured(schema)
    if file is not None:
        for path, layer in _yaml_layers(Path(file), schema):
            merged = _merge(merged, layer, schema, origin=str(path))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise NotemillError(f"'{override}' is no setting; write section.key=value, such as train.steps=100.")
        merged = _merge(merged, _nest(key, _value_of(schema, key, value)), schema, origin="the command line")
    config: Any = OmegaConf.to_object(merged)
    problems = config.validate() if hasattr(config, "validate") else []
    if problems:
        raise NotemillError("the configuration does not hold together: " + "; ".join(problems) + ".")
    return config


def to_yaml(config: Any) -> str:
    """The resolved configuration as YAML that `load_config` reads back to an equal object."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)


def overrides_of(values: Mapping[str, Any]) -> list[str]:
    """Values by key as settings for `load_config`."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def known_keys(schema: type) -> list[str]:
    """Every dotted key of a configuration tree, in the order of declaration."""
    return list(_walk_keys(schema, prefix=""))


def _value_of(schema: type, key: str, text: str) -> Any:
    """What `text` means for that key: itself where the key holds text (a folder may be called 0123), else its YAML."""
    hint = _hint_of(schema, key)
    if hint is str or (_is_text(hint) and text not in ("null", "~", "")):
        return text
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text


def _is_text(hint: Any) -> bool:
    return hint is str or set(get_args(hint)) == {str, type(None)}


def _hint_of(schema: type, key: str) -> Any:
    """The type of the value at a dotted key, which may lead into a mapping; None where there is no such key."""
    hint: Any = schema
    for part in key.split("."):
        if dataclasses.is_dataclass(hint):
            hint = get_type_hints(hint).get(part)
        else:  # Below a field that is a mapping.
            hint = get_args(hint)[-1] if get_origin(hint) is dict else None
    return hint


def _given(layer: Any, key: str) -> Any:
    """What a layer of settings has at a dotted key, or in the list or mapping that the key leads into."""
    for part in key.split("."):
        if not isinstance(layer, Mapping) or part not in layer:
            break
        layer = layer[part]
    return layer


_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}


def _described(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, UnionType):
        *first, last = map(_described, arguments)
        return f"{', '.join(first)} or {last}"
    if origin is list:
        return f"a list, each item {_described(arguments[0])}"
    if origin is dict and arguments[1] is Any:
        return _TYPES[dict]
    if origin is dict:
        return f"a mapping, each value {_described(arguments[1])}"
    if dataclasses.is_dataclass(hint):
        return f"a mapping with keys of {', '.join(field.name for field in dataclasses.fields(hint))}"
    if hint is Any:
        return "anything"
    return _TYPES.get(hint, getattr(hint, "__name__", str(hint)))


def _walk_keys(schema: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _walk_keys(hint, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            yield prefix + field.name


def _without_text(error: yaml.YAMLError) -> str:
    """What is wrong and where; not the lines around it, which PyYAML adds: the file may be one of notes."""
    problem = " ".join(str(getattr(error, "problem", None) or "it cannot be read").split())
    mark = getattr(error, "problem_mark", None)
    return problem if mark is None else f"{problem} in line {mark.line + 1}, column {mark.column + 1}"


def _yaml_layers(path: Path, schema: type, seen: tuple[Path, ...] = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    if path.resolve() in seen:
        raise NotemillError(f"{path} names itself as its base; remove the 'base:' line that closes the circle.")
    try:
        text = path.read_text(encoding="utf-8")
        layer, written = yaml.load(text, Loader=_Loader), yaml.load(text, Loader=yaml.BaseLoader)
    except OSError as error:
        raise NotemillError(f"cannot read the configuration {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise NotemillError(f"{path} is not YAML: byte {error.start + 1} is not UTF-8.") from None
    except yaml.YAMLError as error:
        raise NotemillError(f"{path} is not YAML: {_without_text(error)}.") from None
    except RecursionError:
        raise NotemillError(f"{path} refers to itself; take the alias (*) out.") from None
    if layer is None:
        layer = {}
    if not isinstance(layer, dict):
        raise NotemillError(f"{path} must hold 'section:' blocks of keys, not a {type(layer).__name__}.")
    base = layer.pop("base", None)
    if base is not None:
        yield from _yaml_layers(path.parent / str(base), schema, (*seen, path.resolve()))
    yield path, _texts_as_written(layer, written, schema)


def _texts_as_written(layer: dict[Any, Any], written: Any, schema: type, prefix: str = "") -> dict[Any, Any]:
    """The layer, in which 0123 or on is text where the key holds text. `written`: the same with all scalars as text."""
    found = dict(layer)
    for name, value in layer.items():
        key, text = f"{prefix}{name}", written.get(str(name)) if isinstance(written, Mapping) else None
        if isinstance(value, dict):
            found[name] = _texts_as_written(value, text, schema, f"{key}.")
        elif value is not None and isinstance(text, str) and _is_text(_hint_of(schema, key)):
            found[name] = text
    return found


def _merge(config: DictConfig, layer: Mapping[str, Any], schema: type, origin: str) -> DictConfig:
    _refuse_unknown(layer, schema, origin)
    try:
        return OmegaConf.merge(config, OmegaConf.create(_without_interpolation(layer)))  # type: ignore[return-value]
    except TypeError:  # It merges no list into a mapping, and does not say which.
        raise NotemillError(_misplaced_container(layer, schema, origin)) from None
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        if not key:
            raise NotemillError(f"{str(error).splitlines()[0].rstrip('.')} (from {origin}).") from None
        field, is_item = re.subn(r"\[\d+\]$", "", key)
        hint = _hint_of(schema, field)
        if hint is None and (found := _in_an_item(schema, field)):
            name, hint = found
            raise NotemillError(
                f"{field} of an item of {name} (from {origin}) is of the wrong type and must be {_described(hint)}."
            ) from None
        given = json.dumps(_given(layer, field), ensure_ascii=False, default=str)
        needed = f"a list, each item {_described(get_args(hint)[0])}" if is_item else _described(hint)
        raise NotemillError(f"{field} is {given} (from {origin}) and must be {needed}.") from None


def _misplaced_container(layer: Mapping[str, Any], schema: type, origin: str) -> str:
    """Which key has a list in place of a mapping, or a mapping in place of a list."""
    for key in _flatten(layer, leaves=set(known_keys(schema))):
        hint, value = _hint_of(schema, key), _given(layer, key)
        if isinstance(value, list if (get_origin(hint) or hint) is dict else Mapping):
            return f"{key} is {json.dumps(value, default=str)} (from {origin}) and must be {_described(hint)}."
    return f"{origin} has a list where a mapping is needed, or a mapping where a list is."


def _in_an_item(schema: type, key: str) -> tuple[str, Any] | None:
    """The key of the list whose items have `key`, and the type of its value."""
    for name in known_keys(schema):
        hint = _hint_of(schema, name)
        if get_origin(hint) is list and (found := _hint_of(get_args(hint)[0], key)):
            return name, found
    return None


def _without_interpolation(value: Any) -> Any:
    """The same value with "${" kept as text: a setting says what it says, and reads no variable of the machine."""
    if isinstance(value, Mapping):
        return {key: _without_interpolation(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_interpolation(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _refuse_unknown(layer: Mapping[str, Any], schema: type, origin: str) -> None:
    known = known_keys(schema)
    sections = {key.rsplit(".", depth)[0] for key in known for depth in range(1, key.count(".") + 1)}
    # A field that is itself a mapping or a list holds the user's own names below it.
    for key in _flatten(layer, leaves=set(known)):
        if key in sections:
            raise NotemillError(f"'{key}' is a section, not a value (from {origin}); set one of its keys instead.")
        if key not in known:
            raise NotemillError(f"unknown key '{key}' (from {origin}){_suggest(key, known)}")


def _suggest(key: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:
        leaf = key.rsplit(".", 1)[-1]
        near = [k for k in known if k.rsplit(".", 1)[-1] == leaf][:1]
    return f"; did you mean '{near[0]}'?" if near else f"; known keys are {', '.join(known)}."


def _flatten(layer: Mapping[str, Any], leaves: set[str], prefix: str = "") -> Iterator[str]:
    for name, value in layer.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in leaves:
            yield from _flatten(value, leaves, f"{key}.")
        else:
            yield key


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as a string and 24:00:00 as the number 86400; here one is a number, as everywhere else in the
    field, and the other a time as it is written."""


_OTHERWISE = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _OTHERWISE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|nan))$"),
    list("-+0123456789."),
)
