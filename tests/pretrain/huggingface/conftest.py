"""Published models: random ones that stock transformers saves, with biases that are not zero."""

import shutil

import pytest

from tests.pretrain.huggingface.published import publish


@pytest.fixture(scope="session")
def published(tokens_dir, tmp_path_factory):
    """A MegatronBertForPreTraining of 1,024 pieces with the tokenizer of `tokens_dir`."""
    folder = tmp_path_factory.mktemp("published") / "hf"
    publish(folder, tokens_dir / "tokenizer")
    return folder


@pytest.fixture
def copy(published, tmp_path):
    """The same folder, to be spoiled."""
    return shutil.copytree(published, tmp_path / "copy")
