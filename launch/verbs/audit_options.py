"""What the backdoor commands share: the recipe of a classifier, and lists written on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from launch.errors import NotemillError

if TYPE_CHECKING:
    from eval.finetune.recipe import ClsRecipe


def backdoor_recipe(settings: list[str] | None) -> "ClsRecipe":
    """`key=value` as `notemill eval run --task cls` takes them; one seed, no search. Raises NotemillError."""
    from eval.finetune.recipe import load_recipe

    recipe = cast("ClsRecipe", load_recipe("cls", None, ["seeds=[0]", *(settings or [])]))
    if len(recipe.seeds) > 1 or recipe.search:
        raise NotemillError("an audit trains one model: give seeds=[N] with a single seed, and no search.")
    return recipe


def parse_heads(text: str) -> tuple[tuple[int, int], ...]:
    """`0.1,1.3` as pairs of layer and head. Raises NotemillError."""
    heads = []
    for part in filter(None, text.split(",")):
        layer, dot, head = part.strip().partition(".")
        if not dot or not layer.isdigit() or not head.isdigit():
            raise NotemillError(f"'{part}' is no head; write LAYER.HEAD, counted from 0, such as 0.1,1.3.")
        heads.append((int(layer), int(head)))
    return tuple(heads)


def read_words(path: Path | None) -> tuple[str, ...]:
    """Words of a file, one a line. Raises NotemillError."""
    if path is None:
        return ()
    try:
        return tuple(filter(None, (line.strip() for line in path.read_text(encoding="utf-8").splitlines())))
    except (OSError, UnicodeDecodeError) as error:
        raise NotemillError(f"cannot read the words of {path}: {error}.") from None
