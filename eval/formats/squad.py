"""SQuAD 1.1 and 2.0 JSON: paragraphs with questions and answer spans (COVID-QA, and emrQA's SQuAD-form copies).

An answer whose offset does not point at its text is moved to the nearest occurrence and counted; where its text occurs
nowhere in the context it is kept with offset -1: such an answer cannot be trained on and is still scored.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from data_pipeline.files import write_json
from eval.examples import Answer, Example, Question, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError


class Squad(Format):
    name = "squad"
    tasks: tuple[Task, ...] = ("mqa",)
    suffixes: tuple[str, ...] = (".json",)

    def read(self, path: Path, reading: Reading) -> tuple[Question, ...]:
        content = load_object(path)
        try:
            questions = tuple(
                _question(question, paragraph, f"{article_number}.{number}", reading)
                for article_number, article in enumerate(content["data"])
                for number, paragraph in enumerate(article["paragraphs"])
                for question in paragraph["qas"]
            )
        except KeyError as error:
            raise NotemillError(f"{path} is not in SQuAD's form: {error} is missing.") from None
        except (TypeError, AttributeError):
            raise NotemillError(
                f"{path} is not in SQuAD's form: data > paragraphs > qas are lists of objects, answer_start a number, "
                "the rest texts."
            ) from None
        twice = next((key for key, count in Counter(each.id for each in questions).items() if count > 1), None)
        if twice is not None:
            raise NotemillError(f"{path} has two questions '{twice}'; answers go by that id, so give each its own.")
        return questions

    def write(self, folder: Path, examples: Sequence[Example], predictions: dict[str, str]) -> Path:
        path = folder / "predictions.json"
        write_json(path, predictions)
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        content = load_object(path)
        for key, value in content.items():
            if not isinstance(value, str):
                raise NotemillError(
                    f"{path}: the answer to question '{key}' is no text; give one text a question, \"\" where there is "
                    "none and no list of candidates."
                )
        known = {example.id for example in examples}
        reading.notes["answers to questions that gold does not have left"] += len(content.keys() - known)
        return {key: value for key, value in content.items() if key in known}


def load_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises NotemillError."""
    try:
        content = orjson.loads(read_text(path))
    except orjson.JSONDecodeError:
        raise NotemillError(f"{path} is not valid JSON.") from None
    if not isinstance(content, dict):
        raise NotemillError(f"{path} must hold a JSON object.")
    return content


def _question(question: dict[str, Any], paragraph: dict[str, Any], place: str, reading: Reading) -> Question:
    context = paragraph["context"]
    answers = [] if question.get("is_impossible") else question["answers"]
    document = paragraph.get("document_id", place)
    if not all(isinstance(value, str) for value in (context, question["question"], *(a["text"] for a in answers))):
        raise TypeError
    return Question(
        id=str(question["id"]),
        document_id=str(document),
        context=context,
        question=question["question"],
        answers=tuple(_aligned(answer["text"], answer["answer_start"], context, reading) for answer in answers),
    )


def _aligned(text: str, start: int, context: str, reading: Reading) -> Answer:
    if context[start : start + len(text)] == text:
        return Answer(text, start)
    before, after = context.rfind(text, 0, max(start, 0) + len(text)), context.find(text, max(start, 0))
    found = [place for place in (before, after) if place >= 0]
    if not found:
        reading.notes["answers whose text is nowhere in the context"] += 1
        return Answer(text, -1)
    reading.notes["answers moved to their nearest occurrence"] += 1
    return Answer(text, min(found, key=lambda place: abs(place - start)))
