"""The report in a real browser, from a file, with no network: the filter, the sorting, a phone, both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset.drawn_workspace import HOSTILE, drawn_tree, drawn_workspace
from handlens.dataset.view import ViewSettings, view

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
DESKTOP, PHONE = {"width": 1200, "height": 850}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return view(drawn_workspace(tmp_path_factory.mktemp("page")).root, ViewSettings())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    contexts, said, asked = [], [], []

    def opened(file: Path, **options: Any) -> Any:
        context = browser.new_context(**({"locale": "en-GB", "viewport": DESKTOP, "offline": True} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        context.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_it_opens_offline_and_shows_its_pictures(open_page: Any, report: Path) -> None:
    page = open_page(report)
    assert page.evaluate("document.querySelectorAll('script, style').length") == 2
    for picture in page.locator("#sheets img").all()[:3]:
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 120
    # The styles are let through by the policy: without them this would be white on white.
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
    assert page.evaluate("document.title").endswith("data set report")


def test_the_filter(open_page: Any, report: Path) -> None:
    page = open_page(report)
    rows = page.locator("#label-table tbody tr")
    total = rows.count()
    page.get_by_label("Find a label").fill("QUÁRTZ")
    expect(page.locator("#found")).to_have_text(f"1 of {total} labels")
    expect(rows.filter(visible=True)).to_have_count(1)
    expect(page.locator("article:visible")).to_have_count(1)
    expect(page.locator("article:visible h3")).to_contain_text("quartz")
    page.get_by_label("Find a label").fill(HOSTILE[0])
    expect(page.locator("#found")).to_have_text(f"1 of {total} labels")
    page.get_by_label("Find a label").fill("no such stone")
    expect(page.locator("#labels .nothing")).to_be_visible()
    expect(page.locator("#sheets .nothing")).to_be_visible()
    expect(page.locator("article:visible")).to_have_count(0)
    page.get_by_label("Find a label").fill("")
    expect(rows.filter(visible=True)).to_have_count(total)
    expect(page.locator("#labels .nothing")).to_be_hidden()


def test_the_split(open_page: Any, report: Path) -> None:
    page = open_page(report)
    page.get_by_label("Split").select_option("test")
    shown = page.eval_on_selector_all(
        "#sheets figure:not([hidden])", "all => all.filter(one => one.offsetParent).map(one => one.dataset.split)"
    )
    assert set(shown) == {"test"}


def test_sorting_with_the_keyboard(open_page: Any, report: Path) -> None:
    page = open_page(report)
    names = "all => all.map(row => row.dataset.label)"
    button = page.get_by_role("button", name="Label", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    ascending = page.eval_on_selector_all("#label-table tbody tr", names)
    page.keyboard.press("Enter")
    descending = page.eval_on_selector_all("#label-table tbody tr", names)
    assert ascending == descending[::-1]
    page.keyboard.press("Enter")
    assert page.eval_on_selector_all("#label-table tbody tr", names) == ascending
    assert ascending.index("calcite") < ascending.index("quartz")
    page.get_by_role("button", name="Rows").click()
    counts = page.eval_on_selector_all("#label-table tbody tr", "all => all.map(row => +row.cells[1].textContent)")
    assert counts == sorted(counts, reverse=True)
    expect(page.locator("#label-table thead th[aria-sort=descending]")).to_have_text("Rows")


def test_a_label_leads_to_its_sheet(open_page: Any, report: Path) -> None:
    page = open_page(report)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the labels")).to_be_focused()
    page.get_by_role("link", name="quartz", exact=True).click()
    expect(page.locator("article", has=page.locator("h3", has_text="quartz"))).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_sticks_out(open_page: Any, report: Path, scheme: str) -> None:
    page = open_page(report, viewport=PHONE, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 244, 239)"
    assert light == (scheme == "light")


def test_without_script_all_is_there(open_page: Any, report: Path) -> None:
    page = open_page(report, java_script_enabled=False)
    expect(page.locator("#filter")).to_be_hidden()
    expect(page.locator("article").first).to_be_visible()


def test_a_tree(open_page: Any, tmp_path: Path) -> None:
    tree = drawn_tree(tmp_path / "tree", "quartz/a.png", "calcite/b.png")
    page = open_page(view(tree, ViewSettings(), tmp_path / "report.html"))
    expect(page.locator("#label-table tbody tr")).to_have_count(2)
    page.get_by_label("Find a label").fill("quartz")
    expect(page.locator("#found")).to_have_text("1 of 2 labels")
