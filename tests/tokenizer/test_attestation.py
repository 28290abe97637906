"""What was attested of a corpus goes with its tokens, follows the review, and is refused where it does not belong."""

import json
import shutil
from pathlib import Path

import pytest

from data_pipeline.gate.review import load_sample, record
from data_pipeline.manifest import load_corpus
from launch.errors import NotemillError
from pretrain.data.index import read_tokens_manifest
from pretrain.data.verify import verify_tokens
from tokenizer.tokens import build_tokens


@pytest.fixture
def own(corpus: Path, trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A corpus whose review may change, and its tokens."""
    shutil.copytree(corpus, tmp_path / "corpus")
    build_tokens(tmp_path / "corpus", trained, tmp_path / "tokens")
    return tmp_path / "corpus", tmp_path / "tokens"


def edit(tokens: Path, change: dict[str, object]) -> None:
    path = tokens / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_tokens_say_what_was_attested_and_follow_the_review(own, trained):
    corpus, tokens = own
    manifest = load_corpus(corpus)
    carried = read_tokens_manifest(tokens).attestation
    assert carried is not None and carried["shards_sha256"] == manifest["attestation"]["shards_sha256"]
    assert [waiver["check"] for waiver in carried["waivers"]] == ["roster of patients", "list of staff"]
    assert carried["patients_looked_for"] is None and carried["notes"] == manifest["counts"]["kept"]
    assert carried["review"]["state"] == "not begun" and carried["mode"] == "replace"
    data = (tokens / "train-notes.bin").stat().st_mtime_ns
    record(corpus, manifest, {note["number"]: "clean" for note in load_sample(corpus, manifest)}, "A. Reader")
    build_tokens(corpus, trained, tokens)
    assert read_tokens_manifest(tokens).attestation["review"]["state"] == "passed"
    assert (tokens / "train-notes.bin").stat().st_mtime_ns == data


def test_tokens_without_one_are_read_and_get_it_from_their_corpus(own, trained):
    corpus, tokens = own
    whole = (tokens / "manifest.json").read_bytes()
    edit(tokens, {"attestation": None})
    assert read_tokens_manifest(tokens).attestation is None
    assert "carry no attestation" in verify_tokens(tokens)[0]
    build_tokens(corpus, trained, tokens)
    assert (tokens / "manifest.json").read_bytes() == whole


def test_an_attestation_of_another_corpus_is_refused(own):
    _, tokens = own
    carried = json.loads((tokens / "manifest.json").read_text())["attestation"]
    edit(tokens, {"attestation": carried | {"corpus_manifest_sha256": "0" * 64}})
    with pytest.raises(NotemillError, match="speaks of another corpus"):
        read_tokens_manifest(tokens)
    del carried["waivers"]
    edit(tokens, {"attestation": carried})
    with pytest.raises(NotemillError, match="is incomplete"):
        read_tokens_manifest(tokens)


def test_verify_reads_every_byte(own):
    _, tokens = own
    assert verify_tokens(tokens) == []
    for name, said in (
        ("valid-letters.bin", "valid-letters.bin has other content"),
        ("train-notes.idx", "train-notes.idx has other content"),
        ("tokenizer/vocab.txt", "has changed since its manifest"),
    ):
        data = (tokens / name).read_bytes()
        (tokens / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        (problem,) = verify_tokens(tokens)
        assert said in problem
        (tokens / name).write_bytes(data)
