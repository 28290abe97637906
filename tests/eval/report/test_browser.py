"""The page in a real browser: nothing is fetched, nothing is complained of, nothing sticks out."""

import struct
from pathlib import Path

import pytest

from eval.analysis import analyse
from eval.finetune.recipe import load_recipe
from eval.report.page import write_report
from eval.run import evaluate
from tests.eval.finetune import toys
from tests.eval.report.browser import CHROMIUM, browser
from tests.eval.report.test_page import write_run

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH"
)

LAPTOP, PHONE = 1366, 390
_OVERHANGS = """
    [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
        && e.getBoundingClientRect().right > window.innerWidth + 0.5).map(e => e.outerHTML.slice(0, 90))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a page can hold, with long names."""
    folder = tmp_path_factory.mktemp("page")
    model = toys.write_model(folder / "a_model_with_a_very_long_name_of_a_folder")
    results, mistakes = [], {}
    analysis = None
    for task, form in (("ner", "conll"), ("nli", "jsonl")):
        data = getattr(toys, f"write_{task}")(folder / f"{task}_set_with_quite_a_long_name", (20, 8, 12))
        recipe = load_recipe(task, None, ["max_length=32", "epochs=3", "seeds=[0,1]", "baseline=untrained"])
        result = evaluate(model, task, f"{form}:{data}", folder / task, recipe)
        found = analyse([result], folder / task, 3)
        results.append(result)
        mistakes |= found.mistakes
        analysis = found if analysis is None else type(found)(analysis.tasks | found.tasks, mistakes)
    return write_report(results, folder / "report.html", write_run(folder / "run"), None, analysis)


@pytest.mark.parametrize(("width", "scheme"), [(LAPTOP, "light"), (LAPTOP, "dark"), (PHONE, "light")])
def test_page_in_chromium(page: Path, tmp_path: Path, width: int, scheme: str) -> None:
    with browser(tmp_path / "profile") as chromium:
        chromium.open(page, width, is_phone=width == PHONE, scheme=scheme)
        assert chromium.value("document.querySelectorAll('section').length") >= 5
        chromium.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        # A phone zooms out where the page is wider than its window, so the window's own width is asked for.
        widths = chromium.value("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths == [width, width]
        assert chromium.value(_OVERHANGS) == []
        sizes = chromium.value("""[...document.querySelectorAll('svg text')].filter(e => e.getClientRects().length)
            .map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)""")
        assert sizes and min(sizes) > 8.5
        chromium.picture(tmp_path / "page.png")
        header = (tmp_path / "page.png").read_bytes()[:24]
        assert struct.unpack(">I", header[16:20]) == (width,)
        assert [request["request"]["url"] for request in chromium.of("Network.requestWillBeSent")] == [page.as_uri()]
        for complaint in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            assert chromium.of(complaint) == []


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta name=viewport content='width=device-width'><div style='width:2000px'>wide</div>"
        "<script>console.error('no')</script><img src='http://127.0.0.1:9/x.png'>"
    )
    with browser(tmp_path / "profile") as chromium:
        chromium.open(bad, LAPTOP)
        assert chromium.value("document.documentElement.scrollWidth") > LAPTOP
        assert len(chromium.value(_OVERHANGS)) == 1
        assert chromium.of("Runtime.consoleAPICalled")
        urls = [request["request"]["url"] for request in chromium.of("Network.requestWillBeSent")]
        assert "http://127.0.0.1:9/x.png" in urls
