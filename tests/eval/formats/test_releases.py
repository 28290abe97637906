"""Every licensed or released form is read whole from its unpacked folder and comes back from predictions unchanged."""

import pytest

from eval.clusters import cluster_of
from eval.examples import Document, Entity
from eval.formats import load_dataset, read_predictions, write_predictions
from eval.formats.base import Reading
from eval.formats.releases import SPLIT_MARKS, divide
from eval.score_files import score_files
from eval.scorers import score
from eval.splits import complete_splits
from launch.errors import NotemillError
from tests.eval.formats import releases

FORMS = [
    ("ner", "i2b2_2010", "", {"train": 2, "test": 2}),
    ("re", "i2b2_2010", "", {"train": 2, "test": 2}),
    ("cls", "i2b2_2010", "", {"train": 4, "test": 2}),
    ("ner", "i2b2_2012", "", {"train": 2, "test": 2}),
    ("ner", "i2b2_2012", "?labels=tag", {"train": 2, "test": 2}),
    ("re", "i2b2_2012", "", {"train": 2, "test": 2}),
    ("cls", "i2b2_2012", "", {"train": 6, "test": 3}),
    ("cls", "i2b2_2012", "?attribute=modality", {"train": 6, "test": 3}),
    ("ner", "i2b2_2014", "", {"train": 4, "test": 2}),
    ("ner", "i2b2_2014", "?labels=category", {"train": 4, "test": 2}),
    ("ner", "n2c2_2018", "", {"train": 2, "test": 2}),
    ("re", "n2c2_2018", "", {"train": 2, "test": 2}),
    ("sts", "n2c2_2019", "", {"train": 3, "test": 3}),
    ("nli", "mednli", "", {"train": 3, "dev": 1, "test": 2}),
    ("mqa", "emrqa", "?title=medication", {"train": 40, "test": 10}),
    ("mqa", "emrqa", "?title=relations&answer=text", {"train": 20, "test": 5}),
    ("ner", "pubtator", "", {"train": 2, "dev": 2, "test": 2}),
    ("ner", "bioc", "", {"train": 2, "dev": 2, "test": 2}),
    ("re", "bioc", "", {"train": 2, "dev": 2, "test": 2}),
]
IDS = [f"{task}-{name}{query}" for task, name, query, _ in FORMS]


def as_predictions(task, gold):
    """Gold in the form that a head returns."""
    if task == "mqa":
        return {question.id: question.answers[0].text for question in gold}
    if isinstance(gold[0], Document):
        return list(gold)
    return [example.score if task == "sts" else example.label for example in gold]


def a_little_wrong(task, predictions):
    """The same with a mistake, as a model would return it."""
    if task == "mqa":
        return {key: "another answer" if index == 0 else text for index, (key, text) in enumerate(predictions.items())}
    if task == "ner":
        return [Document(d.id, d.text, d.entities[1:], (), d.tokens, sentences=d.sentences) for d in predictions]
    if task == "re":
        return [Document(d.id, d.text, d.entities, d.relations[1:], d.tokens) for d in predictions]
    another = 1.25 if task == "sts" else next(label for label in predictions if label != predictions[0])
    return [another, *predictions[1:]]


@pytest.mark.parametrize(("task", "name", "query", "counts"), FORMS, ids=IDS)
def test_gold_written_as_predictions_scores_as_in_memory(tmp_path, task, name, query, counts):
    root = getattr(releases, name)(tmp_path / "release")
    spec = f"{name}:{root}{query}"
    dataset = load_dataset(task, spec)
    assert {split: len(examples) for split, examples in dataset.splits.items()} == counts
    gold = dataset.splits["test"]
    perfect = as_predictions(task, gold)
    for number, predictions in enumerate((perfect, a_little_wrong(task, perfect))):
        path = write_predictions(dataset, "test", predictions, tmp_path / f"out{number}")
        in_memory = score(task, gold, predictions)
        assert score_files(task, spec, path)["metrics"] == in_memory.metrics
        assert (in_memory.metrics[in_memory.primary] == pytest.approx(1.0)) == (number == 0)
        for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
            assert file.stat().st_mode & 0o777 == (0o700 if file.is_dir() else 0o600)


WITHOUT_DEV = [form for form in FORMS if "dev" not in form[3]]


@pytest.mark.parametrize(("task", "name", "query", "counts"), WITHOUT_DEV)
def test_a_release_without_dev_is_completed_by_its_documents(tmp_path, task, name, query, counts):
    dataset = load_dataset(task, f"{name}:{getattr(releases, name)(tmp_path)}{query}")
    completed = complete_splits(dataset)
    assert completed.splits["test"] == dataset.splits["test"]
    assert len(completed.splits["train"]) + len(completed.splits["dev"]) == counts["train"]
    sources = [{cluster_of(example) for example in completed.splits[split]} for split in ("train", "dev")]
    assert not sources[0] & sources[1]


@pytest.mark.parametrize(("task", "name"), [form[:2] for form in FORMS if form[0] in ("ner", "re") and not form[2]])
def test_documents_come_back_equal(tmp_path, task, name):
    dataset = load_dataset(task, f"{name}:{getattr(releases, name)(tmp_path / 'release')}")
    gold = dataset.splits["test"]
    path = write_predictions(dataset, "test", list(gold), tmp_path / "out")
    back = read_predictions(task, name, path, gold)
    assert [(d.id, d.text, d.relations) for d in back] == [(d.id, d.text, d.relations) for d in gold]
    for ours, theirs in zip(back, gold, strict=True):
        assert [(e.label, e.spans, e.attributes) for e in ours.entities] == [
            (e.label, e.spans, e.attributes) for e in theirs.entities
        ]


@pytest.mark.parametrize(("name", "query"), [form[1:3] for form in FORMS if form[0] == "ner"])
def test_what_a_model_knows_of_mentions_is_enough_to_write_them(tmp_path, name, query):
    spec = f"{name}:{getattr(releases, name)(tmp_path / 'release')}{query}"
    dataset = load_dataset("ner", spec)
    predictions = []
    for document in dataset.splits["test"]:
        entities = [Entity(f"T{number}", e.label, e.spans) for number, e in enumerate(document.entities, start=1)]
        predictions.append(Document(document.id, document.text, tuple(entities), (), document.tokens))
    path = write_predictions(dataset, "test", predictions, tmp_path / "out")
    assert score_files("ner", spec, path)["metrics"]["strict_f1"] == 1.0


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("concept_assertion_relation_training_data/beth/concept/a", "train"),
        ("reference_standard_for_test_data/concepts/a", "test"),
        ("2014_training-PHI-Gold-Set1/a", "train"),
        ("testing-PHI-Gold-fixed/a", "test"),
        ("CDR_Data/CDR_DevelopmentSet.PubTator.txt", "dev"),
        ("NCBItrainset_corpus.txt", "train"),
        ("NCBItestset_corpus.txt", "test"),
        ("NCBIdevelopset_corpus.txt", "dev"),
        ("test_data/training_20180910/a", "train"),
        ("mli_dev_v1.jsonl", "dev"),
        ("constraints/latest/devices/values", None),
    ],
)
def test_names_that_publishers_give_to_splits(tmp_path, name, split):
    known = tmp_path / "test" / "known"
    found = divide(tmp_path, [tmp_path / name, known], SPLIT_MARKS, Reading("ner"), by_folder=False)
    assert next((key for key, files in found.items() if tmp_path / name in files), None) == split


def test_the_name_of_a_document_tells_no_split(tmp_path):
    releases.i2b2_2014(tmp_path)
    releases.put(tmp_path / "training-PHI-Gold-Set1" / "testosterone-01.xml", releases.xml_2014())
    assert len(load_dataset("ner", f"i2b2_2014:{tmp_path}").splits["train"]) == 5


@pytest.mark.parametrize("name", ["i2b2_2010", "i2b2_2012", "i2b2_2014", "n2c2_2018", "bioc", "mednli", "n2c2_2019"])
def test_a_folder_of_something_else_is_refused(tmp_path, name):
    (tmp_path / "notes.md").write_text("secret")
    task = {"mednli": "nli", "n2c2_2019": "sts"}.get(name, "ner")
    with pytest.raises(NotemillError, match=r"holds no .*file"):
        load_dataset(task, f"{name}:{tmp_path}")
    with pytest.raises(NotemillError, match=r"no task data at|holds no"):
        load_dataset(task, f"{name}:{tmp_path / 'nowhere'}")


def test_a_document_of_two_files_is_refused(tmp_path):
    releases.i2b2_2014(tmp_path)
    releases.put(tmp_path / "training-PHI-Gold-Set2" / "220-01.xml", releases.xml_2014())
    with pytest.raises(NotemillError, match="train split has two files for document '220-01'"):
        load_dataset("ner", f"i2b2_2014:{tmp_path}")


def test_files_outside_of_the_splits_are_counted_and_a_macs_are_nothing(tmp_path):
    releases.i2b2_2014(tmp_path)
    releases.put(tmp_path / "extra" / "9-01.xml", releases.xml_2014())
    releases.put(tmp_path / "__MACOSX" / "training-PHI-Gold-Set1" / "._220-01.xml", b"\x00\xff")
    dataset = load_dataset("ner", f"i2b2_2014:{tmp_path}")
    assert len(dataset.splits["train"]) == 4
    assert dataset.notes == {"files outside of train, dev and test left": 1}


def test_an_option_has_known_values(tmp_path):
    with pytest.raises(NotemillError, match=r"labels=kind .* is none of type, category"):
        load_dataset("ner", f"i2b2_2014:{tmp_path}?labels=kind")


def test_predictions_lacking_a_document_are_counted(tmp_path):
    for name in ("i2b2_2010", "i2b2_2012", "i2b2_2014"):
        dataset = load_dataset("ner", f"{name}:{getattr(releases, name)(tmp_path / name)}")
        gold = dataset.splits["test"]
        path = write_predictions(dataset, "test", gold[:1], tmp_path / f"out-{name}")
        with pytest.raises(NotemillError, match="lacks predictions for 1 of 2 documents"):
            read_predictions("ner", name, path, gold)


@pytest.mark.parametrize("name", ["i2b2_2010", "i2b2_2012", "i2b2_2014", "n2c2_2018"])
def test_predictions_for_other_documents_are_counted(tmp_path, name):
    spec = f"{name}:{getattr(releases, name)(tmp_path / 'release')}"
    dataset = load_dataset("ner", spec)
    gold = dataset.splits["test"]
    more = Document("other", gold[0].text, (), (), gold[0].tokens)
    path = write_predictions(dataset, "test", [*gold, more], tmp_path / "out")
    assert score_files("ner", spec, path)["notes"]["predictions: documents that gold does not have left"] == 1
