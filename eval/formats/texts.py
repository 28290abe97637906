"""Every text of a task set, whatever the task: for those who must know what an evaluation holds, not what it asks."""

from collections.abc import Iterator

from eval.examples import TASKS, Document, Example, LabelledText, Question, RelationCandidate, SentencePair
from eval.formats import FORMATS, load_dataset
from launch.errors import NotemillError


def read_texts(spec: str) -> list[str]:
    """The different texts of all splits that `FORMAT:PATH` points at, in their order.

    A format that holds several tasks is read as the first whose columns are there. Raises NotemillError as
    `load_dataset` does.
    """
    name = spec.partition(":")[0]
    tasks = [task for task in TASKS if any(item.name == name and task in item.tasks for item in FORMATS)]
    if not tasks:
        known = ", ".join(dict.fromkeys(item.name for item in FORMATS))
        raise NotemillError(f"'{spec}' is not FORMAT:PATH; formats of evaluation sets are {known}.")
    refusals = []
    for task in tasks:
        try:
            dataset = load_dataset(task, spec)
        except NotemillError as error:
            refusals.append(str(error))
            continue
        examples = (example for split in dataset.splits.values() for example in split)
        return list(dict.fromkeys(text for example in examples for text in _texts(example)))
    raise NotemillError(refusals[0])


def _texts(example: Example) -> Iterator[str]:
    if isinstance(example, Document | RelationCandidate | LabelledText):
        yield example.text
    elif isinstance(example, SentencePair):
        yield from (example.first, example.second)
    elif isinstance(example, Question):
        yield from (example.context, example.question)
