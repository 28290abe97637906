"""emrQA: evidence and concepts found in whole notes, paraphrases, and a test split of whole notes."""

import json

import pytest

from eval.examples import Answer
from eval.formats import load_dataset
from launch.errors import NotemillError
from tests.eval.formats import releases


def read(folder, query="", **changes):
    note = releases.emrqa_note("7") | changes
    path = releases.put(folder / "medication-qa.json", json.dumps({"title": "medication", "paragraphs": [note, note]}))
    folder = folder / "split"
    folder.mkdir()
    (folder / "test.json").write_text(path.read_text())
    dataset = load_dataset("mqa", f"emrqa:{folder}{query}")
    return dataset, dataset.splits["test"][: len(dataset.splits["test"]) // 2]


def test_evidence_lines_answer_every_paraphrase(tmp_path):
    dataset, questions = read(tmp_path)
    first, second, why, everything, thinner = questions
    assert (first.question, second.question) == ("What does he take?", "Which drug?")
    assert first.answers == second.answers == (Answer("He takes  Aspirin 81 mg daily .", 10),)
    assert [answer.text for answer in why.answers] == ["It is for chest pain", "as before ."]
    assert [answer.text for answer in everything.answers] == ["He takes  Aspirin 81 mg daily .", "It is for chest pain"]
    assert thinner.answers == (Answer("He takes warfarin", -1),)
    for question in questions[:-1]:
        for answer in question.answers:
            assert question.context[answer.start : answer.start + len(answer.text)] == answer.text
    assert dataset.notes == {
        "answers whose text is nowhere in the context": 2,
        "complex answers left": 4,
        "questions without an answer left": 2,
    }


def test_the_concept_itself_stands_at_its_word(tmp_path):
    _, questions = read(tmp_path, "?answer=text")
    assert [question.answers[0] for question in questions[:3]] == [
        Answer("Aspirin", 20),
        Answer("Aspirin", 20),
        Answer("chest pain", 52),
    ]


@pytest.mark.parametrize(("start", "expected"), [([2, 0], 4), ([[2, 0]], 4), (0, 0), (7, 4)])
def test_a_start_is_a_line_and_a_word_or_a_character(tmp_path, start, expected):
    answer = {"text": "ab", "answer_start": start, "evidence": "ab", "evidence_start": 2}
    qas = [{"id": "1", "question": "q?", "answers": [answer]}]
    _, (question,) = read(tmp_path, "?answer=text", context="ab\n\nab ", qas=qas)
    assert question.answers == (Answer("ab", 0 if expected == 0 else 4),)


@pytest.mark.parametrize(("start", "expected"), [(1, 0), (2, 3), ([2, 0], 3), (3, 6), (6, 6), (4, 3)])
def test_evidence_starts_at_a_line_or_a_character_beyond_the_lines(tmp_path, start, expected):
    answer = {"text": "x", "answer_start": [1, 0], "evidence": "ab\n", "evidence_start": start}
    qas = [{"id": "1", "question": ["q?"], "answers": [answer]}]
    _, (question,) = read(tmp_path, context=["ab", "ab", "ab"], qas=qas)
    assert question.answers == (Answer("ab", expected),)


def test_titles_are_chosen_and_whole_notes_tested(tmp_path):
    root = releases.emrqa(tmp_path)
    both = load_dataset("mqa", f"emrqa:{root}")
    notes = {split: {question.document_id for question in examples} for split, examples in both.splits.items()}
    assert len(notes["test"]) == 2 and not notes["test"] & notes["train"]
    assert both.notes["questions of other titles left"] == 6
    assert both.notes["questions moved to test, as the release has no splits"] == len(both.splits["test"])
    assert load_dataset("mqa", f"emrqa:{root / 'data.json'}").splits == both.splits
    relations = load_dataset("mqa", f"emrqa:{root}?title=relations")
    assert all(question.id.startswith("relations/") for question in relations.splits["train"])
    assert len({question.id for split in both.splits.values() for question in split}) == 15 * 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"secret', "is not valid JSON"),
        ('["secret"]', "must hold a JSON object"),
        ('{"data": [{"title": "medication"}]}', "'paragraphs' is missing"),
        ('{"data": [{"title": "medication", "paragraphs": ["secret"]}]}', "not in emrQA's form: data"),
        (
            '{"data": [{"title": "medication", "paragraphs": [{"context": ["secret"], "qas": [{"question": "q", '
            '"answers": [{"evidence": "secret", "evidence_start": "secret"}]}]}]}]}',
            "starts are numbers",
        ),
    ],
)
def test_another_form_is_refused(tmp_path, content, problem):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(NotemillError, match=problem) as refused:
        load_dataset("mqa", f"emrqa:{tmp_path}")
    assert "secret" not in str(refused.value)


def test_questions_of_a_note_that_comes_twice_have_ids_of_their_own(tmp_path):
    note = releases.emrqa_note("1")
    path = releases.put(
        tmp_path / "test.json", json.dumps({"data": [{"title": "medication", "paragraphs": [note, note]}]})
    )
    questions = [*load_dataset("mqa", f"emrqa:{path.parent}").splits["test"]]
    assert len({question.id for question in questions}) == len(questions)
    assert {question.document_id for question in questions} == {"1"}
    assert questions[0].id == "medication/1/0/0"
