"""From gold spans to a detector: the project's own NER command trains what `deid.tagger` reads."""

import json
import shutil
from pathlib import Path

import pytest

from data_pipeline.config import DeidConfig
from data_pipeline.deid import tagger as tagger_module
from data_pipeline.deid.detect import find_phi
from data_pipeline.deid.score import read_gold, score_deid
from data_pipeline.deid.split_gold import split_gold
from data_pipeline.deid.tagger import Tagger, tagger_sha256
from eval import words
from eval.finetune.recipe import load_recipe
from eval.run import evaluate
from launch.errors import NotemillError
from tests.data_pipeline.corpora import build, texts, write_jsonl
from tests.eval.finetune.toys import write_model

NAMES = ["zab", "kiv", "wob"]
"""Spelt with letters alone, so that the toy tokenizer reads them; no pattern and no list knows them."""


def write_gold(path: Path, count: int = 90) -> Path:
    lines = []
    for number in range(count):
        name = NAMES[number % 3] + "aeiou"[number % 5]
        text = f"{'pain, ' * (number % 9)}met {name} now. pt {'denies' if number % 2 else 'takes'} pain, case {number}"
        start = text.index(name)
        spans = [{"start": start, "end": start + len(name), "label": "NAME"}]
        lines.append(json.dumps({"id": str(number), "subject_id": str(number // 2), "text": text, "spans": spans}))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("loop")
    base = write_model(folder / "base")
    counts = split_gold(write_gold(folder / "gold.jsonl"), folder / "marked", 0.3, 0.1)
    assert sum(counts.values()) == 90
    settings = [
        "seeds=[0,1]",
        "epochs=12",
        "lr=5e-3",
        "max_length=48",
        "stride=32",
        "save_model=true",
        "precision=fp32",
    ]
    evaluate(base, "ner", f"spans:{folder / 'marked'}", folder / "out", load_recipe("ner", None, settings))
    return folder / "marked", folder / "out" / "model"


def test_gold_to_tagger_to_score(trained: tuple[Path, Path]) -> None:
    marked, model = trained
    notes = read_gold(marked / "test.jsonl")
    without, with_tagger = score_deid(notes), score_deid(notes, config=DeidConfig(tagger=str(model)))
    assert without["recall"] == 0.0
    assert with_tagger["recall"] == 1.0 and with_tagger["precision"] is not None and with_tagger["precision"] > 0.95
    assert with_tagger["detectors"] == ["patterns", "lexicons", "tagger"]


def test_a_build_uses_it_and_says_so(trained: tuple[Path, Path], tmp_path: Path) -> None:
    notes = write_jsonl(tmp_path / "n.jsonl", [{"id": "a", "text": "pain, met kivo now."}])
    manifest = build(tmp_path / "out", f"jsonl:{notes}", settings=[f"deid.tagger={trained[1]}"])
    assert texts(tmp_path / "out") == {"a": "pain, met [**NAME**] now."}
    assert manifest["attestation"]["detectors"] == ["patterns", "lexicons", "tagger"]
    # Where the folder lies decides nothing, what it holds does.
    moved = shutil.copytree(trained[1], tmp_path / "moved")
    assert build(tmp_path / "out", f"jsonl:{notes}", settings=[f"deid.tagger={moved}"]) == manifest
    with pytest.raises(NotemillError, match="other inputs, settings"):
        build(tmp_path / "out", f"jsonl:{notes}")


def test_patients_do_not_straddle(trained: tuple[Path, Path]) -> None:
    sides = [
        {note.patient_id for note in read_gold(trained[0] / f"{split}.jsonl")} for split in ("train", "dev", "test")
    ]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_stock_transformers_loads_it(trained: tuple[Path, Path]) -> None:
    from transformers import AutoTokenizer, pipeline

    found = pipeline("token-classification", str(trained[1]), aggregation_strategy="first")("met zaba now")
    assert [(item["entity_group"], item["start"], item["end"]) for item in found] == [("NAME", 4, 8)]
    assert AutoTokenizer.from_pretrained(str(trained[1])).model_max_length == 48


def test_every_word_of_a_long_note_is_read_once(trained: tuple[Path, Path]) -> None:
    text = "pain, pain, met kivo now. " * 60
    spans = Tagger(trained[1]).find(text)
    assert [text[span.start : span.end] for span in spans] == ["kivo"] * 60
    assert Tagger(trained[1], threshold=0.999999).find(text) == []


def test_words_are_those_of_training() -> None:
    text = "[**NAME**]'s 3.5 mg/dL — Ünal_2 x"
    assert tuple(match.span() for match in tagger_module.WORD.finditer(text)) == words.words_of(text)


def test_folders_that_are_no_tagger(tmp_path: Path, trained: tuple[Path, Path]) -> None:
    with pytest.raises(NotemillError, match=r"config\.json"):
        tagger_sha256(tmp_path)
    with pytest.raises(NotemillError, match="no trained tagger"):
        Tagger(write_model(tmp_path / "base"))
    config = json.loads((trained[1] / "config.json").read_text())
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((trained[1] / name).read_bytes())
    config["id2label"]["1"] = "B-PET"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotemillError, match="B-PET"):
        Tagger(tmp_path)
    assert tagger_sha256(tmp_path) != tagger_sha256(trained[1])


def test_presidio_joins_the_union() -> None:
    pytest.importorskip("presidio_analyzer", reason="needs the optional package presidio-analyzer")
    from data_pipeline.deid.presidio import Presidio

    text = "wallet 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ today"
    spans = find_phi(text, finders=[Presidio("patterns").find])
    assert any(text[span.start : span.end].startswith("16Yek") for span in spans)
    with pytest.raises(NotemillError, match="no spaCy pipeline"):
        Presidio("there_is_none")
