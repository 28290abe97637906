"""Pairs and labelled texts: columns found or named, quoting survived, broken rows refused by number."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.formats import load_dataset, read_predictions, write_predictions
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
