"""Pairs and labelled texts: columns found or named, quoting survived, broken rows refused by number."""

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.formats import load_dataset, read_predictions, write_predictions
from eval.score_files import score_files
from eval.splits import complete_splits
from launch.errors import NotemillError

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff"), min_size=1, max_size=20)


def write(folder, name, content):
    path = folder / name
    path.write_text(content, newline="")
    return path


@pytest.mark.parametrize(
    ("task", "name", "content", "query", "expected"),
    [
        ("sts", "test.tsv", "sentence1\tsentence2\tscore\na\tb\t2.5\n", "", ("a", "b", 2.5, None)),
        ("sts", "test.csv", 'snomed_label_1,snomed_label_2,mean_rating\n"a, x",b,1\n', "", ("a, x", "b", 1.0, None)),
        ("sts", "test.tsv", "u\tv\tw\na\tb\t3\n", "?first=u&second=v&score=w", ("a", "b", 3.0, None)),
        ("nli", "test.jsonl", '{"premise": "a", "hypothesis": "b", "label": "yes"}\n', "", ("a", "b", None, "yes")),
        ("nli", "test.json", '{"7": {"premise": "a", "hypothesis": "b", "Label": "no"}}', "", ("a", "b", None, "no")),
    ],
)
def test_columns_are_found_or_named(tmp_path, task, name, content, query, expected):
    path = write(tmp_path, name, content)
    (pair,) = load_dataset(task, f"{path.suffix[1:]}:{path}{query}").splits["test"]
    assert (pair.first, pair.second, pair.score, pair.label) == expected


def test_a_column_of_patients_keeps_their_notes_together(tmp_path):
    rows = "TEXT,HOSPITAL_EXPIRE_FLAG,SUBJECT_ID\n" + "".join(f"note {i},{i % 2},{i // 5}\n" for i in range(100))
    for name in ("train.csv", "test.csv"):
        write(tmp_path, name, rows)
    dataset = complete_splits(load_dataset("cls", f"csv:{tmp_path}?label=HOSPITAL_EXPIRE_FLAG"))
    patients = {name: {note.document_id for note in dataset.splits[name]} for name in ("train", "dev")}
    assert len(dataset.splits["dev"]) == 10 and len(patients["dev"]) == 2 and not patients["train"] & patients["dev"]
    plain = write(tmp_path, "plain.csv", "text,label\na,b\n")
    assert load_dataset("cls", f"csv:{plain}").splits["test"][0].document_id == ""
    with pytest.raises(NotemillError, match="no column for 'patient'"):
        load_dataset("cls", f"csv:{plain}?patient=who")


def test_a_stray_quotation_mark_swallows_no_row(tmp_path):
    path = write(tmp_path, "test.tsv", 'sentence1\tsentence2\tscore\na\t"b\t3\nc\t"d\t4\n')
    assert [pair.second for pair in load_dataset("sts", f"tsv:{path}").splits["test"]] == ['"b', '"d']


def test_quoted_fields_are_unquoted_and_may_hold_line_ends(tmp_path):
    plain = write(tmp_path, "test.tsv", 'sentence1\tsentence2\tscore\n"C/O - ""tired"""\tb\t3\n')
    assert load_dataset("sts", f"tsv:{plain}").splits["test"][0].first == 'C/O - "tired"'
    broken = write(tmp_path, "test.tsv", 'sentence1\tsentence2\tscore\n"a\nb"\tc\t3\n')
    assert load_dataset("sts", f"tsv:{broken}").splits["test"][0].first == "a\nb"


@pytest.mark.parametrize(
    ("task", "name", "content", "problem"),
    [
        ("sts", "test.tsv", "sentence1\tsentence2\tscore\nsecret\tb\n", "line 2 has another number"),
        ("sts", "test.tsv", "sentence1\tsentence2\tscore\nsecret\tb\tsecret\n", "row 1 has no number"),
        ("sts", "test.tsv", "sentence1\tsentence2\tscore\nsecret\tb\tnan\n", "row 1 has no number"),
        ("sts", "test.tsv", "x\ty\n1\t2\n", "no column for 'first'"),
        ("cls", "test.jsonl", '{"text": "x", "label": "A"}\n{"text": "secret"}\n', "row 2 has no value for 'label'"),
        ("cls", "test.jsonl", '{"text": null, "label": "A"}\n', "row 1 has no value for 'text'"),
        ("cls", "test.jsonl", '{"text": "x", "label": "A"}\n{secret\n', "line 2 is not valid JSON"),
        ("cls", "test.jsonl", "", "holds no rows"),
    ],
)
def test_broken_input_is_refused_without_its_text(tmp_path, task, name, content, problem):
    path = write(tmp_path, name, content)
    with pytest.raises(NotemillError, match=problem) as refused:
        load_dataset(task, f"{path.suffix[1:]}:{path}")
    assert "secret" not in str(refused.value)


def test_pairs_without_a_gold_label_are_counted(tmp_path):
    rows = [{"sentence1": "a", "sentence2": "b", "gold_label": label} for label in ("-", None, "neutral")]
    path = write(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    dataset = load_dataset("nli", f"jsonl:{path}")
    assert len(dataset.splits["test"]) == 1
    assert dataset.notes == {"pairs without a gold label left": 2}


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, st.floats(0, 5)), min_size=1, max_size=6), kind=st.sampled_from(["tsv", "csv"])
)
@settings(max_examples=100, deadline=None)
def test_pairs_and_their_predictions_come_back_equal(tmp_path_factory, rows, kind):
    folder = tmp_path_factory.mktemp("pairs")
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writerows([("sentence1", "sentence2", "score"), *rows])
    path = write(folder, f"test.{kind}", stream.getvalue())
    dataset = load_dataset("sts", f"{kind}:{path}")
    gold = dataset.splits["test"]
    assert [(pair.first, pair.second, pair.score) for pair in gold] == rows
    predictions = [pair.score for pair in gold]
    out = write_predictions(dataset, "test", predictions, folder / "out")
    assert read_predictions("sts", kind, out, gold) == predictions


@pytest.mark.parametrize(
    ("task", "spec", "problem"),
    [
        ("ner", "xml:here", "no format 'xml' for task ner; there are brat, conll"),
        ("ner", "brat", "is not FORMAT:PATH"),
        ("ner", "brat:/nowhere", "no task data at /nowhere"),
        ("sts", "tsv:here?frist=a", "unknown column role 'frist'"),
    ],
)
def test_a_wrong_spec_says_what_there_is(task, spec, problem):
    with pytest.raises(NotemillError, match=problem.replace("?", r"\?")):
        load_dataset(task, spec)


def test_a_folder_without_splits_is_refused(tmp_path):
    with pytest.raises(NotemillError, match="holds no split"):
        load_dataset("ner", f"conll:{tmp_path}")


@pytest.mark.parametrize("name", ["dev", "devel", "valid", "validation", "val"])
def test_dev_goes_by_many_names(tmp_path, name):
    write(tmp_path, f"{name}.tsv", "fever\tB-P\n")
    assert list(load_dataset("ner", f"conll:{tmp_path}").splits) == ["dev"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("test.csv", 'label,text\nA,"secret text\nB,other\nA,third\n', 2),
        ("test.csv", 'label,text\nB,"two\nlines"\nA,"secret\nB,other " more\nA,third\n', 4),
        ("test.csv", 'label,text\nA,x\nB,"secret\n', 3),
        ("test.csv", 'text,label\n"well\nclosed","secret\nx,B\ny,"A"\n', 3),
        ("test.tsv", 'label\ttext\tx\nA\t"secret\t1\nB\tother\nA\tthird" q\t3\n', 2),
    ],
)
def test_a_quote_that_swallows_rows_is_refused_by_its_line(tmp_path, name, content, line):
    path = write(tmp_path, name, content)
    with pytest.raises(NotemillError, match=f"line {line}: a field opens with a quotation mark") as refused:
        load_dataset("cls", f"{path.suffix[1:]}:{path}")
    assert "secret" not in str(refused.value)


def test_a_table_in_a_quoted_note_is_its_text(tmp_path):
    path = write(tmp_path, "test.tsv", 'label\ttext\nA\t"Labs:\nNa\t140\nK\t4.0"\nB\t"a\tb\tc"\n')
    texts = [text.text for text in load_dataset("cls", f"tsv:{path}").splits["test"]]
    assert texts == ["Labs:\nNa\t140\nK\t4.0", "a\tb\tc"]


def test_long_notes_are_read_and_later_lines_named_right(tmp_path):
    limit = csv.field_size_limit()
    path = write(tmp_path, "test.csv", f'label,text\nA,"{"x" * 100_000}\n{"y" * 100_000}"\n')
    assert len(load_dataset("cls", f"csv:{path}").splits["test"][0].text) == 200_001
    assert csv.field_size_limit() == limit
    broken = write(tmp_path, "test.csv", 'label,text\nA,"x\ny"\n\nsecret\n')
    with pytest.raises(NotemillError, match="line 5 has another number of columns"):
        load_dataset("cls", f"csv:{broken}")


@pytest.mark.parametrize("kind", ["tsv", "csv"])
@pytest.mark.parametrize("text", ["a\rb", '"a\r\n', "\r", "a\tb\r", 'a "b" c'])
def test_line_ends_of_any_kind_come_back_in_predictions(tmp_path, kind, text):
    path = write(tmp_path, "gold.jsonl", json.dumps({"text": text, "label": "A"}) + "\n")
    gold = load_dataset("cls", f"jsonl:{path}").splits["test"]
    table = replace(load_dataset("cls", f"jsonl:{path}"), format=kind)
    out = write_predictions(table, "test", ["B"], tmp_path / "out")
    assert read_predictions("cls", kind, out, gold) == ["B"]
    assert load_dataset("cls", f"{kind}:{out}").splits["test"][0].text == text


def test_predictions_have_the_columns_of_the_gold_or_ours(tmp_path):
    gold = write(tmp_path, "gold.csv", "t,l\na,x\nb,y\n")
    spec = f"csv:{gold}?label=l&text=t"
    assert score_files("cls", spec, gold)["metrics"]["accuracy"] == 1.0
    ours = write_predictions(load_dataset("cls", spec), "test", ["x", "x"], tmp_path / "out")
    assert score_files("cls", spec, ours)["metrics"]["accuracy"] == 0.5
    both = write(tmp_path, "both.csv", "t,l,label\na,x,y\nb,y,y\n")
    with pytest.raises(NotemillError, match="has 'l' and 'label', and either may be the predicted label"):
        score_files("cls", spec, both)


def test_predictions_need_no_patients(tmp_path):
    gold = write(tmp_path, "gold.csv", "text,label,who\na,x,1\nb,y,2\n")
    spec = f"csv:{gold}?patient=who"
    ours = write_predictions(load_dataset("cls", spec), "test", ["x", "y"], tmp_path / "out")
    assert score_files("cls", spec, ours)["metrics"]["accuracy"] == 1.0


def test_any_row_tells_that_there_are_patients_and_zero_is_one(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y", "patient_id": 0}]
    path = write(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(NotemillError, match="row 1 has no value for 'patient_id'"):
        load_dataset("cls", f"jsonl:{path}")
    path = write(tmp_path, "test.jsonl", json.dumps(rows[1]) + "\n")
    assert load_dataset("cls", f"jsonl:{path}").splits["test"][0].document_id == "0"


def test_labels_are_stripped_and_texts_without_one_counted(tmp_path):
    rows = [{"text": "a", "label": label} for label in ("x", " x ", "", " ", None)]
    path = write(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    dataset = load_dataset("cls", f"jsonl:{path}")
    assert [text.label for text in dataset.splits["test"]] == ["x", "x"]
    assert dataset.notes == {"texts without a label left": 3}


@pytest.mark.parametrize(
    ("task", "row", "column"),
    [
        ("cls", {"text": ["secret"], "label": "A"}, "text"),
        ("cls", {"text": "a", "label": {"secret": 1}}, "label"),
        ("nli", {"premise": {"secret": 1}, "hypothesis": "b", "label": "A"}, "premise"),
        ("nli", {"premise": "a", "hypothesis": "b", "label": ["secret"]}, "label"),
    ],
)
def test_lists_and_objects_are_no_text(tmp_path, task, row, column):
    path = write(tmp_path, "test.jsonl", json.dumps(row) + "\n")
    with pytest.raises(NotemillError, match=f"row 1 has a list or an object for '{column}'") as refused:
        load_dataset(task, f"jsonl:{path}")
    assert "secret" not in str(refused.value)


def test_an_entry_that_is_no_object_is_named(tmp_path):
    path = write(tmp_path, "test.json", '{"7": {"premise": "a", "hypothesis": "b", "label": "no"}, "8": "secret"}')
    with pytest.raises(NotemillError, match="the entry '8' is no object"):
        load_dataset("nli", f"json:{path}")


def test_two_files_for_one_split_are_refused(tmp_path):
    for name in ("test.tsv", "dev.tsv", "devel.tsv"):
        write(tmp_path, name, "fever\tB-P\n")
    with pytest.raises(NotemillError, match=r"has dev\.tsv and devel\.tsv for its dev split"):
        load_dataset("ner", f"conll:{tmp_path}")


def test_pairs_whose_id_is_null_have_their_number(tmp_path):
    rows = [{"id": None, "sentence1": "a", "sentence2": "b", "score": number} for number in range(2)]
    path = write(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert [pair.id for pair in load_dataset("sts", f"jsonl:{path}").splits["test"]] == ["1", "2"]
