"""PubTator and BioC: offsets over title, abstract and passages, and what is counted or refused by line."""

from dataclasses import replace

import pytest

from eval.examples import Relation
from eval.formats import load_dataset, read_predictions, write_predictions
from eval.score_files import score_files
from launch.errors import NotemillError
from tests.eval.formats import releases


def read(folder, name, content, task="ner"):
    path = releases.put(folder / f"test.{name}", content)
    dataset = load_dataset(task, f"{name}:{path}")
    return dataset, dataset.splits["test"]


def surfaces(document):
    return [[document.text[slice(*span)] for span in entity.spans] for entity in document.entities]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_pubtator_offsets_run_on_from_title_to_abstract(tmp_path, ends):
    dataset, (document,) = read(tmp_path, "pubtator", "\ufeff" + releases.PUBTATOR.replace("\n", ends))
    assert surfaces(document) == [["Naloxone"], ["clonidine"], ["β-blood pressure"]]
    assert dataset.notes == {"concepts and parts of mentions left": 3, "relations between concepts left": 1}


def test_pubtator_mentions_elsewhere_are_moved_or_counted(tmp_path):
    lines = "1|t|abc abd\n1|a|abc\n1\t1\t4\tabc\tX\n1\t1\t4\tzzz\tX\n"
    dataset, (document,) = read(tmp_path, "pubtator", lines)
    assert [entity.start for entity in document.entities] == [0, 1]
    assert dataset.notes == {
        "mentions kept whose text differs from their place": 1,
        "mentions moved to the nearest occurrence": 1,
    }


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("1|t|secret\n1\t0\t6\tsecret\tX\n", "line 2: annotations begin before"),
        ("1|t|secret\n", r"line 1: an abstract lacks its ID\|t\| or its ID\|a\| line"),
        (
            "1|t|secret\n1|a|b\n1\t0\t99\tsecret\tX\n",
            "line 3 points at 0 to 99 of a title and abstract of 8",
        ),
        ("1|t|secret\n1|a|b\n1\t0\tx6\tsecret\tX\n", "line 3 is neither"),
        ("1|t|secret\n1|a|b\n1\t0\t6\tsecret\n", "line 3 is neither"),
        ("", "holds no abstracts"),
    ],
)
def test_broken_pubtator_is_named_by_line(tmp_path, lines, problem):
    with pytest.raises(NotemillError, match=problem) as refused:
        read(tmp_path, "pubtator", lines)
    assert "secret" not in str(refused.value)


def test_bioc_passages_stand_at_their_offsets(tmp_path):
    dataset, (document, empty) = read(tmp_path, "bioc", releases.BIOC, "re")
    assert document.text == "Naloxone & clonidine     Blood and urine pressure fell."
    assert surfaces(document) == [["Naloxone"], ["Blood", "pressure"]]
    assert document.relations == (Relation("R1", "lowers", "1", "2"),)
    assert (empty.id, empty.entities) == ("11", ())
    assert dataset.notes == {"discontinuous entities": 1, "relations between concepts left": 1}


def test_bioc_sentences_and_relations_of_more_than_two(tmp_path):
    content = """<collection><document><id>1</id><passage><offset>0</offset>
      <sentence><offset>0</offset><text>One. </text></sentence>
      <sentence><offset>5</offset><text>Two.</text>
        <annotation id="a"><infon key="type">N</infon><location offset="4" length="3"/><text>Two</text></annotation>
        <annotation id="b"><infon key="type">N</infon><text>Two</text></annotation>
        <relation id="r"><node refid="a"/><node refid="a"/><node refid="a"/></relation>
        <relation id="s"><node refid="a"/><node refid="b"/></relation>
      </sentence></passage></document></collection>"""
    dataset, (document,) = read(tmp_path, "bioc", content, "re")
    assert (document.text, surfaces(document)) == ("One. Two.", [["Two"]])
    assert dataset.notes == {
        "annotations without a place left": 1,
        "mentions moved to the nearest occurrence": 1,
        "relations of other than two mentions left": 1,
        "relations without both mentions left": 1,
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('offset="0" length="8"', 'offset="0" length="800"'), "line 5: an annotation lies outside"),
        (('offset="0" length="8"', 'offset="secret" length="8"'), "line 5: an offset or length is no whole number"),
        (('<annotation id="1">', "<annotation>"), "line 5: an annotation has no id"),
        (('<annotation id="1">', '<annotation id="2">'), "line 4: two annotations of the document have the same id"),
        (("</collection>", "</secret>"), "is not XML: mismatched tag"),
        (('"BioC.dtd"', '"BioC.dtd" [<!ENTITY a "secret">]'), "line 2 declares or uses an entity"),
        (("&amp;", "&secret;"), "line 4 declares or uses an entity"),
    ],
)
def test_broken_bioc_is_named_by_line(tmp_path, change, problem):
    with pytest.raises(NotemillError, match=problem) as refused:
        read(tmp_path, "bioc", releases.BIOC.replace(*change))
    assert "secret" not in str(refused.value)


def test_another_xml_is_refused(tmp_path):
    with pytest.raises(NotemillError, match="line 1: the x holds no document"):
        read(tmp_path, "bioc", "<x/>")


def test_a_tools_output_beside_the_gold_is_refused_by_both_names(tmp_path):
    releases.pubtator(tmp_path)
    releases.put(tmp_path / "CDR_Data" / "DNorm.TestSet" / "TestSet.DNorm.PubTator.txt", releases.PUBTATOR)
    with pytest.raises(NotemillError, match=r"'227508' in two files: \S*CDR_TestSet\S* and \S*TestSet\.DNorm\S*;"):
        load_dataset("ner", f"pubtator:{tmp_path}")
    assert len(load_dataset("ner", f"pubtator:{tmp_path / 'CDR_Data' / 'CDR.Corpus.v010516'}").splits["test"]) == 2


def test_a_document_given_twice_is_read_once_and_another_of_its_id_refused(tmp_path):
    dataset, documents = read(tmp_path, "pubtator", releases.PUBTATOR * 2)
    assert len(documents) == 1 and dataset.notes["documents given twice, left once"] == 1
    with pytest.raises(NotemillError, match="two different documents '227508'"):
        read(tmp_path, "pubtator", releases.PUBTATOR + releases.PUBTATOR.replace("rats", "mice"))
    with pytest.raises(NotemillError, match="two different documents '10'"):
        read(tmp_path, "bioc", releases.BIOC.replace("<id>11</id>", "<id>10</id>"))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("1|t|secret\n1|a|b\n2\t0\t6\tsecret\tX\n", "line 3 is about another document than the abstract '1'"),
        ("1|t|secret\n2|a|b\n", "line 2: another abstract begins"),
        ("1|t|secret\n1|a|b\n1|t|c\n", "line 3: another abstract begins"),
        ("1|t|secret\n1|a|b\n1\t\u00b2\t6\tsecret\tX\n", "line 3 is neither"),
    ],
)
def test_pubtator_lines_of_other_documents_are_refused(tmp_path, lines, problem):
    with pytest.raises(NotemillError, match=problem) as refused:
        read(tmp_path, "pubtator", lines)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("offset", "problem"),
    [
        ("9999999999", "line 6: a passage is at offset 9999999999"),
        ("\u00b2\u2075", "no whole number"),
        ("9" * 5000, "no whole"),
    ],
)
def test_a_bioc_offset_far_beyond_the_text_is_refused(tmp_path, offset, problem):
    with pytest.raises(NotemillError, match=problem):
        read(tmp_path, "bioc", releases.BIOC.replace("<offset>25<", f"<offset>{offset}<"))


def test_carriage_returns_of_bioc_come_back(tmp_path):
    dataset, gold = read(tmp_path, "bioc", releases.BIOC.replace("Nothing.", "No&#13;thing&#13;&#10;."))
    assert gold[1].text == "No\rthing\r\n."
    path = write_predictions(dataset, "test", list(gold), tmp_path / "out")
    assert [document.text for document in read_predictions("ner", "bioc", path, gold)] == [d.text for d in gold]


@pytest.mark.parametrize(("name", "content"), [("pubtator", releases.PUBTATOR), ("bioc", releases.BIOC)])
def test_predictions_for_other_documents_are_counted(tmp_path, name, content):
    dataset, gold = read(tmp_path, name, content)
    other = replace(gold[0], id="other")
    path = write_predictions(dataset, "test", [*gold, other], tmp_path / "out")
    notes = score_files("ner", f"{name}:{dataset.path}", path)["notes"]
    assert notes["predictions: documents that gold does not have left"] == 1
