"""Test scores printed in the GatorTron paper, to stand beside a user's own run.

They were noted from the paper's tables and not re-measured; every place that prints them says "published, unverified".
"""

from dataclasses import dataclass

COLUMNS = (
    "i2b2 2010 NER F1",
    "i2b2 2012 NER F1",
    "n2c2 2018 NER F1",
    "n2c2 2018 RE F1",
    "n2c2 2019 STS Pearson",
    "MedNLI accuracy",
    "emrQA medication F1 / EM",
    "emrQA relation F1 / EM",
)


@dataclass(frozen=True)
class PublishedRow:
    model: str
    scores: tuple[str, ...]
    """In the order of COLUMNS."""


PUBLISHED = (
    PublishedRow("BioBERT", (".8673", ".7747", ".8775", ".9555", ".8744", ".8050", ".6997 / .2475", ".9262 / .8361")),
    PublishedRow(
        "ClinicalBERT", (".8780", ".7890", ".8710", ".9544", ".8787", ".8270", ".6905 / .2406", ".9306 / .8533")
    ),
    PublishedRow(
        "GatorTron-base", (".8893", ".7922", ".8896", ".9599", ".8810", ".8670", ".7181 / .2978", ".9543 / .9029")
    ),
    PublishedRow(
        "GatorTron-medium", (".8994", ".8022", ".8994", ".9611", ".8903", ".8720", ".7354 / .3018", ".9677 / .9243")
    ),
    PublishedRow(
        "GatorTron-large", (".8996", ".8091", ".9000", ".9627", ".8896", ".9020", ".7408 / .3155", ".9719 / .9310")
    ),
)
