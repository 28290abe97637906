"""Every public set at hand is read whole, and its own gold scores 1.0 through the files that predictions go to."""

from collections import Counter
from dataclasses import replace

import pytest

from eval.examples import Dataset
from eval.formats import load_dataset, read_predictions, write_predictions
from eval.score_files import score_files
from eval.scorers import score

SETS = [
    ("ner", "brat:maccrobat2020", (140, 20, 40)),
    ("re", "brat:maccrobat2020", (140, 20, 40)),
    ("ner", "conll:ncbi_disease", (5424, 923, 940)),
    ("re", "marked:chemprot", (4169, 2427, 3469)),
    ("sts", "tsv:ehr_rel_b", (2600, 400, 630)),
    ("nli", "nli4ct:nli4ct", (1700, 200, 0)),
    ("mqa", "squad:covid_qa", (1113, 137, 130)),
    ("cls", "jsonl:mtsamples_types", (1135, 169, 362)),
]


def as_predictions(task, gold):
    """Gold in the form that a head returns."""
    if task == "mqa":
        return {question.id: question.answers[0].text for question in gold}
    if hasattr(gold[0], "entities"):
        return list(gold)
    return [example.score if task == "sts" else example.label for example in gold]


@pytest.mark.parametrize(("task", "spec", "counts"), SETS, ids=[f"{task}-{spec}" for task, spec, _ in SETS])
def test_counts_and_round_trip(shared, tmp_path, task, spec, counts):
    format_name, _, folder = spec.partition(":")
    full = f"{format_name}:{shared / 'tasks' / folder}"
    dataset = load_dataset(task, full)
    assert tuple(len(dataset.splits.get(split, ())) for split in ("train", "dev", "test")) == counts
    split = "test" if "test" in dataset.splits else "dev"
    gold = dataset.splits[split]
    path = write_predictions(dataset, split, as_predictions(task, gold), tmp_path)
    in_memory = score(task, gold, read_predictions(task, format_name, path, gold), resamples=0)
    assert in_memory.metrics[in_memory.primary] == 1.0
    assert score_files(task, full, path)["metrics"] == in_memory.metrics


def test_what_maccrobat_holds_beyond_entities_and_relations_is_counted(shared):
    dataset = load_dataset("re", f"brat:{shared / 'tasks' / 'maccrobat2020'}")
    assert dataset.notes == {"attributes left": 1416, "equivalence lines left": 2023, "notes left": 335}
    assert sum(len(document.entities) for documents in dataset.splits.values() for document in documents) == 25189
    assert sum(len(document.relations) for documents in dataset.splits.values() for document in documents) == 16307


def test_every_disease_of_ncbi_is_an_entity(shared):
    dataset = load_dataset("ner", f"conll:{shared / 'tasks' / 'ncbi_disease'}")
    assert sum(len(sentence.entities) for split in dataset.splits.values() for sentence in split) == 6881


def test_every_answer_of_covid_qa_stands_where_it_says(shared):
    dataset = load_dataset("mqa", f"squad:{shared / 'tasks' / 'covid_qa'}")
    assert dataset.notes == {"answers moved to their nearest occurrence": 234}
    for question in (question for split in dataset.splits.values() for question in split):
        for answer in question.answers:
            assert question.context[answer.start : answer.start + len(answer.text)] == answer.text


def test_no_mark_is_left_in_chemprot(shared):
    dataset = load_dataset("re", f"marked:{shared / 'tasks' / 'chemprot'}")
    for candidate in (candidate for split in dataset.splits.values() for candidate in split):
        for start, end in (candidate.head, candidate.tail):
            mention = candidate.text[start:end]
            assert mention == mention.strip() != ""
        assert not any(mark in candidate.text for mark in ("<< ", "[[ ", " ]]"))


@pytest.mark.parametrize("form", ["bioc", "i2b2_2012", "i2b2_2014", "spans", "brat"])
def test_real_texts_survive_every_form_that_holds_characters(shared, tmp_path, form):
    read = load_dataset("ner", f"brat:{shared / 'tasks' / 'maccrobat2020'}").splits["dev"]
    # Types of i2b2 2012 are capitals.
    documents = tuple(replace(d, entities=tuple(replace(e, label=e.label.upper()) for e in d.entities)) for d in read)
    path = write_predictions(Dataset("ner", form, "", {"dev": documents}), "dev", documents, tmp_path)
    notes = Counter()
    back = read_predictions("ner", form, path, documents, notes=notes)
    assert [document.text for document in back] == [document.text for document in documents]
    assert score("ner", documents, back, resamples=0).metrics["strict_f1"] == 1.0
    assert not any(count for note, count in notes.items() if "mentions" in note)
