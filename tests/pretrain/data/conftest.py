"""Token folders made in code: invented sentence lengths, a small vocabulary with continuation pieces."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pretrain.data.vocabulary import Vocabulary
from tests.pretrain.invented_tokens import PIECES, Documents, invent_documents, write_tokens


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.from_pieces(PIECES, fingerprint="made in a test")


@pytest.fixture(name="invent_documents")
def invent_documents_() -> Callable[..., Documents]:
    return invent_documents


@pytest.fixture(name="write_tokens")
def write_tokens_(tmp_path: Path) -> Callable[..., Path]:
    """`invented_tokens.write_tokens` in a folder of the test's own."""

    def write(content: dict[tuple[str, str], Documents], pieces: list[str] = PIECES, name: str = "tokens") -> Path:
        return write_tokens(tmp_path / name, content, pieces)

    return write


@pytest.fixture(scope="module")
def vocabulary_of_module() -> Vocabulary:
    """As `vocabulary`, for tests that run many examples over one."""
    return Vocabulary.from_pieces(PIECES)
