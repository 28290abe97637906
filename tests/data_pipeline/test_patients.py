"""Keys and splits of patients."""

import stat
from pathlib import Path

import pytest

from data_pipeline.config import SplitConfig
from data_pipeline.patients import key_check, load_or_create_key, patient_key, safe_note_id, split_of
from launch.errors import NotemillError


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "hmac.key"
    key = load_or_create_key(path)
    assert len(key) >= 32 and load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["hmac.key"]


def test_an_unfit_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hmac.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(NotemillError, match="5 bytes; it needs at least 16"):
        load_or_create_key(path)
    path.write_bytes(b"x" * 32)
    path.chmod(0o644)
    with pytest.raises(NotemillError, match="mode 644 and others can read it"):
        load_or_create_key(path)


def test_patient_keys_depend_on_the_secret_and_say_nothing() -> None:
    assert patient_key(b"a" * 32, "10") != patient_key(b"b" * 32, "10")
    assert len({patient_key(b"a" * 32, str(patient)) for patient in range(1000)}) == 1000
    assert "10006" not in patient_key(b"a" * 32, "10006") and key_check(b"a" * 32) != key_check(b"b" * 32)


def test_splits_follow_their_shares() -> None:
    shares = SplitConfig(0.8, 0.15, 0.05)
    splits = [split_of(b"k" * 32, str(patient), shares) for patient in range(20_000)]
    assert splits.count("train") / 20_000 == pytest.approx(0.8, abs=0.01)
    assert splits.count("valid") / 20_000 == pytest.approx(0.15, abs=0.01)
    assert {split_of(b"k" * 32, str(patient), SplitConfig(1.0, 0.0, 0.0)) for patient in range(1000)} == {"train"}


def test_a_note_id_that_spells_out_the_patient_is_hashed() -> None:
    assert safe_note_id(b"k" * 32, "77", "10000032") == "77"
    assert "10000032" not in safe_note_id(b"k" * 32, "10000032-DS-21", "10000032")
    assert safe_note_id(b"k" * 32, "letter-9", "letter-9") == "letter-9"
