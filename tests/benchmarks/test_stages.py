"""CPU time goes to the stage whose code runs, by the first stage of the list that the stack shows."""

import sys

from benchmarks.sides import DATATROVE, OURS
from benchmarks.stages import OTHER, Stage, StageClock, sampled


def _outer(clock, inner):
    return inner(clock)


def _inner(clock):
    return clock.stage_of(sys._getframe())


def _elsewhere(clock):
    return clock.stage_of(sys._getframe())


def test_the_first_stage_of_the_list_is_meant():
    here = "/test_stages.py"
    first = StageClock([Stage("a", (f"{here}:_inner",)), Stage("b", (f"{here}:_outer",)), Stage("c", (here,))])
    assert _outer(first, _inner) == "a"
    assert _outer(first, _elsewhere) == "b"
    assert _elsewhere(first) == "c"
    assert _elsewhere(StageClock([Stage("a", ("/nowhere/",))])) == OTHER


def test_all_cpu_time_is_given_to_some_stage():
    import time

    with sampled([Stage("work", ("/test_stages.py:_work",))]) as clock:
        _work(time.process_time() + 0.2)
    end = time.process_time()
    assert clock.use["work"].cpu_seconds > 0
    assert clock.use["work"].peak_mb > 0
    assert abs(sum(use.cpu_seconds for use in clock.use.values()) - end) < 0.1


def _work(until):
    import time

    while time.process_time() < until:
        pass


def test_places_of_the_sides_exist():
    """A module that was renamed would silently count as another stage."""
    import datatrove

    import data_pipeline

    for stages, package in ((OURS, data_pipeline), (DATATROVE, datatrove)):
        from pathlib import Path

        root = Path(package.__file__).parent
        paths = [f"{path}{'/' if path.is_dir() else ''}" for path in [root, *root.rglob("*")]]
        for stage in stages:
            for place in stage.places:
                path, _, function = place.partition(":")
                if path.startswith("<"):
                    continue
                found = [known for known in paths if path in known]
                assert found, place
                if function:
                    texts = [Path(known).read_text() for known in found if known.endswith(path)]
                    assert any(f"def {function}(" in text or f"class {function}(" in text for text in texts), place
