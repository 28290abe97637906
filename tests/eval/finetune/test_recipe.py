import dataclasses
from pathlib import Path
from typing import cast

import pytest
import yaml

from eval.examples import TASKS, Task
from eval.finetune.loop import lr_factor
from eval.finetune.recipe import RECIPES, load_recipe
from eval.formats import formats_of
from eval.suite import load_suite
from launch.errors import NotemillError

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "eval"


@pytest.mark.parametrize("task", TASKS)
def test_shipped_recipes_are_the_defaults(task: Task) -> None:
    assert load_recipe(task, CONFIGS / f"{task}.yaml") == RECIPES[task]()


@pytest.mark.parametrize("name", ["public", "demo", "clinical", "long_cls"])
def test_shipped_suites_load_with_every_recipe(name: str) -> None:
    suite = load_suite(CONFIGS / f"{name}.yaml")
    assert suite.tasks
    for task in suite.tasks:
        assert task.format in formats_of(cast(Task, task.task)), f"{name}.yaml: {task.name}"


def test_every_shipped_file_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*TASKS, "long_cls", "public", "demo", "clinical"}


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"epochs": 3, "lr": 1e-4}))
    recipe = load_recipe("ner", file, ["epochs=7", "seeds=[5]"])
    assert (recipe.epochs, recipe.lr, recipe.seeds, recipe.stride) == (7, 1e-4, [5], 384)


@pytest.mark.parametrize(
    ("task", "setting", "told"),
    [
        ("ner", "epoch=3", "did you mean 'epochs'"),
        ("ner", "negatives=1", "unknown key 'negatives'"),
        ("sts", "lr=0", "lr is 0"),
        ("sts", "warmup=2", "warmup is 2"),
        ("cls", "seeds=[]", "seeds is []"),
        ("mqa", "max_question=510", "leaves no room"),
        ("nli", "train_fraction=0", "train_fraction is 0"),
    ],
)
def test_wrong_recipes_are_told(task: Task, setting: str, told: str) -> None:
    with pytest.raises(NotemillError) as error:
        load_recipe(task, None, [setting])
    assert told in str(error.value)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    factors = [lr_factor(step, 100, 0.1) for step in range(101)]
    assert max(factors) == factors[10] == 1.0
    assert factors[:11] == sorted(factors[:11]) and factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[0] > 0 and factors[100] == 0.0


def test_recipe_fields_are_documented() -> None:
    """Every field carries a line of prose, which is what a user has."""
    source = (Path(__file__).resolve().parents[3] / "eval" / "finetune" / "recipe.py").read_text()
    for name in {field.name for recipe in RECIPES.values() for field in dataclasses.fields(recipe)}:
        assert f"    {name}: " in source
        assert '"""' in source.split(f"    {name}: ", 1)[1].split("\n")[1], name


@pytest.mark.parametrize(
    ("task", "setting"),
    [
        *[
            ("mqa", f"{key}=.{value}")
            for key in ("lr", "weight_decay", "warmup", "negatives")
            for value in ("nan", "inf")
        ],
        *[("ner", f"{key}=.nan") for key in ("train_fraction", "hidden_dropout", "attention_dropout", "head_dropout")],
        ("ner", "class_weights={A: .inf}"),
        ("ner", "search.lr=[1e-5,.nan]"),
        ("ner", "seeds=[4294967296]"),
        ("ner", "seeds=[0,1000000000000000000000]"),
    ],
)
def test_values_that_no_training_can_use_are_refused(task: Task, setting: str) -> None:
    with pytest.raises(NotemillError, match=r"does not hold together|seeds"):
        load_recipe(task, None, [setting])
