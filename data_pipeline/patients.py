"""Patients as a keyed hash, and the split that each belongs to.

Both come from HMAC-SHA256 with one secret key: without it nobody can test whether a known patient is in a corpus, and
with it the same patient has the same key and the same split in every build. The key is never written into a corpus.
"""

import contextlib
import hmac
import itertools
import os
import secrets
from pathlib import Path
from typing import Literal, TypeAlias

from data_pipeline.config import SplitConfig
from data_pipeline.files import PRIVATE_FILE, make_private_folder, require_private
from launch.errors import NotemillError

Split: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
KEY_BYTES = 32
_MIN_KEY_BYTES = 16
_PATIENT_KEY_HEX = 32
_MIN_TELLING_CHARS = 4


def load_or_create_key(path: Path) -> bytes:
    """The secret in `path`; a random one is generated there, 0600, the first time.

    Raises NotemillError when the file cannot be read or made, is too short, or others can read it.
    """
    try:
        if not path.exists():
            _create_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise NotemillError(
            f"cannot use the patient key file {path}: {error.strerror}; name another with --key-file."
        ) from None
    if len(key) < _MIN_KEY_BYTES:
        raise NotemillError(f"the patient key in {path} has {len(key)} bytes; it needs at least {_MIN_KEY_BYTES}.")
    require_private(path, "patient key file")
    return key


def patient_key(key: bytes, patient_id: str) -> str:
    """128 bits of the HMAC of the patient's id, in hex."""
    return _hmac(key, "patient", patient_id).hex()[:_PATIENT_KEY_HEX]


def safe_note_id(key: bytes, note_id: str, patient_id: str) -> str:
    """The note's id, or its HMAC where it spells out the patient's, as in MIMIC-IV's 10000032-DS-21.

    An id that stands for both, because the source names no patient, stays.
    """
    if note_id == patient_id or len(patient_id) < _MIN_TELLING_CHARS or patient_id not in note_id:
        return note_id
    # 10000032 within 510000032 is chance.
    around = itertools.pairwise(note_id.split(patient_id))
    is_spelled_out = any(not (before[-1:].isalnum() or after[:1].isalnum()) for before, after in around)
    return note_key(key, note_id) if is_spelled_out else note_id


def note_key(key: bytes, note_id: str) -> str:
    """128 bits of the HMAC of a note's id, in hex."""
    return _hmac(key, "note", note_id).hex()[:_PATIENT_KEY_HEX]


def split_of(key: bytes, patient_id: str, shares: SplitConfig) -> Split:
    """The split of a patient: a uniform number from the HMAC, held against the shares."""
    uniform = int.from_bytes(_hmac(key, "split", patient_id)[:8]) / 2**64
    if uniform < shares.train:
        return "train"
    if uniform < shares.train + shares.valid:
        return "valid"
    # Shares that round to just below 1 must not open a third split that the user set to 0.
    return "test" if shares.test > 0 else "train"


def order_offset(key: bytes, patient_id: str) -> int:
    """Seconds, up to some 2,000 years, by which a patient's dates are moved where only their order matters."""
    return int.from_bytes(_hmac(key, "order", patient_id)[:8]) >> 28


def keyed_number(key: bytes, purpose: str, value: str) -> int:
    """A uniform number of 256 bits that follows from the key."""
    return int.from_bytes(_hmac(key, purpose, value))


def key_check(key: bytes) -> str:
    """Tells whether two builds used the same key; says nothing about it."""
    return _hmac(key, "check", "").hex()[:16]


def _hmac(key: bytes, purpose: str, value: str) -> bytes:
    return hmac.digest(key, f"notemill/{purpose}/{value}".encode("utf-8", errors="surrogatepass"), "sha256")


def _create_key(path: Path) -> None:
    if not path.parent.exists():
        make_private_folder(path.parent)
    # Two builds may start at once: the file appears whole under its name for one of them, and both read that one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
