"""The card says what was attested of the text that the model was trained on, and what is not known."""

from dataclasses import replace

from data_pipeline.gate.carried import add_corpus, corpora_seen
from pretrain.checkpoint import VERSION, CheckpointInfo
from pretrain.config import load_pretrain_config
from pretrain.huggingface.model_card import model_card

INFO = CheckpointInfo(VERSION, 100, 1600, 200_000, 512, "f" * 64, "d" * 64, 1)
PARITY = {"max_abs_logit_difference": 1e-6, "tolerance": 1e-4}
ATTESTED = {
    "corpus_manifest_sha256": "a" * 64,
    "shards_sha256": "b" * 64,
    "notes": 12345,
    "mode": "surrogate",
    "detectors": ["patterns", "lexicons"],
    "patients_looked_for": None,
    "staff_looked_for": 3,
    "checks": ["staff name", "SSN shape"],
    "held": 7,
    "waivers": [
        {"check": "roster of patients", "meaning": "identifiers by pattern only", "reason": "it is on its way"},
        {"check": "review by people", "meaning": "no sample was drawn", "reason": None},
    ],
    "review": {"state": "passed", "sampled": 3010, "reviewed": 3010, "leaks": 0, "bound": 0.000998, "confidence": 0.95},
    "statement": "",
}


def card(corpora: list) -> str:
    config = load_pretrain_config("configs/tiny.yaml", [])
    return model_card(config, replace(INFO, corpora=corpora), PARITY, is_cased=True)


def test_the_card_names_corpus_checks_waivers_and_review() -> None:
    page = card([ATTESTED])
    for said in (
        "Corpus `aaaaaaaaaaaa`: 12,345 notes",
        "De-identified by patterns, lexicons",
        "Notes held back: 7",
        "passed, 3,010 of 3,010 notes read, 0 leaking; at most 0.0998% of its notes leak (95% confidence)",
        "Waived: roster of patients; identifiers by pattern only. Reason recorded: it is on its way.",
        "Waived: review by people; no sample was drawn. No reason was recorded.",
        "replaced by invented values",
    ):
        assert said in page
    assert "strings such as [**NAME**]" not in page


def test_what_is_not_known_is_said() -> None:
    assert "What was attested of the training text is not recorded" in card([])
    corpora = add_corpus([ATTESTED], "c" * 64, None)
    page = card(corpora)
    assert corpora_seen(corpora, is_imported=False) == ["a" * 64, "c" * 64]
    assert corpora_seen(corpora[:1], is_imported=True) == ["unknown", "a" * 64]
    assert page.index("Corpus `aaaaaaaaaaaa`") < page.index("Corpus `cccccccccccc`: what was attested of it is not")
    assert add_corpus(corpora, "a" * 64, ATTESTED)[-1] == ATTESTED and len(add_corpus(corpora, "a" * 64, ATTESTED)) == 2


def test_the_recipe_on_the_card_is_the_runs() -> None:
    config = load_pretrain_config(
        "configs/tiny.yaml", ["train.lr_schedule=wsd", "train.steps=400", "train.sentence_order=false"]
    )
    page = model_card(config, INFO, PARITY, is_cased=False)
    assert "constant until 40 steps of linear decay" in page and "takes capitals for small letters" in page
    assert "sentence-order" not in page
    assert "and sentence-order prediction. The vocabulary is cased." in card([])
