import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Seen by Dr. Smith with Mrs. Jones at St. Mary.",
        "Pt. denies pain.",
        "Metoprolol 25 mg. b.i.d. p.o. and aspirin 81 mg. q.d.",
        "Room No. 3 vs. No. 4.",
        "J. R. Smith came.",
        "K 3.1 and Na 128.5 today.",
        "1. Aspirin 81 mg",
        "approx. 5 cm, cf. Fig. 2.",
        "e.g. beta blockers",
        "The pain radiates to the left arm and is made worse by exertion\nand relieved by rest.",
        "The patient came to the emergency department and was seen by Dr.\nJones.",
        "Dr.Smith saw p.Arg147Leufs and e.g.Foo at www.hospital.Org",
        "Plavix b.i.d.,Tylenol p.r.n.,Motrin",
        "Seen by J. Watson and Dr. X. Petty for follow-up.",
        "Omeprazole 20 mg p.o. q. day",
        "4.\nSaphenous vein graft",
    ],
)
def test_one_sentence(text):
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pain. He left.", ["No pain.", "He left."]),
        ("Allergies? No. He denies any.", ["Allergies?", "No.", "He denies any."]),
        ("Continue 80 mg. Follow up in May.", ["Continue 80 mg.", "Follow up in May."]),
        ("Taken q.d. Plavix was stopped.", ["Taken q.d.", "Plavix was stopped."]),
        ("PLAN:\nAspirin\nHome", ["PLAN:", "Aspirin", "Home"]),
        ("one\n\n\ntwo", ["one", "two"]),
        ("BP: 120/80\nTemp: 98.6\r\nHR: 60", ["BP: 120/80", "Temp: 98.6", "HR: 60"]),
        ("MEDS: 1. Aspirin 81 mg daily. 2. Plavix.", ["MEDS: 1. Aspirin 81 mg daily.", "2. Plavix."]),
        ("- fever\n- cough", ["- fever", "- cough"]),
        ("Seen on [**DATE**]. [**NAME**] left.", ["Seen on [**DATE**].", "[**NAME**] left."]),
        ('"It hurts!" She said so. (It did.) Then', ['"It hurts!"', "She said so.", "(It did.)", "Then"]),
        (
            "The pain radiates to the left arm and is made worse by exertion\n1. stop smoking",
            ["The pain radiates to the left arm and is made worse by exertion", "1. stop smoking"],
        ),
        (
            "The pain radiates to the left arm and is made worse by exertion\nPLAN: rest",
            ["The pain radiates to the left arm and is made worse by exertion", "PLAN: rest"],
        ),
        ("No pain.He left the room.", ["No pain.", "He left the room."]),
        ("Placed in the bone.,The wound was closed.", ["Placed in the bone.,", "The wound was closed."]),
        ("Seen on 8/14/95.,Evaluation at", ["Seen on 8/14/95.,", "Evaluation at"]),
        ("Referred by Dr. X. The patient left.", ["Referred by Dr. X.", "The patient left."]),
        ("Loss was 1 L. The patient woke.", ["Loss was 1 L.", "The patient woke."]),
        ("Interval 54 ms. Corrected 458 ms.", ["Interval 54 ms.", "Corrected 458 ms."]),
        ("Removal of osteophytes, etc. The wound healed.", ["Removal of osteophytes, etc.", "The wound healed."]),
        ("Measured 13 mm. A 32 sizer was used.", ["Measured 13 mm.", "A 32 sizer was used."]),
        ("1.\nAspirin\n2.\nPlavix", ["1.\nAspirin", "2.\nPlavix"]),
        ("  leading and trailing \n", ["leading and trailing"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_several_sentences(text, expected):
    assert sentences(text) == expected


_CLINICAL = st.lists(
    st.sampled_from(
        [
            "Dr.",
            "mg.",
            "q.d.",
            "bone.,The",
            "pain.He",
            "2.\n",
            "Dr. X. The",
            "No.",
            "The",
            "pt.",
            "1.",
            "-",
            "\n",
            "\n\n",
            " ",
            "\r\n",
            "[**NAME**]",
            "?!",
        ]
    )
    | st.text(max_size=6),
    max_size=40,
).map(" ".join)


@given(st.text() | _CLINICAL)
def test_every_character_but_space_is_in_one_sentence(text):
    spans = split_sentences(text)
    covered = bytearray(len(text))
    for start, end in spans:
        assert start < end
        assert not text[start].isspace() and not text[end - 1].isspace()
        for position in range(start, end):
            covered[position] += 1
    assert spans == sorted(spans)
    assert all(count == 1 for count, char in zip(covered, text, strict=True) if not char.isspace())
    assert max(covered, default=0) <= 1


def test_long_unbroken_text_takes_linear_time():
    import time

    # Wrapped lines that never end a sentence, a megabyte of periods, a megabyte of newlines.
    for text in (
        ("word " * 14 + "and\n") * 14_000,
        ". " * 500_000,
        "\n" * 1_000_000,
        "a. " * 300_000,
        "pain.He" * 100_000,
    ):
        begin = time.process_time()
        split_sentences(text)
        assert time.process_time() - begin < 5
