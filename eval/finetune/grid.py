"""Which settings a search tries: every combination of the values listed, or some of them drawn at random.

Pure arithmetic over a mapping such as {lr: [1e-5, 2e-5], epochs: [3, 5], trials: 3}.
"""

import math
import random
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

TRIALS = "trials"
MAX_TRIALS = 1000
_FIXED = ("search", "seeds", "initial", "baseline", "device", "threads", "save_model")
"""Keys that say what is run or where, not how well the model learns."""


def trial_settings(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of each trial, the same in every run; empty without a search."""
    keys = [key for key in search if key != TRIALS]
    if not keys:
        return []
    combinations = [dict(zip(keys, values, strict=True)) for values in product(*(search[key] for key in keys))]
    wanted = search.get(TRIALS, len(combinations))
    if wanted >= len(combinations):
        return combinations
    return random.Random(0).sample(combinations, wanted)


def grid_problems(search: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """What is wrong with a search over the keys of a recipe."""
    if not search:
        return []
    keys = [key for key in search if key != TRIALS]
    free = [name for name in known if name not in _FIXED]
    problems = [
        f"search names '{key}', which cannot be searched; these can: {', '.join(free)}"
        for key in keys
        if key not in free
    ]
    problems += [
        f"search.{key} is {search[key]} but must be a list of different values"
        for key in keys
        if not isinstance(search[key], list) or not search[key] or len({*map(repr, search[key])}) < len(search[key])
    ]
    trials = search.get(TRIALS, 1)
    if not isinstance(trials, int) or isinstance(trials, bool) or trials < 1:
        problems.append(f"search.trials is {trials} but must be a number of at least 1")
    if not keys:
        problems.append("search has trials but lists no values, such as search.lr=[1e-5,2e-5]")
    if not problems and (size := math.prod(len(search[key]) for key in keys)) > MAX_TRIALS:
        problems.append(f"search has {size} combinations but at most {MAX_TRIALS} may be listed")
    return problems
