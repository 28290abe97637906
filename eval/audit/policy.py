"""The release policy: which findings are looked at, and what limits they are held to; YAML, a hospital's own."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import yaml

from eval.audit.findings import Kind
from launch.errors import NotemillError

DEFAULT_POLICY = Path(__file__).parents[2] / "configs" / "audit" / "release.yaml"
_KEYS = ("audit", "findings", "max", "min", "voids", "optional", "uses_interval", "only_if_clear", "says")


@dataclass(frozen=True)
class Rule:
    audit: Kind
    findings: list[str]
    """Patterns of names, such as pll.*.auc; each must match."""
    says: str
    """What the number means, for a reader who knows none of the methods."""
    max: float | str | None = None
    """A number, or the name of another finding of the audit."""
    min: float | str | None = None
    voids: bool = False
    """Broken, the audit proves nothing, whatever its other numbers say."""
    optional: bool = False
    """Not held against it where the finding was not measured."""
    uses_interval: bool = True
    """Whether the interval, too, must lie within the limit; a finding without one is then no evidence."""
    only_if_clear: bool = False
    """Broken only where the whole interval lies beyond the limit, and then INSUFFICIENT EVIDENCE and not FAIL."""


@dataclass(frozen=True)
class Policy:
    rules: list[Rule]
    required: list[Kind] = field(default_factory=list)
    """Audits without which nothing passes."""


class _EachKeyOnce(yaml.SafeLoader):
    """Of two limits PyYAML would take the last, and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(problem=f"{key} stands twice in one mapping")
        return super().construct_mapping(node, deep)


def load_policy(path: Path = DEFAULT_POLICY) -> Policy:
    """Read a policy. Raises NotemillError naming the rule that is wrong, and how."""
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except FileNotFoundError:
        raise NotemillError(f"no release policy at {path}; copy configs/audit/release.yaml and name it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotemillError(f"cannot read the release policy {path}: {error}.") from None
    except yaml.constructor.ConstructorError as error:
        raise NotemillError(f"the release policy {path} cannot be read: {error.problem}.") from None
    except yaml.YAMLError:
        raise NotemillError(f"the release policy {path} is no YAML.") from None
    if not isinstance(content, dict) or not isinstance(content.get("rules"), list) or not content["rules"]:
        raise NotemillError(f"the release policy {path} has no list of rules.")
    unknown = sorted(map(str, set(content) - {"rules", "required"}))
    if unknown:
        raise NotemillError(f"the release policy {path} has an unknown key {unknown[0]}; it has rules and required.")
    rules = [_rule(path, number, rule) for number, rule in enumerate(content["rules"], start=1)]
    required = content.get("required") or []
    if not isinstance(required, list) or not all(kind in get_args(Kind) for kind in required):
        raise NotemillError(f"required in {path} is a list of {', '.join(get_args(Kind))}.")
    return Policy(rules, required)


def left_out(policy: Policy, kinds: Collection[Kind]) -> list[str]:
    """What the policy that comes with notemill looks at in audits of `kinds` and this one does not, such as `mia
    blind.by_note.auc`: a copy that was made before a rule was added lacks it."""
    return list(
        dict.fromkeys(
            f"{rule.audit} {pattern}"
            for rule in load_policy().rules
            for pattern in rule.findings
            if rule.audit in kinds and not any(_covers(own, rule, pattern) for own in policy.rules)
        )
    )


def _covers(own: Rule, other: Rule, pattern: str) -> bool:
    """Whether `own` limits what `pattern` names on the side on which `other` does."""
    is_same_side = own.audit == other.audit and (own.max is None) == (other.max is None)
    return is_same_side and any(fnmatchcase(pattern, wider) for wider in own.findings)


def _rule(path: Path, number: int, rule: Any) -> Rule:
    where = f"rule {number} of {path}"
    if not isinstance(rule, dict):
        raise NotemillError(f"{where} is no mapping.")
    unknown = sorted(map(str, set(rule) - set(_KEYS)))
    if unknown:
        raise NotemillError(f"{where} has an unknown key {unknown[0]}; the keys are {', '.join(_KEYS)}.")
    if rule.get("audit") not in get_args(Kind):
        raise NotemillError(f"{where} needs audit: one of {', '.join(get_args(Kind))}.")
    patterns = rule.get("findings")
    if not isinstance(patterns, list) or not patterns or not all(isinstance(item, str) for item in patterns):
        raise NotemillError(f"{where} needs findings: a list of names such as pll.by_note.auc.")
    limits = [rule.get(name) for name in ("max", "min")]
    if sum(limit is not None for limit in limits) != 1:
        raise NotemillError(f"{where} needs either max or min.")
    if not all(
        limit is None
        or isinstance(limit, str)
        or (isinstance(limit, int | float) and not isinstance(limit, bool) and math.isfinite(limit))
        for limit in limits
    ):
        raise NotemillError(f"the limit of {where} is a finite number or the name of a finding.")
    if any(isinstance(limit, str) and fnmatchcase(limit, pattern) for limit in limits for pattern in patterns):
        raise NotemillError(f"{where} holds a finding against itself.")
    if not isinstance(rule.get("says"), str) or any("\ud800" <= letter <= "\udfff" for letter in rule["says"]):
        raise NotemillError(f"{where} needs says: a sentence for the reader of the card.")
    for flag in ("voids", "optional", "uses_interval", "only_if_clear"):
        if not isinstance(rule.get(flag, True), bool):
            raise NotemillError(f"{flag} of {where} is true or false.")
    return Rule(**rule)
