"""emrQA: questions about whole notes in data.json, with the evidence lines that answer them.

    {"data": [{"title": "medication", "paragraphs": [{"note_id": …, "context": [line, …], "qas": [
        {"question": [paraphrase, …], "answers": [{"text": …, "answer_start": [line, word],
                                                   "evidence": line, "evidence_start": line number}]}]}]}]}

Lines count from 1 and words from 0; evidence and its start may be lists of pieces, offsets may be characters. As
published scores do, the answer is the evidence; `?answer=text` asks for the concept itself. Titles medication and
relations are read, or one with `?title=`. Each paraphrase is a question of its own. Complex answers, which combine
several places, and questions that have no others are counted and left, as in the published preparation (Yue et al.,
ACL 2020, https://aclanthology.org/2020.acl-main.410).

The release has no splits: a seeded fifth of its notes is the test split here, as there.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eval.examples import Answer, Example, Question
from eval.formats.base import Reading, find_splits
from eval.formats.places import nearest, squeeze
from eval.formats.squad import Squad, load_object
from eval.splits import SPLIT_SEED, divide
from launch.errors import NotemillError

TEST_SHARE = 0.2
_FILE = "data.json"
_TITLES = ("medication", "relations")


class EmrQa(Squad):
    name = "emrqa"
    options = {"title": ("both", *_TITLES), "answer": ("evidence", "text")}  # noqa: RUF012

    def read_splits(self, path: Path, reading: Reading) -> dict[str, tuple[Example, ...]]:
        file = path / _FILE if path.is_dir() else path
        if path.is_dir() and not file.is_file():
            return {split: self.read(each, reading) for split, each in find_splits(path, self.suffixes).items()}
        questions = self.read(file, reading)
        train, test = divide(questions, TEST_SHARE, str(file), SPLIT_SEED)
        reading.notes["questions moved to test, as the release has no splits"] = len(test)
        return {"train": train, "test": test}

    def read(self, path: Path, reading: Reading) -> tuple[Question, ...]:
        try:
            return tuple(self._questions(load_object(path), reading))
        except KeyError as error:
            raise NotemillError(f"{path} is not in emrQA's form: {error} is missing.") from None
        except (TypeError, AttributeError, ValueError, IndexError):
            raise NotemillError(
                f"{path} is not in emrQA's form: data > paragraphs > qas are lists of objects, starts are numbers."
            ) from None

    def _questions(self, content: dict[str, Any], reading: Reading) -> Iterator[Question]:
        title = self.option(reading, "title")
        seen: Counter[tuple[str, Any]] = Counter()
        # The parts before they are combined (medication-qa.json) are one entry of data.
        for part in content.get("data", [content]):
            if part["title"] not in (_TITLES if title == "both" else (title,)):
                asked = (qa["question"] for note in part["paragraphs"] for qa in note["qas"])
                reading.notes["questions of other titles left"] += sum(len(_list(each)) for each in asked)
                continue
            for number, note in enumerate(part["paragraphs"]):
                key = note.get("note_id", number)
                seen[part["title"], key] += 1
                # Ids of questions differ also where a note comes twice.
                again = f"+{seen[part['title'], key] - 1}" if seen[part["title"], key] > 1 else ""
                yield from self._of_note(note, f"{part['title']}/{key}", again, reading)

    def _of_note(self, note: dict[str, Any], prefix: str, again: str, reading: Reading) -> Iterator[Question]:
        finder = _Finder(note["context"], reading)
        find = finder.evidence if self.option(reading, "answer") == "evidence" else finder.concept
        document = prefix.partition("/")[2]
        for number, qa in enumerate(note["qas"]):
            paraphrases = _list(qa["question"])
            simple = [answer for answer in qa["answers"] if answer.get("answer_entity_type") != "complex"]
            reading.notes["complex answers left"] += len(qa["answers"]) - len(simple)
            answers = tuple(dict.fromkeys(answer for each in simple for answer in find(each)))
            if not answers:
                reading.notes["questions without an answer left"] += len(paraphrases)
                continue
            for index, question in enumerate(paraphrases):
                yield Question(f"{prefix}{again}/{number}/{index}", document, finder.text, question.strip(), answers)


class _Finder:
    """The answers of one note, each place looked for once."""

    def __init__(self, context: str | list[str], reading: Reading) -> None:
        lines = [f"{line}\n" for line in context.split("\n")] if isinstance(context, str) else context
        if not isinstance(context, str) and any("\n" not in line for line in lines[:-1]):
            lines = [f"{line}\n" for line in lines]
        self.text = "".join(lines)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))
        self.lines = lines
        self.reading = reading
        self._found: dict[tuple[str, int], tuple[Answer, ...]] = {}

    def evidence(self, answer: dict[str, Any]) -> list[Answer]:
        """Each piece of evidence; its start is the number of a line, a line and a word, or a character."""
        pieces, starts = _list(answer["evidence"]), _list(answer.get("evidence_start", answer.get("answer_start", 1)))
        places = [self._evidence_start(start) for start in starts]
        places += places[-1:] * (len(pieces) - len(places))
        return self._all(pieces, places, self._piece)

    def concept(self, answer: dict[str, Any]) -> list[Answer]:
        """The concept that answers; its start is a line and a word, several of those, or a character."""
        start = answer["answer_start"]
        if isinstance(start, int):
            places = [start]
        else:
            pairs = [start] if isinstance(start[0], int) else start
            places = [self._word(*map(int, pair)) for pair in pairs]
        pieces = _list(answer["text"])
        places += places[-1:] * (len(pieces) - len(places))
        return self._all(pieces, places, self._whole)

    def _all(
        self, pieces: list[str], places: list[int], find: Callable[[str, int], tuple[Answer, ...]]
    ) -> list[Answer]:
        answers: list[Answer] = []
        for piece, start in zip(pieces, places, strict=False):
            key = piece, start
            if piece.strip() and key not in self._found:
                self._found[key] = find(piece, start)
            answers += self._found.get(key, ())
        return answers

    def _piece(self, evidence: str, start: int) -> tuple[Answer, ...]:
        """Evidence of several lines is given as lines joined by commas; each is then an answer."""
        span = nearest(self.text, evidence, start)
        if span is None and "\n" in evidence.strip():
            parts = [part.removeprefix(",") for part in evidence.split("\n")]
            return tuple(answer for part in parts if part.strip() for answer in self._whole(part, start))
        return self._whole(evidence, start)

    def _whole(self, surface: str, start: int) -> tuple[Answer, ...]:
        span = nearest(self.text, surface, start) or nearest(self.text, surface, start, ignore_case=True)
        if span is None:
            self.reading.notes["answers whose text is nowhere in the context"] += 1
            return (Answer(squeeze(surface), -1),)
        return (Answer(self.text[slice(*span)], span[0]),)

    def _evidence_start(self, start: Any) -> int:
        number = int(start[0] if isinstance(start, list) else start)
        # A number beyond the last line is a character's.
        return self.starts[self._line(number)] if number <= len(self.lines) else number

    def _line(self, number: int) -> int:
        return min(max(number, 1), len(self.lines)) - 1

    def _word(self, line: int, word: int) -> int:
        index = self._line(line)
        before = self.lines[index].split()[:word]
        return self.starts[index] + sum(len(each) + 1 for each in before)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
