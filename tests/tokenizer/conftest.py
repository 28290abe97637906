"""A small corpus, built by the corpus stage from invented notes, and a tokenizer trained on it."""

import random
from pathlib import Path

import orjson
import pytest
from tokenizers import Tokenizer

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig, ShardConfig, SplitConfig
from data_pipeline.readers.inputs import parse_inputs
from tokenizer.folder import load_tokenizer
from tokenizer.training import TokenizerConfig, train_tokenizer

SETTINGS = TokenizerConfig(vocab_size=1_500, max_digits=2)
_SUBJECTS = ("The patient", "She", "He", "The family", "The nurse", "Mother", "Cardiology", "The resident")
_VERBS = ("denies", "reports", "was given", "tolerated", "received", "declined", "continues on", "has a history of")
_OBJECTS = (
    "chest pain",
    "metoprolol 25mg p.o. b.i.d.",
    "shortness of breath",
    "an echocardiogram",
    "20mg of furosemide",
    "atrial fibrillation with RVR",
    "3 units of PRBCs",
    "hyponatremia (Na 128)",
    "a café-au-lait spot",
    "temperature of 38.5°C",
)
_HEADINGS = ("HISTORY OF PRESENT ILLNESS:", "ASSESSMENT:", "PLAN:", "MEDICATIONS:")


def invent_note(rng: random.Random) -> str:
    """Some sections of sentences, in no order that means anything."""
    sections = []
    for heading in rng.sample(_HEADINGS, rng.randint(1, 3)):
        sentences = [
            f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)} on 03/12/20{rng.randint(10, 20)}."
            for _ in range(rng.randint(1, 6))
        ]
        sections.append(f"{heading} {' '.join(sentences)}")
    return "\n\n".join(sections)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, several shards, all three splits."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(5)
    inputs = []
    for source, count in (("notes", 240), ("letters", 60)):
        path = folder / f"{source}.jsonl"
        rows = [
            {
                "id": f"{source}-{number}",
                "patient_id": number,
                "note_type": f"type {number % 3}",
                "text": invent_note(rng),
            }
            for number in range(count)
        ]
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
        inputs.append(f"{source}=jsonl:{path}")
    config = CorpusConfig(split=SplitConfig(0.8, 0.1, 0.1), shards=ShardConfig(max_rows=60, piece_rows=50))
    build_corpus(BuildRequest(parse_inputs(inputs), folder / "corpus", config, b"k" * 32, None, 1))
    return folder / "corpus"


@pytest.fixture(scope="session")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "tokenizer"
    train_tokenizer(corpus, folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def trained_tokenizer(trained: Path) -> Tokenizer:
    return load_tokenizer(trained)
