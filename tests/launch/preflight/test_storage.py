"""Disk and umask, and processes that look at one another."""

import os

from launch import process
from launch.planner.parameters import Shape
from launch.preflight import storage
from launch.preflight.start import check_ranks
from pretrain.config import load_pretrain_config


def test_the_speed_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SAMPLE_BYTES", 8 * 2**20)
    check = storage.check_speed(tmp_path / "runs" / "a", checkpoint=10**9)
    assert "MB/s written" in check.detail and "1.0 GB takes one writer" in check.detail
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(storage, "SLOW_MB_PER_S", 1e12)
    assert storage.check_speed(tmp_path).status == "warning"


def test_checkpoints_that_find_no_room_are_a_problem(tmp_path):
    config = load_pretrain_config(None, ["checkpoint.keep=3"])
    shape = Shape.of(config, 50_176)
    enough = storage.check_room(tmp_path, load_pretrain_config("configs/tiny.yaml", []), Shape(2, 64, 256, 2, 999, 64))
    assert enough.status == "ok"
    huge = Shape(4096, 65_536, 262_144, 64, shape.vocab_size, 512)
    assert storage.check_room(tmp_path, config, huge).status == "problem"


def test_an_open_umask_is_told(monkeypatch):
    monkeypatch.setattr(process, "inherited_umask", 0o022)
    assert storage.check_umask().status == "warning"
    monkeypatch.setattr(process, "inherited_umask", 0o077)
    assert storage.check_umask().status == "ok"
    monkeypatch.setattr(process, "inherited_umask", None)
    before = os.umask(0o027)
    try:
        assert storage.check_umask().detail.startswith("027")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_processes_time_their_links(tmp_path):
    checks = {check.name: check for check in check_ranks(tmp_path / "not" / "there" / "yet", 2)}
    assert {"clocks", "shared folder", "links"} <= set(checks)
    assert "slowest of 1 pairs: rank 0 on" in checks["links"].detail
    assert next(check for name, check in checks.items() if name.endswith(" sum")).status == "ok"
    assert all(check.status != "problem" for check in checks.values()) and list(tmp_path.iterdir()) == []
