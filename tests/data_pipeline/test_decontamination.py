"""Notes that hold passages of evaluation sets are found, as a slow comparison finds them, and told in the manifest."""

import json
import random
from pathlib import Path

import pytest

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig, DecontaminationConfig
from data_pipeline.decontamination import EvaluationIndex, EvaluationSet, write_index
from data_pipeline.readers.inputs import parse_inputs
from eval.formats.texts import read_texts
from launch.config import load_config
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY, texts, write_jsonl


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices([f"word{n}" for n in range(5000)], k=count))


def runs(text: str, count: int) -> set[tuple[str, ...]]:
    found = text.lower().split()
    return set(zip(*(found[i:] for i in range(count)), strict=False))


@pytest.mark.parametrize("min_shared", [1, 4])
def test_agrees_with_a_slow_search(tmp_path: Path, min_shared: int) -> None:
    rng = random.Random(1)
    first = EvaluationSet("first", [words(rng, 40) for _ in range(30)] + ["too short"])
    second = EvaluationSet("second", [first.texts[3], *(words(rng, 30) for _ in range(10))])
    notes = [words(rng, 60) for _ in range(40)]
    for index in range(0, 40, 3):
        passage = rng.choice([*first.texts[:-1], *second.texts]).split()
        begin = rng.randrange(10)
        notes[index] += " " + " ".join(passage[begin : begin + rng.choice([12, 13, 15, 20])]).upper()
    config = DecontaminationConfig(min_shared=min_shared)
    write_index(tmp_path / "e.index", [first, second], config.ngram_words)
    found = EvaluationIndex(tmp_path / "e.index").find(notes, config)
    expected = {name: (set(), set()) for name in ("first", "second")}
    for item in (first, second):
        passages = [runs(text, 13) for text in item.texts]
        for index, note in enumerate(notes):
            own = runs(note, 13)
            if len(own & set().union(*passages)) >= min_shared:
                expected[item.name][0].add(index)
                expected[item.name][1].update(number for number, passage in enumerate(passages) if passage & own)
    assert any(expected["first"]) and set(found.by_set) == {name for name, (hit, _) in expected.items() if hit}
    for name, item in found.by_set.items():
        assert item == {"notes": len(expected[name][0]), "texts": sorted(expected[name][1])}
    assert [i for i, hit in enumerate(found.notes) if hit] == sorted(expected["first"][0] | expected["second"][0])


@pytest.mark.parametrize("action", ["drop", "report"])
def test_the_manifest_tells(tmp_path: Path, action: str) -> None:
    rng = random.Random(2)
    passage = words(rng, 20)
    notes = [words(rng, 30) for _ in range(9)] + [f"{words(rng, 9)} {passage.upper()} {words(rng, 9)}"]
    path = write_jsonl(tmp_path / "n.jsonl", [{"id": f"n{i}", "text": text} for i, text in enumerate(notes)])
    write_jsonl(tmp_path / "test.jsonl", [{"text": f"So {passage}", "label": "a"}, {"text": "short", "label": "b"}])
    config = load_config(CorpusConfig, None, [f"decontamination.action={action}"])
    sets = [EvaluationSet("mine", read_texts(f"jsonl:{tmp_path}/test.jsonl"))]
    folders = []
    for workers in (1, 2):
        folders.append(tmp_path / f"corpus{workers}")
        manifest = build_corpus(
            BuildRequest(parse_inputs([f"jsonl:{path}"]), folders[-1], config, KEY, None, workers, sets)
        )
        assert manifest["counts"]["rejected"] == ({"contaminated": 1} if action == "drop" else {})
        row = {"name": "mine", "texts": 2, "texts_too_short": 1, "texts_found": 1, "notes": 1}
        assert manifest["decontamination"] is not None and manifest["decontamination"]["sets"] == [row]
        assert ("n9" in texts(folders[-1])) == (action == "report")
        assert "word1" not in json.dumps(manifest)
    assert (folders[0] / "manifest.json").read_bytes() == (folders[1] / "manifest.json").read_bytes()
    with pytest.raises(NotemillError, match="holds a corpus of other"):
        build_corpus(BuildRequest(parse_inputs([f"jsonl:{path}"]), folders[0], config, KEY))


def test_texts_of_every_kind_of_set(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "p.jsonl", [{"sentence1": "one", "sentence2": "two", "label": "neutral"}])
    assert read_texts(f"jsonl:{tmp_path}/p.jsonl") == ["one", "two"]
    (tmp_path / "q.json").write_text(
        json.dumps(
            {"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q?", "answers": []}]}]}]}
        )
    )
    assert read_texts(f"squad:{tmp_path}/q.json") == ["c", "q?"]
    (tmp_path / "d.txt").write_text("A note.")
    (tmp_path / "d.ann").write_text("")
    assert read_texts(f"brat:{tmp_path}") == ["A note."]
    for spec, message in (
        ("nosuch:x", "formats of evaluation sets are brat"),
        (f"jsonl:{tmp_path}/no", "no task data"),
    ):
        with pytest.raises(NotemillError, match=message):
            read_texts(spec)
