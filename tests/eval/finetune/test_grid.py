import pytest

from eval.finetune.grid import trial_settings
from eval.finetune.recipe import load_recipe, trials_of
from launch.errors import NotemillError


def test_a_grid_is_every_combination() -> None:
    settings = trial_settings({"lr": [1, 2], "epochs": [3, 5]})
    assert settings == [
        {"lr": 1, "epochs": 3}, {"lr": 1, "epochs": 5}, {"lr": 2, "epochs": 3}, {"lr": 2, "epochs": 5},
    ]  # fmt: skip
    assert trial_settings({}) == []


def test_trials_are_different_combinations_and_the_same_each_time() -> None:
    search = {"lr": [1, 2, 3], "epochs": [3, 5], "trials": 4}
    drawn = trial_settings(search)
    assert drawn == trial_settings(search)
    assert len({repr(one) for one in drawn}) == 4
    assert all(one in trial_settings({"lr": [1, 2, 3], "epochs": [3, 5]}) for one in drawn)
    assert len(trial_settings(search | {"trials": 60})) == 6


def test_trials_keep_the_rest_of_the_recipe() -> None:
    recipe = load_recipe(
        "nli",
        None,
        ["search.lr=[1e-5,3e-5]", "search.pooling=[mean]", "class_weights={a: 2}", "seeds=[4,5]"],
    )
    (settings, first), (_, second) = trials_of(recipe)
    assert settings == {"lr": 1e-5, "pooling": "mean"}
    assert (first.lr, second.lr, first.seeds, first.search) == (1e-5, 3e-5, [4], {})
    assert (first.pooling, first.class_weights) == ("mean", {"a": 2})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["search.rate=[1,2]"], "search names 'rate'"),
        (["search.seeds=[1,2]"], "search names 'seeds'"),
        (["search.lr=1e-5"], "search.lr is 1e-05 but must be a list"),
        (["search.lr=[]"], r"search.lr is \[\]"),
        (["search.lr=[1e-5,1e-5]"], "different values"),
        (["search.lr=[1e-5]", "search.trials=0"], "search.trials is 0"),
        (["search.trials=3"], "lists no values"),
        (["search.lr=[1e-5,0]"], "lr is 0"),
        (["search.epochs=[1,many]"], "epochs"),
        (["search.pooling=[cls,max]"], "pooling"),
    ],
)
def test_wrong_searches_are_told_before_anything_runs(settings: list[str], told: str) -> None:
    with pytest.raises(NotemillError, match=told):
        load_recipe("nli", None, settings)


@pytest.mark.parametrize("weights", ["some", "{}", "{a: much}", "{a: -1}", "3"])
def test_wrong_class_weights_are_told(weights: str) -> None:
    with pytest.raises(NotemillError, match="class_weights is"):
        load_recipe("cls", None, [f"class_weights={weights}"])


def test_class_weights_are_for_tasks_with_classes() -> None:
    with pytest.raises(NotemillError, match="unknown key 'class_weights'"):
        load_recipe("sts", None, ["class_weights=balanced"])
