"""i2b2 2010: places by line and word, assertions and relations of concepts, and what is wrong named by line."""

import pytest

from eval.candidates import make_candidates
from eval.examples import Entity
from eval.formats import load_dataset, read_predictions, write_predictions
from eval.score_files import score_files
from launch.errors import NotemillError
from tests.eval.formats import releases


def read(folder, task="ner", text=releases.NOTE_2010, con=releases.CON_2010, ast=releases.AST_2010, rel=""):
    for suffix, content in (("txt", text), ("con", con), ("ast", ast), ("rel", rel)):
        releases.put(folder / f"1.{suffix}", content)
    dataset = load_dataset(task, f"i2b2_2010:{folder}")
    return dataset, dataset.splits["test"]


def surfaces(document):
    return [document.text[entity.start : entity.end] for entity in document.entities]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_places_are_lines_and_words(tmp_path, ends):
    _, (document,) = read(tmp_path, text="\ufeff" + releases.NOTE_2010.replace("\n", ends))
    assert surfaces(document) == ["chest pain", "Aspirin", "CT of the head", "bleed"]
    words = [document.text[slice(*word)] for word in document.tokens]
    assert words[-5:] == ["head", "showed", "no", "bleed", "."]


def test_a_line_is_a_sentence(tmp_path):
    _, (document,) = read(tmp_path, "re", rel=releases.REL_2010)
    candidates, out_of_reach = make_candidates([document], None, max_sentence_distance=0)
    assert {candidate.text for candidate in candidates} == {
        "He denies chest pain , naïve to Aspirin .\n",
        "CT of the head  showed no bleed .\n",
    }
    assert not out_of_reach


def test_a_concept_may_cross_a_line(tmp_path):
    _, (document,) = read(
        tmp_path, text="high blood\npressure .\n", con='c="high blood pressure" 1:0 2:0||t="problem"\n'
    )
    assert document.entities == (Entity("T1", "problem", ((0, 19),)),)


def test_quotation_marks_and_bars_in_a_concept(tmp_path):
    dataset, (document,) = read(tmp_path, text='a "so||called" b\n', con='c=""so||called"" 1:1 1:1||t="problem"\n')
    assert (surfaces(document), dataset.notes) == (['"so||called"'], {})
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    assert (out / "concept" / "1.con").read_text() == 'c=""so||called"" 1:1 1:1||t="problem"\n'


def test_what_is_not_kept_as_it_stands_is_counted(tmp_path):
    con = releases.CON_2010 + 'c="aspirin" 3:7 3:7||t="treatment"\nc="warfarin" 3:0 3:0||t="treatment"\n'
    rel = releases.REL_2010 * 2 + 'c="none" 3:1 3:1||r="PIP"||c="bleed" 4:6 4:6\n'
    dataset, (document,) = read(tmp_path, "re", con=con, rel=rel)
    assert dataset.notes == {
        "concepts given twice, left once": 1,
        "concepts kept whose text differs from their place": 1,
        "relations given twice, left once": 2,
        "relations without both concepts left": 1,
    }
    assert [relation.label for relation in document.relations] == ["TrAP", "TeRP"]


def test_a_relation_takes_the_concept_of_its_kind(tmp_path):
    con = 'c="chest pain" 3:2 3:3||t="test"\n' + releases.CON_2010
    _, (document,) = read(tmp_path, "re", con=con, rel=releases.REL_2010)
    label_of = {entity.id: entity.label for entity in document.entities}
    assert [(label_of[r.head], label_of[r.tail]) for r in document.relations] == [
        ("treatment", "problem"),
        ("test", "problem"),
    ]


def test_assertions_are_problems_marked_in_their_line(tmp_path):
    dataset, (first, second) = read(tmp_path, "cls")
    assert (first.text, first.label) == ("He denies [s1] chest pain [e1] , naïve to Aspirin .", "absent")
    assert (second.text, second.label) == (
        "CT of the head  showed no [s1] bleed [e1] .",
        "associated_with_someone_else",
    )
    out = write_predictions(dataset, "test", ["present", "possible"], tmp_path / "out")
    assert (out / "ast" / "1.ast").read_text() == (
        'c="chest pain" 3:2 3:3||t="problem"||a="present"\nc="bleed" 4:6 4:6||t="problem"||a="possible"\n'
    )
    assert read_predictions("cls", "i2b2_2010", out, [first, second]) == ["present", "possible"]
    (out / "ast" / "1.ast").write_text('c="bleed" 4:6 4:6||t="problem"||a="possible"\n')
    with pytest.raises(NotemillError, match="lacks assertions for 1 of 2 problems, the first is 1 3:2 3:3"):
        read_predictions("cls", "i2b2_2010", out, [first, second])


def test_predictions_need_not_be_in_folders(tmp_path):
    _, gold = read(tmp_path, "re", rel=releases.REL_2010)
    releases.put(tmp_path / "other" / "1.rel", releases.REL_2010)
    (predicted,) = read_predictions("re", "i2b2_2010", tmp_path / "other", gold)
    assert predicted.relations == gold[0].relations


def test_a_predicted_relation_of_no_concept_is_wrong_and_counted(tmp_path):
    read(tmp_path, "re", rel=releases.REL_2010)
    stray = 'c="he denies" 3:0 3:1||r="TrAP"||c="chest pain" 3:2 3:3\n'
    releases.put(tmp_path / "other" / "1.rel", releases.REL_2010 + stray)
    scores = score_files("re", f"i2b2_2010:{tmp_path / '1.con'}", tmp_path / "other")
    assert (scores["metrics"]["precision"], scores["metrics"]["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert scores["notes"] == {"predictions: relations without both concepts counted as wrong": 1}


@pytest.mark.parametrize(
    ("task", "files", "problem"),
    [
        ("ner", {"con": 'c="secret" 3:2||t="problem"\n'}, r"1\.con line 1 is not in the form"),
        ("ner", {"con": releases.CON_2010 + "secret\n"}, r"1\.con line 5 is not in the form"),
        ("ner", {"con": 'c="secret" 9:2 9:2||t="problem"\n'}, r"1\.con line 1 points at 9:2 9:2"),
        ("ner", {"con": 'c="secret" 3:2 3:99||t="problem"\n'}, r"line 1 points at 3:2 3:99"),
        ("ner", {"con": 'c="secret" 3:3 3:2||t="problem"\n'}, r"line 1 points at 3:3 3:2"),
        ("ner", {"con": 'c="secret" 0:0 0:0||t="problem"\n'}, r"line 1 points at 0:0 0:0"),
        ("ner", {"text": b"caf\xe9 secret"}, r"1\.txt is not UTF-8 \(byte 3\)"),
        ("re", {"rel": 'c="secret" 3:2 3:3||r="PIP"\n'}, r"1\.rel line 1 is not in the form"),
        ("cls", {"ast": 'c="secret" 3:2 3:3||t="problem"\n'}, r"1\.ast line 1 is not in the form"),
    ],
)
def test_a_broken_line_is_named_without_its_text(tmp_path, task, files, problem):
    with pytest.raises(NotemillError, match=problem) as refused:
        read(tmp_path, task, **files)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("task", "suffix", "problem"), [("ner", "txt", r"has no 1\.txt"), ("cls", "ast", r"has no 1\.ast")]
)
def test_a_missing_file_is_named(tmp_path, task, suffix, problem):
    read(tmp_path, task)
    (tmp_path / f"1.{suffix}").unlink()
    with pytest.raises(NotemillError, match=problem):
        load_dataset(task, f"i2b2_2010:{tmp_path}")


def test_notes_without_concepts_are_counted(tmp_path):
    root = releases.i2b2_2010(tmp_path)
    releases.put(root / "concept_assertion_relation_training_data" / "partners" / "unannotated" / "9.txt", "x\n")
    releases.put(root / "test_data" / "0003.txt", "x\n")
    releases.put(root / "reference_standard_for_test_data" / "rel" / "0003.rel", "")
    dataset = load_dataset("ner", f"i2b2_2010:{root}")
    assert (dataset.notes["texts without concepts left"], dataset.notes["relation files without concepts left"]) == (
        2,
        1,
    )
