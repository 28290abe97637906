"""The README's map names every module, and no other; its commands leave the checkout as it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("package", ["data_pipeline", "tokenizer", "pretrain", "launch", "eval"])
def test_map_names_every_module(package):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split(f"**{package}/**", 1)[1].split("\n**", 1)[0]
    named = {line.split()[0] for line in section.splitlines() if line.strip()}
    modules = {str(path.relative_to(ROOT / package)) for path in (ROOT / package).rglob("*.py")}
    named = {name for name in named if name.endswith(".py")}
    assert named == {module for module in modules if not module.endswith("__init__.py")}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_no_command_writes_into_a_folder_of_the_checkout(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    written = {Path(name).parts[0] for name in re.findall(r"(?:--out |run\.dir=)([\w./-]+)", text)}
    assert not written & {
        "data_pipeline",
        "tokenizer",
        "pretrain",
        "launch",
        "eval",
        "tests",
        "configs",
        "benchmarks",
        "docs",
    }
