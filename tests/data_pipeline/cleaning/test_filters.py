"""Filters leave out what they are told to, and keep what they cannot tell."""

import pytest

from data_pipeline.cleaning.filters import filter_note, guess_language, repeated_share
from data_pipeline.config import CorpusConfig, FilterConfig
from launch.config import load_config
from launch.errors import NotemillError

ENGLISH = (
    "The patient was seen in the clinic and is doing well on the current dose, with no pain. She will return in May."
)
GERMAN = (
    "Der Patient wurde mit Schmerzen in die Klinik gebracht und ist nach der Gabe des Mittels nicht auffällig, die "
    "Werte sind gut"
)
SPANISH = (
    "La paciente fue vista en la consulta por el dolor, y se le dio una dosis que no le hizo efecto en los días del mes"
)
FRENCH = "Le patient est vu dans le service avec une douleur et il est sorti sans traitement par la suite des soins"
TELEGRAM = (
    "Pt c/o CP SOB x3d, PERRLA, EOMI, RRR, CTAB, abd soft NTND, A&Ox3, CBC BMP wnl, EKG NSR, trop neg, ASA 81 given PO"
)


@pytest.mark.parametrize(
    ("text", "language"),
    [(ENGLISH, "en"), (GERMAN, "de"), (SPANISH, "es"), (FRENCH, "fr"), (TELEGRAM, None), ("ok", None)],
)
def test_languages(text: str, language: str | None) -> None:
    assert guess_language(text) == language


def test_another_script_is_another_language_even_in_few_words() -> None:
    assert guess_language("患者 は 安定") == guess_language("Больной спокоен") == "other"
    kept = filter_note(TELEGRAM, FilterConfig(language="en"))
    assert kept.reason is None and kept.text == TELEGRAM
    assert filter_note(SPANISH, FilterConfig(language="en")).reason == "other_language"


def test_boilerplate_lines_go_and_the_rest_stays() -> None:
    config = FilterConfig(boilerplate=["confidential.*", r"page \d+ of \d+"])
    result = filter_note("Pain.\n\nPAGE 1 OF 2\nNo page 3 of 4 here.\n  Confidential - do not copy", config)
    assert (result.text, result.removed_lines, result.reason) == ("Pain.\n\nNo page 3 of 4 here.", 2, None)
    assert filter_note("Confidential", config).reason == "boilerplate"


def test_short_and_repetitive_notes() -> None:
    assert filter_note("two words", FilterConfig(min_words=3)).reason == "too_short"
    assert filter_note("now three words", FilterConfig(min_words=3)).reason is None
    printed = "\n".join(["This report was printed by the system."] * 9 + ["Real text."])
    assert repeated_share(printed) > 0.8 > repeated_share("No.\nNo.\nNo.\nNo.")
    assert filter_note(printed, FilterConfig(max_repeated_lines=0.5)).reason == "boilerplate"
    assert filter_note(printed, FilterConfig()).reason is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("filters.language=klingon", "must be one of en, de"),
        ("filters.boilerplate=['(']", r"boilerplate\[0\] is no regular expression"),
        ("filters.min_words=-1", "must not be negative"),
        ("dedup.jaccard=1.5", "dedup.jaccard is 1.5"),
        ("dedup.jaccard=0.3", "at least 0.5"),
        ("decontamination.ngram_words=0", "at least 1"),
    ],
)
def test_wrong_settings_are_told(setting: str, message: str) -> None:
    with pytest.raises(NotemillError, match=message):
        load_config(CorpusConfig, None, [setting])
