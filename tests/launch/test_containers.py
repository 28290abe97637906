"""Both images hold the five packages, the settings and the locked versions, and nothing else of a checkout.

They are built where there is a network; here they are read.
"""

import re
from pathlib import Path

import pytest

from launch.doctor import PACKAGES

FOLDER = Path(__file__).parents[2] / "launch" / "containers"
COPIED = {*PACKAGES, "configs", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


@pytest.mark.parametrize("name", ["Containerfile", "notemill.def"])
def test_an_image_holds_the_packages_and_the_locked_versions(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    if name == "Containerfile":
        copied = {word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]}
    else:
        section = text.split("%files\n")[1].split("\n\n")[0]
        copied = {line.split()[0] for line in section.splitlines()}
    assert copied == COPIED and all((FOLDER.parents[1] / word).exists() for word in copied)
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 2 and all("--constraint constraints.txt" in line for line in installs)
    assert "REVISION" in text


def test_both_install_the_same_system_packages() -> None:
    packages = [
        re.findall(r"--no-install-recommends (.*?)(?: \\)?$", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE)
        for name in ("Containerfile", "notemill.def")
    ]
    assert packages[0] == packages[1] != []
