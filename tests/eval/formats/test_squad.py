"""SQuAD form: misaligned answers, answers that are nowhere, questions without any."""

import json

import pytest

from eval.examples import Answer
from eval.formats import load_dataset, read_predictions
from eval.score_files import score_files
from launch.errors import NotemillError


def read(folder, *questions, context="the cat saw the cat sit"):
    qas = [{"id": number, "question": "q", **question} for number, question in enumerate(questions)]
    path = folder / "test.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))
    return load_dataset("mqa", f"squad:{path}")


def test_a_misaligned_answer_moves_to_its_nearest_occurrence(tmp_path):
    asked = [{"answers": [{"text": "cat", "answer_start": start}]} for start in (4, 6, 14, 22, 0)]
    dataset = read(tmp_path, *asked)
    assert [question.answers[0].start for question in dataset.splits["test"]] == [4, 4, 16, 16, 4]
    assert dataset.notes == {"answers moved to their nearest occurrence": 4}


def test_an_answer_that_is_nowhere_is_kept_and_counted(tmp_path):
    dataset = read(tmp_path, {"answers": [{"text": "dog", "answer_start": 4}]})
    assert dataset.splits["test"][0].answers == (Answer("dog", -1),)
    assert dataset.notes == {"answers whose text is nowhere in the context": 1}


def test_an_impossible_question_has_no_answers(tmp_path):
    plausible = {"answers": [{"text": "cat", "answer_start": 4}], "is_impossible": True}
    assert read(tmp_path, plausible).splits["test"][0].answers == ()


def test_another_json_is_refused(tmp_path):
    path = tmp_path / "test.json"
    path.write_text('{"rows": []}')
    with pytest.raises(NotemillError, match="not in SQuAD's form"):
        load_dataset("mqa", f"squad:{path}")


def test_two_questions_of_one_id_are_refused(tmp_path):
    with pytest.raises(NotemillError, match="two questions '7'"):
        read(tmp_path, {"id": 7, "answers": []}, {"id": 7, "answers": []})


def test_a_question_without_text_is_refused(tmp_path):
    with pytest.raises(NotemillError, match="not in SQuAD's form"):
        read(tmp_path, {"question": None, "answers": []})


@pytest.mark.parametrize("answer", [None, ["secret"], [{"text": "secret"}], 5])
def test_answers_that_are_no_texts_are_refused(tmp_path, answer):
    dataset = read(tmp_path, {"answers": [{"text": "cat", "answer_start": 4}]})
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"0": answer}))
    with pytest.raises(NotemillError, match="the answer to question '0' is no text") as refused:
        read_predictions("mqa", "squad", path, dataset.splits["test"])
    assert "secret" not in str(refused.value)


def test_answers_to_other_questions_are_counted(tmp_path):
    dataset = read(tmp_path, {"answers": [{"text": "cat", "answer_start": 4}]})
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"0": "cat", "1": "dog"}))
    notes = score_files("mqa", f"squad:{dataset.path}", path)["notes"]
    assert notes == {"predictions: answers to questions that gold does not have left": 1}
