"""Folders that hold text are private, and those of others stay as they are."""

from data_pipeline.files import make_private_folder


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
