"""BRAT: offsets, events, discontinuous mentions, and what is counted instead of kept."""

from collections import Counter

import pytest

from eval.examples import Relation
from eval.formats import load_dataset, read_predictions, write_predictions
from launch.errors import NotemillError


def read(folder, annotations, text="fever and chest pain\r\nsince May", task="re"):
    split = folder / "test"
    split.mkdir()
    (split / "1.txt").write_bytes(text.encode())
    (split / "1.ann").write_bytes(annotations.encode())
    dataset = load_dataset(task, f"brat:{folder}")
    return dataset, dataset.splits["test"][0]


def test_offsets_count_carriage_returns_as_the_file_has_them(tmp_path):
    _, document = read(tmp_path, "T1\tDATE 28 31\tMay\r\n")
    assert document.text[28:31] == "May"
    assert document.entities[0].spans == ((28, 31),)


def test_events_stand_for_their_trigger(tmp_path):
    annotations = "T1\tSYMPTOM 0 5\tfever\nT2\tDATE 28 31\tMay\nE1\tSYMPTOM:T1 Cause:T2\nR1\tSINCE Arg1:E1 Arg2:T2\t\n"
    dataset, document = read(tmp_path, annotations)
    assert document.relations == (Relation("R1", "SINCE", "T1", "T2"), Relation("E1.1", "Cause", "T1", "T2"))
    assert dataset.notes == {}


def test_arguments_of_events_are_relations_and_events_may_nest(tmp_path):
    annotations = (
        "T1\tGrow 0 5\tfever\nT2\tPart 10 15\tchest\nT3\tPain 16 20\tpain\nT4\tDATE 28 31\tMay\n"
        "E1\tGrow:T1 Theme:T2 Theme2:T3 Cause:E2\nE2\tPain:T3 When:T4 Site:T9\n"
    )
    dataset, document = read(tmp_path, annotations)
    assert [(r.id, r.label, r.head, r.tail) for r in document.relations] == [
        ("E1.1", "Theme", "T1", "T2"),
        ("E1.2", "Theme", "T1", "T3"),
        ("E1.3", "Cause", "T1", "T3"),
        ("E2.1", "When", "T3", "T4"),
    ]
    assert dataset.notes == {"event arguments without both mentions left": 1}
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    assert "E1\tGrow:T1 Theme:T2 Theme2:T3 Cause:T3\nE2\tPain:T3 When:T4\n" in (out / "1.ann").read_text()
    assert read_predictions("re", "brat", out, [document]) == [document]


def test_discontinuous_mentions_keep_their_parts(tmp_path):
    dataset, document = read(tmp_path, "T1\tSYMPTOM 0 5;16 20\tfever pain\n", task="ner")
    assert document.entities[0].spans == ((0, 5), (16, 20))
    assert dataset.notes == {"discontinuous entities": 1}


def test_what_cannot_be_kept_is_counted(tmp_path):
    annotations = (
        "T1\tA 0 5\tfever\nT2\tA 3 999\toutside\nT3 broken\nE1\tA:T9\nR1\tX Arg1:T1 Arg2:T9\n"
        "*\tEquiv T1 T2\nA1\tNegated T1\n#1\tNote T1\tx\nN1\tReference T1 U:1\tx\n?\tz\n"
    )
    dataset, document = read(tmp_path, annotations)
    assert [entity.id for entity in document.entities] == ["T1"]
    assert document.relations == ()
    assert dataset.notes == {
        "attributes left": 1,
        "broken entity lines left": 2,
        "equivalence lines left": 1,
        "events without their trigger left": 1,
        "normalisations left": 1,
        "notes left": 1,
        "relations without both mentions left": 1,
        "unknown lines left": 1,
    }


def test_a_mention_may_hold_a_unicode_line_separator(tmp_path):
    dataset, document = read(tmp_path, "T1\tA 0 10\tfe\u2028ver and\n", text="fe\u2028ver and")
    assert len(document.entities) == 1 and dataset.notes == {}


def test_a_byte_order_mark_is_no_character(tmp_path):
    _, document = read(tmp_path, "T1\tA 0 5\tfever\n", text="\ufefffever")
    assert document.text == "fever"


def test_predictions_come_back_equal(tmp_path):
    annotations = "T1\tA 0 5;16 20\tfever pain\nT2\tB 28 31\tMay\nR1\tX Arg1:T1 Arg2:T2\n"
    dataset, document = read(tmp_path, annotations)
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    assert read_predictions("re", "brat", out, [document]) == [document]
    assert (out / "1.ann").stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o700


def test_predictions_need_no_texts_but_every_document(tmp_path):
    dataset, document = read(tmp_path, "T1\tA 0 5\tfever\n")
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    (out / "1.txt").unlink()
    assert read_predictions("ner", "brat", out, [document]) == [document]
    (out / "1.ann").unlink()
    with pytest.raises(NotemillError, match=r"lacks \.ann files for 1 of 1 documents"):
        read_predictions("ner", "brat", out, [document])


def test_a_text_without_annotations_is_refused(tmp_path):
    (tmp_path / "1.txt").write_text("secret words")
    with pytest.raises(NotemillError, match=r"has no 1\.ann beside it") as refused:
        load_dataset("ner", f"brat:{tmp_path}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_mentions_whose_offsets_leave_carriage_returns_out_are_moved(tmp_path, ends):
    text = f"fever and{ends}chest pain{ends}since May"
    dataset, document = read(tmp_path, "T1\tA 0 5;10 15\tfever chest\nT2\tB 27 30\tMay\n", text=text)
    assert [[text[slice(*span)] for span in e.spans] for e in document.entities] == [["fever", "chest"], ["May"]]
    what = "texts whose carriage returns no offset counts, mentions moved"
    assert dataset.notes == ({what: 1} if ends == "\r\n" else {})
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    assert read_predictions("re", "brat", out, [document]) == [document]


def test_mentions_that_are_not_what_they_quote_are_counted(tmp_path):
    text = "fever and\r\nchest pain\r\nsince May"
    dataset, document = read(tmp_path, "T1\tA 0 5\tcough\nT2\tB 27 30\tMay\nT3\tB 0 5\n", text=text)
    assert [entity.spans for entity in document.entities] == [((0, 5),), ((27, 30),), ((0, 5),)]
    assert dataset.notes == {"mentions kept whose text differs from their place": 2}


def test_a_second_annotation_of_one_id_is_refused(tmp_path):
    with pytest.raises(NotemillError, match=r"1\.ann line 2: T1 is there already") as refused:
        read(tmp_path, "T1\tA 0 5\tfever\nT1\tA 10 15\tchest\n")
    assert "fever" not in str(refused.value)


def test_the_same_line_twice_is_counted_and_events_have_one_id(tmp_path):
    dataset, document = read(tmp_path, "T1\tA 0 5\tfever\nT1\tA 0 5\tfever\n")
    assert len(document.entities) == 1 and dataset.notes == {"entities given twice, left once": 1}
    (tmp_path / "test" / "1.ann").write_text("T1\tA 0 5\tfever\nE1\tA:T1\nE1\tA:T1 Of:T1\n")
    with pytest.raises(NotemillError, match=r"line 3: E1 is there already"):
        load_dataset("re", f"brat:{tmp_path}")


def test_annotations_without_a_text_are_refused_and_those_elsewhere_counted(tmp_path):
    read(tmp_path, "T1\tA 0 5\tfever\n")
    for folder in ("test/more", "old"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "2.ann").write_text("")
    assert load_dataset("ner", f"brat:{tmp_path}").notes == {"annotation files outside of the splits' folders left": 2}
    (tmp_path / "test" / "3.ann").write_text("")
    with pytest.raises(NotemillError, match=r"3\.ann has no 3\.txt beside it"):
        load_dataset("ner", f"brat:{tmp_path}")


def test_further_arguments_of_relations_and_other_predictions_are_counted(tmp_path):
    dataset, document = read(tmp_path, "T1\tA 0 5\tfever\nR1\tX Arg1:T1 Arg2:T1 Arg3:T1\n")
    assert dataset.notes == {"relations' arguments after the second left": 1}
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    (out / "other.ann").write_text("")
    notes: Counter[str] = Counter()
    read_predictions("ner", "brat", out, [document], notes=notes)
    assert notes["documents that gold does not have left"] == 1


def test_absurd_offsets_are_broken_lines(tmp_path):
    dataset, document = read(tmp_path, f"T1\tA 0 {'9' * 5000}\tfever\n")
    assert document.entities == () and dataset.notes == {"broken entity lines left": 1}
