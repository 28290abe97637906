"""Where a tokenizer or tokens are written: never into the folder of something else, never over another's result."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig, SplitConfig
from data_pipeline.readers.inputs import parse_inputs
from launch.errors import NotemillError
from tests.tokenizer.conftest import SETTINGS
from tokenizer import importing, training
from tokenizer.folder import read_tokenizer_manifest
from tokenizer.importing import ImportConfig, import_tokenizer
from tokenizer.report.run import report_tokenizer
from tokenizer.tokens import build_tokens
from tokenizer.training import train_tokenizer

VERBS: dict[str, Callable[[Path, Path, Path], object]] = {
    "train": lambda corpus, _, out: train_tokenizer(corpus, out, SETTINGS),
    "import": lambda _, trained, out: import_tokenizer(trained, out, ImportConfig()),
    "tokens": lambda corpus, trained, out: build_tokens(corpus, trained, out),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_of_something_else_is_refused_and_left_alone(verb, corpus, trained, tmp_path):
    out = tmp_path / "home"
    out.mkdir()
    out.chmod(0o755)
    (out / "thesis.docx").write_text("mine")
    with pytest.raises(NotemillError, match=r"home is not empty and holds no (tokenizer|tokens); name another folder"):
        VERBS[verb](corpus, trained, out)
    assert [path.name for path in out.iterdir()] == ["thesis.docx"] and out.stat().st_mode & 0o777 == 0o755
    with pytest.raises(NotemillError, match="is a file; name a folder"):
        VERBS[verb](corpus, trained, out / "thesis.docx")


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_killed_run_left_is_no_obstacle(verb, corpus, trained, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in (".lock", ".manifest.json.partial", ".train-notes.bin.partial" if verb == "tokens" else "vocab.txt"):
        (out / name).touch()
    VERBS[verb](corpus, trained, out)
    assert (out / "manifest.json").exists()


def test_another_that_was_finished_before_the_lock_was_ours_is_not_overwritten(corpus, trained, tmp_path, monkeypatch):
    def finished_meanwhile(module, finish):
        real = module.tokenizer_folder

        def folder(out):
            with monkeypatch.context() as patch:
                patch.setattr(module, "tokenizer_folder", real)
                finish(out)
            return real(out)

        monkeypatch.setattr(module, "tokenizer_folder", folder)

    other = replace(SETTINGS, min_frequency=3)
    finished_meanwhile(training, lambda out: train_tokenizer(corpus, out, other))
    with pytest.raises(NotemillError, match="holds another tokenizer"):
        train_tokenizer(corpus, tmp_path / "trained", SETTINGS)
    assert read_tokenizer_manifest(tmp_path / "trained")["config"]["min_frequency"] == 3
    finished_meanwhile(importing, lambda out: import_tokenizer(trained, out, ImportConfig(model_max_length=64)))
    with pytest.raises(NotemillError, match="holds another tokenizer"):
        import_tokenizer(trained, tmp_path / "imported", ImportConfig())
    assert read_tokenizer_manifest(tmp_path / "imported")["config"]["model_max_length"] == 64


def test_a_corpus_of_one_patient_is_told_what_it_lacks(trained, tmp_path):
    texts = [{"id": str(n), "patient_id": "1", "text": f"Visit {n} for chest pain."} for n in range(30)]
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, texts)))
    for split, verb, said in (
        ("train", lambda corpus: report_tokenizer(trained, corpus), "no held-out notes: all are of patients in the tr"),
        (
            "test",
            lambda corpus: train_tokenizer(corpus, tmp_path / "t", SETTINGS),
            "no notes in its train split: all are",
        ),
    ):
        shares = SplitConfig(**{name: float(name == split) for name in ("train", "valid", "test")})
        corpus = tmp_path / split
        config = CorpusConfig(split=shares)
        build_corpus(BuildRequest(parse_inputs([f"jsonl:{path}"]), corpus, config, b"k" * 32))
        build_tokens(corpus, trained, tmp_path / f"{split}-tokens")
        with pytest.raises(NotemillError, match=f"{said}.* the notes of more patients"):
            verb(corpus)
