"""Results arranged for reading: by task and model, with the untrained run of a result as a model of its own."""

from collections.abc import Sequence

from eval.results import Estimate, Metric, Result

UNTRAINED = "untrained"


def flatten(results: Sequence[Result]) -> list[Result]:
    """Every result, each followed by its untrained run: `untrained`, or `MODEL, untrained` where several have one."""
    names = {result["model"]["name"] for result in results}
    owners = {result["model"]["name"] for result in results if "untrained" in result}
    is_clear = len(owners) == 1 and UNTRAINED not in names
    flat: list[Result] = []
    for result in results:
        flat.append(result)
        if "untrained" in result:
            untrained, owner = result["untrained"], result["model"]["name"]
            name = UNTRAINED if is_clear else f"{owner}, {UNTRAINED}"
            flat.append({**untrained, "model": {**untrained["model"], "name": name, "owner": owner}})
    return flat


def model_names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result["model"]["name"] for result in flatten(results)))


def by_task(results: Sequence[Result]) -> list[dict[str, Result]]:
    """For each data set, its results by model name, both in the order of first appearance."""
    groups: dict[str, dict[str, Result]] = {}
    for result in flatten(results):
        groups.setdefault(result["dataset"]["name"], {})[result["model"]["name"]] = result
    return list(groups.values())


def best_baseline(result: Result) -> tuple[str, Estimate] | None:
    """The baseline that needs no model with the best primary score."""
    scored = [(b["name"], b["metrics"][result["primary"]]) for b in result["baselines"]]
    return max(scored, key=lambda pair: pair[1]["value"], default=None)


def written(metric: Metric) -> str:
    interval = (
        "" if metric["low"] is None or metric["high"] is None else f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    )
    spread = f" ± {metric['sd']:.4f}" if len(metric["values"]) > 1 else ""
    return f"{metric['value']:.4f}{spread}{interval}"
