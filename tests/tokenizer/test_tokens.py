"""The token index holds every sentence of every note once, and is the same bytes however it was made."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from megatron.core.datasets.indexed_dataset import IndexedDataset

from data_pipeline.files import only_writer
from data_pipeline.manifest import iter_notes
from launch.errors import NotemillError
from pretrain.data.loader import PackedLoader
from tests.tokenizer.conftest import SETTINGS
from tokenizer.folder import load_tokenizer
from tokenizer.sentences import split_sentences
from tokenizer.tokens import build_tokens, file_name_of_source
from tokenizer.training import train_tokenizer


@pytest.fixture(scope="module")
def tokens(corpus, trained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokens") / "tokens"
    build_tokens(corpus, trained, folder)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_megatron_reads_back_every_sentence_of_every_note(corpus, trained, tokens):
    tokenizer = load_tokenizer(trained)
    tokenizer.encode_special_tokens = True
    seen = 0
    for split in ("train", "valid", "test"):
        for source in ("notes", "letters"):
            texts = [note["text"] for note in iter_notes(corpus, split) if note["source"] == source]
            index = IndexedDataset(str(tokens / f"{split}-{source}"))
            assert len(index.document_indices) - 1 == len(texts)
            for number, text in enumerate(texts):
                first, end = index.document_indices[number : number + 2]
                sentences = [text[start:stop] for start, stop in split_sentences(text)]
                assert end - first == len(sentences)
                for ids, sentence in zip(index[first:end], sentences, strict=True):
                    assert ids.tolist() == tokenizer.encode(sentence, add_special_tokens=False).ids
                seen += 1
    assert seen > 250


def test_manifest_says_what_is_there(corpus, trained, tokens):
    import json

    manifest = json.loads((tokens / "manifest.json").read_text())
    assert manifest["corpus_manifest_sha256"] == hashlib.sha256((corpus / "manifest.json").read_bytes()).hexdigest()
    assert manifest["tokenizer_fingerprint"] == hashlib.sha256((trained / "tokenizer.json").read_bytes()).hexdigest()
    assert {(file["split"], file["source"]) for file in manifest["files"]} == {
        (split, source) for split in ("train", "valid", "test") for source in ("notes", "letters")
    }
    for file in manifest["files"]:
        index = IndexedDataset(str(tokens / file["prefix"]))
        assert file["sequences"] == len(index) and file["documents"] == len(index.document_indices) - 1
        assert file["tokens"] == int(np.sum(index.sequence_lengths))
        for kind in ("bin", "idx"):
            data = (tokens / f"{file['prefix']}.{kind}").read_bytes()
            assert hashlib.sha256(data).hexdigest() == file[f"{kind}_sha256"]
    assert sum(file["documents"] for file in manifest["files"]) == sum(
        1 for split in ("train", "valid", "test") for _ in iter_notes(corpus, split)
    )
    for path in tokens.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    assert not (tokens / ".parts").exists()


def test_any_number_of_workers_gives_the_same_bytes(corpus, trained, tokens, tmp_path):
    build_tokens(corpus, trained, tmp_path / "tokens", num_workers=3)
    assert content(tmp_path / "tokens") == content(tokens)


BUILD = """
import sys, time
from pathlib import Path
import tokenizer.tokens as stage

stopped_at, out, corpus, tokenizer = sys.argv[1:]
real_write_json, real_join = stage.write_json, stage.join_parts

def write_json(path, value):
    real_write_json(path, value)
    if path.parent.parent.name == ".parts" and stopped_at == "part" and len(list(path.parent.glob("*.json"))) == 2:
        wait()

def join_parts(*arguments):
    size = real_join(*arguments)
    if stopped_at == "join":
        wait()
    return size

def copy(*arguments):
    if stopped_at == "copy":
        wait()
    real_copy(*arguments)

def wait():
    print("here", flush=True)
    time.sleep(60)

real_copy = stage._copy_tokenizer
stage.write_json, stage.join_parts, stage._copy_tokenizer = write_json, join_parts, copy
stage.build_tokens(Path(corpus), Path(tokenizer), Path(out))
"""


@pytest.mark.parametrize("stopped_at", ["part", "join", "copy"])
def test_a_killed_build_goes_on_and_gives_the_same_bytes(corpus, trained, tokens, tmp_path, stopped_at):
    out = tmp_path / "tokens"
    command = [sys.executable, "-c", BUILD, stopped_at, str(out), str(corpus), str(trained)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (out / "manifest.json").exists()
    with pytest.raises(NotemillError, match="no token manifest"):
        PackedLoader.from_tokens(out, seq_len=64, seed=1)
    parts = {path: path.stat().st_mtime_ns for path in (out / ".parts").rglob("*.tokens")}
    assert parts
    finished = {path.stem for path in (out / ".parts").rglob("*.json")}
    time.sleep(0.01)
    real_rmtree, kept = shutil.rmtree, {}

    def look_first(path, *arguments, **settings):
        kept.update({part: part.stat().st_mtime_ns for part in parts if part.exists()})
        real_rmtree(path, *arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokenizer.tokens.shutil.rmtree", look_first)
        build_tokens(corpus, trained, out)
    of_finished = [part for part in parts if any(part.stem.startswith(stem) for stem in finished)]
    assert of_finished and all(kept[part] == parts[part] for part in of_finished), "finished parts are not made anew"
    assert content(out) == content(tokens)


def test_the_loader_reads_them(tokens):
    loader = PackedLoader.from_tokens(tokens, seq_len=64, seed=1)
    rows = loader.rows_in_epoch(0)
    batch = loader.batch_of_rows(range(rows))
    assert batch.num_real_tokens / (rows * 64) > 0.95
    text_tokens = batch.num_real_tokens - int((batch.input_ids == 2).sum()) - int((batch.input_ids == 3).sum())
    assert text_tokens == loader.tokens_per_epoch
    assert len(list(loader.iter_validation(2, 0, 1))) > 0


def test_another_tokenizer_is_refused_by_the_loader(corpus, trained, tokens, tmp_path):
    train_tokenizer(corpus, tmp_path / "other", replace(SETTINGS, max_digits=1))
    with pytest.raises(NotemillError, match="built with another tokenizer"):
        PackedLoader(tokens, tmp_path / "other", seq_len=64, seed=1)


def test_a_tokenizer_of_another_corpus_is_told(corpus, trained, tmp_path, capsys):
    other = tmp_path / "corpus"
    shutil.copytree(corpus, other)
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    built = build_tokens(other, trained, tmp_path / "tokens")
    assert "was trained on another corpus" in capsys.readouterr().err
    assert built["tokenizer_corpus_manifest_sha256"] != built["corpus_manifest_sha256"]


def test_refusals(corpus, trained, tokens, tmp_path):
    before = content(tokens)
    (tokens / ".parts" / "old").mkdir(parents=True)  # left by a kill behind the manifest
    build_tokens(corpus, trained, tokens)
    assert not (tokens / ".parts").exists()
    train_tokenizer(corpus, tmp_path / "other", replace(SETTINGS, max_digits=1))
    with pytest.raises(NotemillError, match="holds other tokens"):
        build_tokens(corpus, tmp_path / "other", tokens)
    assert content(tokens) == before
    with pytest.raises(NotemillError, match="--workers is 0"):
        build_tokens(corpus, trained, tmp_path / "a", num_workers=0)
    with pytest.raises(NotemillError, match="no tokenizer manifest"):
        build_tokens(corpus, corpus.parent, tmp_path / "a")
    with pytest.raises(NotemillError, match="no corpus manifest"):
        build_tokens(trained.parent, trained, tmp_path / "a")


@pytest.mark.parametrize("ending", ["bin", "idx"])
def test_finished_tokens_that_lost_a_file_are_told(corpus, trained, tokens, tmp_path, ending):
    out = tmp_path / "tokens"
    shutil.copytree(tokens, out)
    lost = sorted(out.glob(f"*.{ending}"))[0]
    lost.unlink()
    with pytest.raises(NotemillError, match=f"{lost.name} is missing"):
        build_tokens(corpus, trained, out)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_corpus_that_was_changed_is_refused(corpus, trained, tmp_path, num_workers):
    changed = tmp_path / "corpus"
    shutil.copytree(corpus, changed)
    shard = sorted((changed / "shards").glob("train-*"))[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(NotemillError, match=rf"{shard.name} has other content"):
        build_tokens(changed, trained, tmp_path / "tokens", num_workers)
    manifest = changed / "manifest.json"
    first_hash = hashlib.sha256((corpus / "shards" / shard.name).read_bytes()).hexdigest()
    assert first_hash in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(first_hash, hashlib.sha256(data).hexdigest()))
    with pytest.raises(NotemillError, match="attestation"):
        build_tokens(changed, trained, tmp_path / "tokens", num_workers)


def test_names_of_files_differ_for_different_sources():
    assert file_name_of_source("noteevents") == "noteevents"
    names = [file_name_of_source(source) for source in ("a/b", "a b", "a_b", "", "../../etc")]
    assert len(set(names)) == 5
    assert all("/" not in name and name for name in names)


TIMES_KILLED = int(os.environ.get("NOTEMILL_TIMES_KILLED", "4"))
"""CI takes a few; a hundred by hand before a release."""


def test_builds_killed_at_any_moment_end_in_the_same_bytes(corpus, trained, tokens, tmp_path):
    """kill -9 to the command and its workers after delays spread over a build; then it is run to its end."""
    code = (
        "import sys; from pathlib import Path; from tokenizer.tokens import build_tokens\n"
        "if __name__ == '__main__':\n"
        "    print('here', flush=True)\n"
        "    build_tokens(*map(Path, sys.argv[1:4]), int(sys.argv[4]))\n"
    )
    script = tmp_path / "build.py"
    script.write_text(code)
    expected, killed = content(tokens), 0
    for turn in range(TIMES_KILLED):
        out, workers = tmp_path / f"tokens-{turn}", 1 + turn % 2
        command = [sys.executable, str(script), str(corpus), str(trained), str(out), str(workers)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        assert process.stdout is not None and process.stdout.readline() == b"here\n"
        time.sleep((turn + 1) / TIMES_KILLED * (0.3 if workers == 1 else 3))
        os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        if out.exists():
            # Killed workers may hold the folder for a moment more.
            with only_writer(out, patience_s=60):
                pass
        if not (out / "manifest.json").exists():
            with pytest.raises(NotemillError, match="no token manifest"):
                PackedLoader.from_tokens(out, seq_len=64, seed=1)
        build_tokens(corpus, trained, out, workers if turn % 4 else 1)
        assert content(out) == expected
        shutil.rmtree(out)
    assert killed, "no build was under way when it was to be killed"
