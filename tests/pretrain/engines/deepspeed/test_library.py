import sys

import pytest

from launch.errors import NotemillError
from pretrain.engines.deepspeed.library import import_deepspeed


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(NotemillError, match="needs the package deepspeed"):
        import_deepspeed()
