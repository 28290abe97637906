"""i2b2's XML of 2012 and 2014: offsets in every reading of them, tags that are no XML, and safe parsing."""

import pytest

from eval.formats import load_dataset, read_predictions, write_predictions
from launch.errors import NotemillError
from tests.eval.formats import releases


def read(folder, name, content, task="ner", query="", key="1-01"):
    path = releases.put(folder / f"{key}.xml", content)
    dataset = load_dataset(task, f"{name}:{path}{query}")
    return dataset, dataset.splits["test"]


def surfaces(document):
    return [document.text[entity.start : entity.end] for entity in document.entities]


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        (releases.TEXT_2012, 0),
        (releases.TEXT_2012.lstrip("\n"), 1),
        (releases.TEXT_2012.replace("\n", "\r\n"), 0),
    ],
    ids=["from the line break", "from one", "carriage returns not counted"],
)
def test_2012_offsets_point_at_their_text(tmp_path, text, shift):
    dataset, (document,) = read(tmp_path, "i2b2_2012", releases.xml_2012(text, shift))
    assert surfaces(document) == ["Admission", "fever", "D&C", "09/14/1998"]
    assert [entity.label for entity in document.entities] == ["OCCURRENCE", "PROBLEM", "TREATMENT", "DATE"]
    assert dataset.notes == {"SECTIME left": 2}


def test_2014_offsets_may_count_carriage_returns(tmp_path):
    text = releases.TEXT_2014.replace("\n", "\r\n")
    start = text.index("Ōta-Smith")
    tag = f'<NAME id="P0" start="{start}" end="{start + 9}" text="Ōta-Smith" TYPE="DOCTOR" comment="" />\n'
    dataset, (document,) = read(tmp_path, "i2b2_2014", releases.xml_2014(text, tag))
    assert (surfaces(document), document.text, dataset.notes) == (["Ōta-Smith"], text, {})


def test_text_may_be_escaped_instead_of_cdata(tmp_path):
    content = releases.xml_2014().replace("<![CDATA[", "").replace("]]>", "")
    content = content.replace("<seen> at Cape & Cod, age", "&lt;seen&gt; at Cape &#38; Cod, age")
    dataset, (document,) = read(tmp_path, "i2b2_2014", content)
    assert (document.text, dataset.notes) == (releases.TEXT_2014, {})
    assert surfaces(document) == ["2067-05-03", "Ōta-Smith", "Cape & Cod", "71"]


def test_2012_attributes_go_into_predictions(tmp_path):
    dataset, (document,) = read(tmp_path, "i2b2_2012", releases.xml_2012())
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    written = (out / "1-01.xml").read_text()
    assert 'type="PROBLEM" modality="FACTUAL" polarity="NEG"' in written
    assert 'type="DATE" val="1998-09-14" mod="NA"' in written
    assert f"<![CDATA[{document.text}]]>" in written


def test_2012_links_join_events_times_and_section_times(tmp_path):
    dataset, (document,) = read(tmp_path, "i2b2_2012", releases.xml_2012(), "re")
    assert [(r.label, r.head, r.tail) for r in document.relations] == [
        ("OVERLAP", "E1", "T0"),
        ("OVERLAP", "E0", "S0"),
        ("AFTER", "E2", "E1"),
    ]
    assert dataset.notes == {"SECTIME without a place left": 1}


def test_2012_links_that_cannot_be_kept_are_counted(tmp_path):
    lines = releases.xml_2012().replace('toID="T0"', 'toID="T9"').replace('type="AFTER"', 'type=""')
    dataset, (document,) = read(tmp_path, "i2b2_2012", lines, "re")
    assert len(document.relations) == 1
    assert dataset.notes == {
        "SECTIME without a place left": 1,
        "links without a type left": 1,
        "links without both mentions left": 1,
    }


def test_2012_a_links_file_beside_an_xml_without_links_is_counted(tmp_path):
    releases.put(tmp_path / "1-01.xml.tlink", "x")
    dataset, _ = read(tmp_path, "i2b2_2012", releases.xml_2012(tags=""), "re")
    assert dataset.notes == {"files without links beside a .tlink file that has them": 1}


def test_2012_polarity_is_read_by_event(tmp_path):
    dataset, (first, second, third) = read(tmp_path, "i2b2_2012", releases.xml_2012(), "cls")
    assert (second.text, second.label) == ("She had [s1] fever [e1] & a D&C on the next day , señor .", "NEG")
    assert [first.label, third.label] == ["POS", "POS"]
    assert dataset.notes == {}


@pytest.mark.parametrize("surface", ["D&C", "a < b", 'so "called"', "R&amp;D"])
def test_tags_that_are_no_xml_are_mended_and_counted(tmp_path, surface):
    text = f"\nBefore {surface.replace('&amp;', '&')} after, bare & elsewhere\n"
    tag = f'<EVENT id="E0" start="8" end="{8 + len(surface)}" text="{surface}" type="TEST" comment="&" />\n'
    dataset, (document,) = read(tmp_path, "i2b2_2012", releases.xml_2012(text, tags=tag))
    assert surfaces(document) == [surface.replace("&amp;", "&")]
    assert dataset.notes["files whose tags had to be mended to be XML"] == 1


def test_tags_elsewhere_than_their_text_are_moved_or_counted(tmp_path):
    tags = "".join(
        f'<NAME id="P{number}" start="{start}" end="{end}" text="{text}" TYPE="DOCTOR" comment="" />\n'
        for number, (start, end, text) in enumerate(
            [(31, 40, "Ōta-Smith"), (40, 49, "Ōta-Smith"), (31, 35, "Mustermann"), (900, 905, "Nemo")]
        )
    )
    dataset, (document,) = read(tmp_path, "i2b2_2014", releases.xml_2014(tags=tags))
    start = releases.TEXT_2014.index("Ōta-Smith")
    assert [entity.start for entity in document.entities] == [start, start, 31]
    assert dataset.notes == {
        "mentions kept whose text differs from their place": 1,
        "mentions moved to the nearest occurrence of their text": 2,
        "mentions outside of the text left": 1,
    }


def test_2014_labels_are_types_or_categories_and_patients_are_sources(tmp_path):
    _, (by_type,) = read(tmp_path, "i2b2_2014", releases.xml_2014(), key="220-03")
    dataset, (by_category,) = read(tmp_path, "i2b2_2014", releases.xml_2014(), query="?labels=category", key="220-03")
    assert [entity.label for entity in by_type.entities] == ["DATE", "DOCTOR", "HOSPITAL", "AGE"]
    assert [entity.label for entity in by_category.entities] == ["DATE", "NAME", "LOCATION", "AGE"]
    assert by_type.source == "220"
    typed = write_predictions(dataset, "test", [by_type], tmp_path / "out") / "220-03.xml"
    assert '<NAME id="P1" start="' in typed.read_text() and 'TYPE="DOCTOR"' in typed.read_text()


@pytest.mark.parametrize("text", ["ends in ]]> and <TAG> & more", "été\u2028 ]]>]]>"])
def test_whatever_a_note_holds_is_written_as_it_is(tmp_path, text):
    content = releases.xml_2014(text.replace("]]>", "]]]]><![CDATA[>"), tags="")
    dataset, (document,) = read(tmp_path, "i2b2_2014", content)
    assert document.text == text
    out = write_predictions(dataset, "test", [document], tmp_path / "out")
    assert load_dataset("ner", f"i2b2_2014:{out / '1-01.xml'}").splits["test"][0].text == text


LAUGHS = '<!DOCTYPE x [<!ENTITY a "secret"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
UNKNOWN = '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{LAUGHS}<x><TEXT>&b;</TEXT><TAGS/></x>", "line 1 declares or uses an entity"),
        (f"{EXTERNAL}\n<x><TEXT>&a;</TEXT><TAGS/></x>", "line 1 declares or uses an entity"),
        (f"{UNKNOWN}\n<x><TEXT>&a;</TEXT><TAGS/></x>", "line 2 declares or uses an entity"),
        ("<x>\n<TEXT>secret</TEXT>\n<TAGS></x>", r"1-01\.xml line 3 is not XML: mismatched tag"),
        ("secret", r"1-01\.xml line 1 is not XML"),
        ("", r"1-01\.xml line 1 is not XML"),
        ("<x>\n<TEXT>secret</TEXT></x>", "line 1 has no TEXT or no TAGS"),
        (
            releases.xml_2014(tags='<AGE id="P0" start="secret" end="5" text="secret" TYPE="AGE" />\n'),
            "line 11: start or",
        ),
        (releases.xml_2014(tags='<AGE id="P0" start="4" end="5" text="secret" />\n'), "line 11: a AGE has no TYPE"),
    ],
)
def test_malformed_and_dangerous_xml_is_refused_by_line(tmp_path, content, problem):
    with pytest.raises(NotemillError, match=problem) as refused:
        read(tmp_path, "i2b2_2014", content)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ('<EVENT start="1" end="10" text="Admission" type="TEST" />\n', "line 9: the EVENT has no id"),
        ('<EVENT id="E0" start="1" end="10" text="Admission" />\n', "line 9: the EVENT has no type"),
        ('<EVENT id="E0" start="1.5" end="10" text="Admission" type="TEST" />\n', "line 9: start or end of the EVENT"),
    ],
)
def test_2012_tags_without_what_they_need_are_refused_by_line(tmp_path, tag, problem):
    with pytest.raises(NotemillError, match=problem):
        read(tmp_path, "i2b2_2012", releases.xml_2012(tags=tag))


def test_2014_categories_of_their_own_come_back(tmp_path):
    text = "Seen by the Record of Boston"
    tags = "".join(
        f'<{name} id="P{start}" start="{start}" end="{end}" text="{text[start:end]}" TYPE="{kind}" comment="" />\n'
        for name, kind, start, end in (("PHI", "WEIRD", 0, 4), ("OTHER", "OTHER", 12, 18), ("LOCATION", "CITY", 22, 28))
    )
    content = f"<deIdi2b2>\n<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{tags}</TAGS>\n</deIdi2b2>\n"
    for query in ("", "?labels=category"):
        dataset, gold = read(tmp_path, "i2b2_2014", content, query=query, key="1-01")
        path = write_predictions(dataset, "test", list(gold), tmp_path / f"out{query}")
        settings = {"labels": "category"} if query else {}
        (back,) = read_predictions("ner", "i2b2_2014", path, gold, settings)
        assert [entity.label for entity in back.entities] == [entity.label for entity in gold[0].entities]
