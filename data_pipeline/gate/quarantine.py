"""Notes that were held back: their text lies nowhere else, encrypted where the user gives a key, and can be read back.

    notes-00000.parquet      plain, 0600
    notes-00000.parquet.aes  AES-SIV (RFC 5297) over the Parquet bytes, with a key derived from the user's by HKDF

AES-SIV needs no random number, so that the same notes and key give the same bytes, as everywhere in a corpus. The plain
Parquet of an encrypted file is made in memory and never written.
"""

import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipeline.files import atomic_write, require_private
from data_pipeline.parquet_files import ROW_GROUP_ROWS
from launch.errors import NotemillError

ENCRYPTED = ".aes"
QUARANTINE_COLUMNS = ("note_id", "patient_key", "source", "split", "note_type", "text", "checks")
"""As in a shard, and the checks that held the note, separated by '; '."""
QUARANTINE_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in QUARANTINE_COLUMNS])
MIN_KEY_BYTES = 16


def read_key(path: Path) -> bytes:
    """The user's secret. Raises NotemillError when it is missing, short, or others can read it."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise NotemillError(
            f"cannot read the quarantine key {path}: {error.strerror}; check --quarantine-key."
        ) from None
    if len(key) < MIN_KEY_BYTES:
        raise NotemillError(
            f"the quarantine key in {path} has {len(key)} bytes; it needs at least {MIN_KEY_BYTES} "
            "(openssl rand -hex 32 makes a good one)."
        )
    require_private(path, "quarantine key")
    return key


def quarantine_name(stem: str, key: bytes | None) -> str:
    """File name of held notes."""
    return f"{stem}.parquet{ENCRYPTED if key else ''}"


def write_held(path: Path, table: pa.Table, key: bytes | None) -> None:
    """Write held notes; a path that ends in .aes is encrypted."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    data = buffer.getvalue()
    if path.suffix == ENCRYPTED:
        assert key is not None
        data = _cipher(key).encrypt(data, [_purpose(path)])
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def read_held(path: Path, key: bytes | None) -> pa.Table:
    """Held notes. Raises NotemillError for a missing or wrong key and for a damaged file."""
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotemillError(f"cannot read the held notes {path}: {error.strerror}.") from None
    if path.suffix == ENCRYPTED:
        if key is None:
            raise NotemillError(f"{path} is encrypted; give the key that it was built with by --quarantine-key FILE.")
        from cryptography.exceptions import InvalidTag

        try:
            data = _cipher(key).decrypt(data, [_purpose(path)])
        except InvalidTag:
            raise NotemillError(f"{path} was encrypted with another key, or has been changed.") from None
    try:
        return pq.read_table(io.BytesIO(data), schema=QUARANTINE_SCHEMA)
    except (pa.ArrowException, OSError):
        raise NotemillError(f"the held notes {path} cannot be read; run notemill corpus verify.") from None


def iter_held(files: list[Path], key: bytes | None) -> Iterator[dict[str, str]]:
    """The notes of several files, one after another."""
    for path in files:
        yield from read_held(path, key).to_pylist()


@functools.lru_cache(maxsize=2)
def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError:
        raise NotemillError(
            "an encrypted quarantine needs the package cryptography; pip install cryptography."
        ) from None
    derived = HKDF(algorithm=hashes.SHA256(), length=64, salt=None, info=b"notemill quarantine 1").derive(key)
    return AESSIV(derived)


def _purpose(path: Path) -> bytes:
    """Bound to the ciphertext: pieces and the final files are no substitutes for each other."""
    return b"quarantine" if path.name.startswith("notes-") else b"piece"
