"""What every HTML page of notemill shares: one style sheet, and templates that refuse an undefined name."""

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment(folder: Path) -> "Environment":
    """Templates of `folder`; values are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def house_style(*more: Path) -> Markup:
    """The shared style sheet, and a page's own behind it."""
    sheets = [Path(__file__).parent / "page.css", *more]
    return Markup("\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets))
