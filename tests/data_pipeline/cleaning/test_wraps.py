"""Wrapped lines come together; whatever is or may be layout stays."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.cleaning.wraps import rejoin

PROSE = (
    "The patient is a 67-year-old male with a history of hypertension, presented to us with urgency, frequency, and "
    "dribbling. He was started on alpha-blockers with some help, but had nocturia and was given anticholinergics with "
    "minimal to no help, after which a cystoscopy showed enlargement of the left lateral lobes of the prostate."
)


def wrapped(text: str, width: int = 72, **options: str) -> str:
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False, **options))


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_prose_comes_together(width: int) -> None:
    note = f"HISTORY:\n\n{wrapped(PROSE, width)}\n\nPLAN:\n{wrapped(PROSE, width)}"
    back = rejoin(note).split("\n")
    assert back[:2] == ["HISTORY:", ""] and "PLAN:" in back
    # A line that ends in a full stop may be the end of a paragraph, and stays one.
    assert back[2:4] == [PROSE, ""] or all(line.endswith(".") for line in back[2:-4] if line)


def test_items_with_hanging_indentation_come_together() -> None:
    items = [wrapped(f"{n}. {PROSE}", 72, subsequent_indent="   ") for n in (1, 2)]
    lines = rejoin("\n".join(items)).split("\n")
    assert lines[0].startswith("1. The patient") and sum(line.startswith(("1.", "2.")) for line in lines) == 2
    assert len(lines) < len("\n".join(items).split("\n"))


LAYOUT = [
    "Na 138   K 3.1   Cl 100   HCO3 24   BUN 12   Cr 1.0   Glu 98   Ca 9.1\nna 139   k 3.5   cl 101   hco3 25",
    "sodium\t138\tpotassium 3.1 chloride one hundred and bicarbonate twenty-four\nof which\tnone",
    "1. aspirin 81 mg by mouth once daily in the morning with food and water\n2. metoprolol 25 mg by mouth twice daily",
    "- aspirin 81 mg by mouth once daily in the morning with food and some tea\n- metoprolol 25 mg",
    "ASSESSMENT AND PLAN OF CARE FOR THE PATIENT AS DISCUSSED WITH THE FAMILY OF\nthe patient today",
    "Follow-up with the cardiology clinic in two weeks and with the laboratory.\nno further imaging",
    "the patient was seen and examined with the resident in the clinic on the\nAllergies: none known",
    "the patient was seen and examined with the resident in the clinic as of\n\nnoon",
    "Type 2 diabetes mellitus with neuropathy and nephropathy, well controlled\nHypertension",
]


@pytest.mark.parametrize("layout", LAYOUT)
def test_layout_stays(layout: str) -> None:
    """Among lines that are wrapped, so that the note has a width."""
    prose = wrapped(PROSE)
    note = f"{prose}\n\n{layout}\n\n{prose}"
    assert f"\n\n{layout}\n\n" in rejoin(note)


def test_one_long_line_is_no_width() -> None:
    note = "Allergies: penicillin, sulfa drugs, shellfish, latex and adhesive tape\nno known food allergies"
    assert rejoin(note) == note


@given(
    st.lists(st.text(st.sampled_from("ab .-1:\t|A"), max_size=80) | st.just(wrapped(PROSE)), max_size=8).map("\n".join)
)
def test_only_line_feeds_and_spaces_around_them_change(note: str) -> None:
    assert "".join(rejoin(note).split()) == "".join(note.split())
