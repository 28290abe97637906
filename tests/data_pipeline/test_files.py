"""Folders that hold text are private, and those of others stay as they are."""

import pytest

from data_pipeline.files import make_private_folder, only_maker, whole_folder
from launch.errors import NotemillError


def mode(path):
    return path.stat().st_mode & 0o777


def test_new_and_empty_folders_become_private_and_folders_in_use_stay(tmp_path):
    assert mode(make_private_folder(tmp_path / "new" / "deeper")) == 0o700
    for name, is_used in (("empty", False), ("used", True)):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(0o755)
        if is_used:
            (folder / "thesis.docx").write_text("mine")
        assert mode(make_private_folder(folder)) == (0o755 if is_used else 0o700)


def test_a_folder_is_made_by_one_at_a_time(tmp_path):
    out = tmp_path / "deeper" / "out"
    with whole_folder(out) as folder:
        (folder / "first").write_text("whole")
        for again in (whole_folder(out), only_maker(out)):
            with pytest.raises(NotemillError, match="another process is writing"), again:
                pass
        assert (folder / "first").exists()
    assert [path.name for path in out.iterdir()] == ["first"] and [path.name for path in out.parent.iterdir()] == [
        "out"
    ]


def test_a_folder_that_is_replaced_is_there_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with pytest.raises(OSError), whole_folder(out, replaces=True) as folder:
        (folder / "new").write_text("half")
        raise OSError
    assert [path.name for path in out.iterdir()] == ["old"]
    out.rename(tmp_path / ".out.old.partial")  # As a kill between the two names leaves it.
    with pytest.raises(OSError), whole_folder(out, replaces=True):
        raise OSError
    assert [path.name for path in out.iterdir()] == ["old"]
    with whole_folder(out, replaces=True) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new"]
