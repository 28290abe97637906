"""Small invented releases, file for file in the form in which each set is distributed."""

import json
from pathlib import Path


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NOTE_2010 = (
    "Admission Date :\n2014-03-02\nHe denies chest pain , naïve to Aspirin .\nCT of the head  showed no bleed .\n"
)
CON_2010 = (
    'c="chest pain" 3:2 3:3||t="problem"\n'
    'c="aspirin" 3:7 3:7||t="treatment"\n'
    'c="ct of the head" 4:0 4:3||t="test"\n'
    'c="bleed" 4:6 4:6||t="problem"\n'
)
AST_2010 = (
    'c="chest pain" 3:2 3:3||t="problem"||a="absent"\n'
    'c="bleed" 4:6 4:6||t="problem"||a="associated_with_someone_else"\n'
)
REL_2010 = (
    'c="aspirin" 3:7 3:7||r="TrAP"||c="chest pain" 3:2 3:3\nc="ct of the head" 4:0 4:3||r="TeRP"||c="bleed" 4:6 4:6\n'
)


def i2b2_2010(root: Path) -> Path:
    train = root / "concept_assertion_relation_training_data"
    for site, key in (("beth", "record-13"), ("partners", "018636330_DH")):
        put(train / site / "txt" / f"{key}.txt", NOTE_2010)
        put(train / site / "concept" / f"{key}.con", CON_2010)
        put(train / site / "ast" / f"{key}.ast", AST_2010)
        put(train / site / "rel" / f"{key}.rel", REL_2010)
    reference = root / "reference_standard_for_test_data"
    put(root / "test_data" / "0001.txt", NOTE_2010.replace("\n", "\r\n"))
    put(reference / "concepts" / "0001.con", CON_2010.replace("\n", "\r\n"))
    put(reference / "ast" / "0001.ast", AST_2010)
    put(reference / "rel" / "0001.rel", REL_2010)
    # A note in which nothing is marked.
    put(root / "test_data" / "0002.txt", "None .\n")
    for folder, suffix in (("concepts", "con"), ("ast", "ast"), ("rel", "rel")):
        put(reference / folder / f"0002.{suffix}", "")
    return root


TEXT_2012 = "\nAdmission Date :\n09/14/1998\nShe had fever & a D&C on the next day , señor .\n"


def xml_2012(text: str = TEXT_2012, shift: int = 0, ampersand: str = "&amp;", tags: str | None = None) -> str:
    def at(surface: str) -> str:
        start = text.replace("\r", "").index(surface) + shift
        shown = surface.replace("&", ampersand)
        return f'start="{start}" end="{start + len(surface)}" text="{shown}"'

    written = tags
    if written is None:
        written = (
            f'<EVENT id="E0" {at("Admission")} modality="FACTUAL" polarity="POS" type="OCCURRENCE" />\n'
            f'<EVENT id="E1" {at("fever")} modality="FACTUAL" polarity="NEG" type="PROBLEM" />\n'
            f'<EVENT id="E2" {at("D&C")} modality="PROPOSED" polarity="POS" type="TREATMENT" />\n'
            f'<TIMEX3 id="T0" {at("09/14/1998")} type="DATE" val="1998-09-14" mod="NA" />\n'
            f'<SECTIME id="S0" {at("09/14/1998")} type="ADMISSION" dvalue="1998-09-14" />\n'
            '<SECTIME id="S1" start="" end="" text="" type="DISCHARGE" dvalue="" />\n'
            '<TLINK id="TL0" fromID="E1" fromText="fever" toID="T0" toText="09/14/1998" type="OVERLAP" />\n'
            '<TLINK id="TL1" fromID="E0" fromText="Admission" toID="S0" toText="" type="OVERLAP" />\n'
            '<TLINK id="TL2" fromID="E2" fromText="x" toID="E1" toText="fever" type="AFTER" />\n'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<ClinicalNarrativeTemporalAnnotation>\n'
        f"<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{written}</TAGS>\n</ClinicalNarrativeTemporalAnnotation>\n"
    )


def i2b2_2012(root: Path) -> Path:
    train = root / "2012-07-15.original-annotation.release"
    put(train / "1.xml", xml_2012())
    put(train / "1.xml.extent", "companion, not read\n")
    put(train / "1.xml.tlink", "companion, not read\n")
    put(train / "23.xml", xml_2012(ampersand="&"))
    test = root / "ground_truth"
    for form in ("merged_xml", "unmerged_xml"):
        put(test / form / "3.xml", b"\xef\xbb\xbf" + xml_2012().encode())
        put(test / form / "7.xml", xml_2012(tags=""))
    put(test / "merged_i2b2" / "3.i2b2.event", "companion, not read\n")
    return root


TEXT_2014 = "\n\n\nRecord date: 2067-05-03\n\nDr. Ōta-Smith <seen> at Cape & Cod, age 71\n"


def xml_2014(text: str = TEXT_2014, tags: str | None = None) -> str:
    def at(surface: str, xml: str | None = None) -> str:
        start = text.replace("\r\n", "\n").index(surface)
        return f'start="{start}" end="{start + len(surface)}" text="{xml or surface}"'

    written = tags
    if written is None:
        written = (
            f'<DATE id="P0" {at("2067-05-03")} TYPE="DATE" comment="" />\n'
            f'<NAME id="P1" {at("Ōta-Smith")} TYPE="DOCTOR" comment="" />\n'
            f'<LOCATION id="P2" {at("Cape & Cod", "Cape &amp; Cod")} TYPE="HOSPITAL" comment="" />\n'
            f'<AGE id="P3" {at("71")} TYPE="AGE" comment="" />\n'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<deIdi2b2>\n'
        f"<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{written}</TAGS>\n</deIdi2b2>\n"
    )


def i2b2_2014(root: Path) -> Path:
    for folder, keys in (
        ("training-PHI-Gold-Set1", ("220-01", "220-02", "221-01")),
        ("training-PHI-Gold-Set2", ("300-01",)),
        ("testing-PHI-Gold-fixed", ("110-01", "110-02")),
    ):
        for key in keys:
            put(root / folder / f"{key}.xml", xml_2014(tags="" if key == "110-02" else None))
    return root


TEXT_2018 = "Patient on Lisinopril 10 mg\ndaily for high blood pressure .\n"
ANN_2018 = (
    "T1\tDrug 11 21\tLisinopril\nT2\tStrength 22 27\t10 mg\nT3\tFrequency 28 33\tdaily\n"
    "T4\tReason 38 57\thigh blood pressure\nT5\tDosage 22 27;28 33\t10 mg daily\n"
    "R1\tStrength-Drug Arg1:T2 Arg2:T1\nR2\tReason-Drug Arg1:T4 Arg2:T1\n"
)


def n2c2_2018(root: Path) -> Path:
    for folder, keys in (("training_20180910", ("100035", "100039")), ("gold-standard-test-data/test", ("100002",))):
        for key in keys:
            put(root / folder / f"{key}.txt", TEXT_2018)
            put(root / folder / f"{key}.ann", ANN_2018)
    put(root / "gold-standard-test-data/test/100003.txt", "Nothing .\n")
    put(root / "gold-standard-test-data/test/100003.ann", "")
    put(root / "test_data_without_annotations/100009.txt", "Not annotated .\n")
    return root


def n2c2_2019(root: Path) -> Path:
    put(root / "clinicalSTS2019.train.txt", 'He "naps.\tHe sleeps.\t4.5\nNo cough\tFièvre\t0\nA b\tA b\t5.0\n')
    put(root / "clinicalSTS2019.test.txt", "A cough.\tA 'cough\r\nOne\tTwo\r\nA b\tB c\r\n")
    put(root / "clinicalSTS2019.test.gs.sim.txt", "5\n0.5\n2\n")
    return root


def mednli(root: Path) -> Path:
    for split, labels in (
        ("train", "entailment neutral contradiction"),
        ("dev", "neutral"),
        ("test", "neutral contradiction -"),
    ):
        rows = [
            {
                "sentence1": f"Labs were notable for Cr {number}, α.",
                "pairID": f"{split}-{number}",
                "sentence1_parse": "(ROOT)",
                "sentence1_binary_parse": "( )",
                "sentence2": f"Creatinine is {number}",
                "sentence2_parse": "(ROOT)",
                "sentence2_binary_parse": "( )",
                "gold_label": label,
            }
            for number, label in enumerate(labels.split())
        ]
        put(root / f"mli_{split}_v1.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return root


def emrqa_note(key: str) -> dict[str, object]:
    lines = ["Admission\n", "He takes  Aspirin 81 mg daily .\n", "It is for chest pain\n", "as before .\n"]
    answer = {
        "text": "aspirin",
        "answer_start": [2, 2],
        "evidence": lines[1],
        "evidence_start": 2,
        "answer_entity_type": "single",
    }
    both = {
        "text": "chest pain",
        "answer_start": [3, 3],
        "evidence": ",".join(lines[2:]),
        "evidence_start": 3,
        "answer_entity_type": "empty",
    }
    complex_one = answer | {"answer_entity_type": "complex"}
    pieces = both | {"evidence": [lines[1], lines[2]], "evidence_start": [2, 3]}
    nowhere = answer | {"text": "warfarin", "evidence": "He takes warfarin"}
    return {
        "note_id": key,
        "context": lines,
        "qas": [
            {"id": [[["q", "q"]], "t"], "question": ["What does he take?", "Which drug?"], "answers": [answer]},
            {"id": "b", "question": ["Why?"], "answers": [both, complex_one]},
            {"id": "c", "question": ["Which dose?"], "answers": [complex_one]},
            {"id": "d", "question": ["All?"], "answers": [pieces]},
            {"id": "e", "question": ["Blood thinner?"], "answers": [nowhere]},
        ],
    }


def emrqa(root: Path) -> Path:
    parts = [
        {"title": "medication", "paragraphs": [emrqa_note(f"{number}") for number in range(10)]},
        {"title": "relations", "paragraphs": [emrqa_note(f"{number}") for number in range(5, 10)]},
        {"title": "smoking", "paragraphs": [emrqa_note("1")]},
    ]
    put(root / "data.json", json.dumps({"data": parts, "version": "1.0"}))
    return root


PUBTATOR = (
    "227508|t|Naloxone reverses clonidine — really.\n227508|a|In rats, clonidine lowers β-blood pressure.\n"
    "227508\t0\t8\tNaloxone\tChemical\tD009270\n227508\t18\t27\tclonidine\tChemical\tD003000\n"
    "227508\t64\t80\tβ-blood pressure\tDisease\tD1|D2\tblood|pressure\n227508\tCID\tD003000\tD1\n\n"
)


def pubtator(root: Path) -> Path:
    body = PUBTATOR + "5|t|Nothing here\n5|a|\n\n"
    for name in ("TrainingSet", "DevelopmentSet", "TestSet"):
        put(root / "CDR_Data" / "CDR.Corpus.v010516" / f"CDR_{name}.PubTator.txt", body)
    return root


BIOC = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>x</source><date></date><key></key>
<document><id>10</id><passage><infon key="type">title</infon><offset>0</offset><text>Naloxone &amp; clonidine</text>
<annotation id="1"><infon key="type">Chemical</infon><location offset="0" length="8"/><text>Naloxone</text></annotation>
</passage><passage><offset>25</offset><text>Blood and urine pressure fell.</text>
<annotation id="2"><infon key="type">Sign</infon><location offset="25" length="5"/><location offset="41" length="8"/>
<text>Blood pressure</text></annotation></passage>
<relation id="R1"><infon key="type">lowers</infon><node refid="1" role="Arg1"/><node refid="2" role="Arg2"/></relation>
<relation id="R2"><infon key="relation">CID</infon><infon key="Chemical">D1</infon></relation></document>
<document><id>11</id><passage><offset>0</offset><text>Nothing.</text></passage></document></collection>
"""


def bioc(root: Path) -> Path:
    for name in ("Train", "Dev", "Test"):
        put(root / f"{name}.BioC.XML", BIOC)
    return root
