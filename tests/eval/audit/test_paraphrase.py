"""A paraphrase says the same: the figures, negations and findings of the note, counted."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.audit.paraphrase import paraphrase, paraphrases

NOTE = (
    "Patient is a 64 year old with hypertension and shortness of breath. Lungs clear. Abdomen soft. No edema.\n"
    "Denies fever, chills or cough. Started on 40 mg furosemide twice a day, follow up in 2 weeks."
)


def _negations(text: str) -> int:
    return len(re.findall(r"\b(?:no|not|denies|without|does not report)\b|w/o", text, re.IGNORECASE))


def test_versions_differ_and_keep_figures_and_negations() -> None:
    versions = paraphrases(NOTE, 5, 0)
    assert len(versions) == 5 and len(set(versions)) == 5 and NOTE not in versions
    for version in versions:
        assert Counter(re.findall(r"\d+", version)) == Counter(re.findall(r"\d+", NOTE))
        assert _negations(version) == _negations(NOTE)
        assert re.search(r"furosemide", version) and re.search(r"chills", version)


def test_equal_seeds_give_equal_versions() -> None:
    assert paraphrases(NOTE, 3, 7) == paraphrases(NOTE, 3, 7)


def test_nothing_to_say_otherwise() -> None:
    assert paraphrases("Xyzzy 12.", 3, 0) == []
    assert paraphrases("", 3, 0) == []


@pytest.mark.parametrize(
    "text",
    [
        "severe pain, nausea or vomiting.",
        "Severe pain, nausea or vomiting.",
        "pain in left arm, leg and back.",
        "no rash, left arm and leg.",
        "was given aspirin, heparin and morphine.",
    ],
)
def test_a_list_whose_first_words_belong_to_one_item_stays(text: str) -> None:
    items = re.sub(r"\b(?:was given|received|severe|marked)\b", "", text, flags=re.IGNORECASE)
    for seed in range(20):
        other = paraphrase(text, random.Random(seed))
        kept = re.sub(r"\b(?:was given|received|severe|marked)\b", "", other, flags=re.IGNORECASE)
        assert kept.strip().lower() == items.strip().lower()


def test_list_items_change_places_behind_an_opener() -> None:
    seen = {paraphrase("denies rash, chills or cough.", random.Random(seed)) for seed in range(40)}
    orders = {tuple(re.findall(r"rash|chills|cough", text)) for text in seen}
    assert len(orders) > 3
    assert all(re.match(r"(?:denies|does not report) \w+, \w+ or \w+\.$", text) for text in seen)


def test_what_happened_is_told_in_its_order() -> None:
    text = "Patient was intubated. Patient was extubated. He went home."
    for seed in range(20):
        other = paraphrase(text, random.Random(seed))
        assert other.index("intubated") < other.index("extubated")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.integers(0, 5))
def test_any_text_keeps_its_figures(text: str, seed: int) -> None:
    other = paraphrase(text, random.Random(seed))
    assert Counter(re.findall(r"\d", other)) == Counter(re.findall(r"\d", text))
