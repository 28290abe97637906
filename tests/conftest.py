"""Fixtures for the whole suite."""

from pathlib import Path

import pytest

from tests.pretrain.launching import notemill


@pytest.fixture(scope="session")
def shared() -> Path:
    """Public text and task sets that lie beside the checkout on a developer's machine."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets in {folder}")
    return folder


@pytest.fixture(scope="session")
def tokens_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small token index that the real stages made of invented notes."""
    return _build_tokens(tmp_path_factory.mktemp("small"), "noteevents")


@pytest.fixture(scope="session")
def tokens_of_two_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of two inputs, whose sources are called noteevents and omop."""
    return _build_tokens(tmp_path_factory.mktemp("two"), "noteevents", "omop")


def _build_tokens(folder: Path, *kinds: str) -> Path:
    from data_pipeline.invented import write_invented

    notes = write_invented(folder / "invented", patients=40, seed=3)
    corpus, tokenizer, tokens = (str(folder / name) for name in ("corpus", "tokenizer", "tokens"))
    # The same patients in each split at every run, and enough of them that every source has some held out.
    key = folder / "key"
    key.write_bytes(b"a key for invented notes, no secret")
    key.chmod(0o600)
    inputs = [argument for kind in kinds for argument in ("--input", f"{kind}:{notes[kind]}")]
    shares = ("split.train=0.75", "split.valid=0.15", "split.test=0.1")
    notemill("corpus", "build", *inputs, "--out", corpus, "--key-file", str(key), *shares)
    notemill("tokenizer", "train", "--corpus", corpus, "--out", tokenizer, "vocab_size=1024")
    notemill("tokens", "build", "--corpus", corpus, "--tokenizer", tokenizer, "--out", tokens)
    return Path(tokens)
