"""The head of each task."""

from typing import Any

from eval.examples import Dataset, Task
from eval.finetune.head import Head
from eval.finetune.recipe import Recipe
from eval.finetune.text import TextEncoder


def make_head(task: Task, dataset: Dataset, text: TextEncoder, recipe: Recipe) -> Head[Any]:
    """Build the task's head on the training split. Raises NotemillError where that split cannot teach it."""
    from eval.finetune.cls import ClsHead
    from eval.finetune.mqa import MqaHead
    from eval.finetune.ner import NerHead
    from eval.finetune.nli import NliHead
    from eval.finetune.re import ReHead
    from eval.finetune.sts import StsHead

    heads: dict[str, type[Head[Any]]] = {
        "ner": NerHead,
        "re": ReHead,
        "sts": StsHead,
        "nli": NliHead,
        "mqa": MqaHead,
        "cls": ClsHead,
    }
    head = heads[task](dataset, text, recipe)
    text.add_tokens(head.extra_tokens)
    return head
