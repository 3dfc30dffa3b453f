"""The page in a real browser: a photo, an error, two languages, a phone; and nothing that leaves loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlens.identifier import Identifier
from service.running import JPEG, drawn, encoded

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
DESKTOP, PHONE = {"width": 1200, "height": 850}, {"width": 360, "height": 740}
UNKNOWN = {
    "photo": "a.jpg",
    "decision": {"name": "unknown", "rank": "unknown", "probability": 0.72},
    "candidates": [{"name": "quartz", "probability": 0.2}, {"name": "calcite", "probability": 0.001}],
    "prediction_set": ["quartz"] + ["calcite"] * 20,
    "unknown_score": 0.8,
    "model": "<b>model</b>",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


class Visit:
    """A page, and what it said and asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**({"locale": "en-GB", "viewport": DESKTOP} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.address = address
        self.page.goto(address)

    def choose(self, photo: bytes = JPEG, name: str = "a.jpg") -> None:
        self.page.set_input_files("#choose", {"name": name, "mimeType": "image/jpeg", "buffer": photo})

    def answer(self, document: dict[str, Any], status: int = 200) -> None:
        """Makes the server answer this to a photo."""

        def fulfil(route: Any) -> None:
            route.fulfill(status=status, json=document)

        self.page.route("**/v1/identify", fulfil)

    def overflow(self) -> int:
        width: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return width


@pytest.fixture
def visits(browser: Any, address: str) -> Iterator[Any]:
    made: list[Visit] = []

    def visit(**options: Any) -> Visit:
        made.append(Visit(browser, address, **options))
        return made[-1]

    yield visit
    for one in made:
        one.context.close()
        outside = [url for url in one.asked if not url.startswith((f"{address}/", f"blob:{address}/"))]
        assert outside == []


def test_a_photo_is_identified(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    page = visit.page
    expect(page.locator("#answer")).to_be_hidden()
    visit.choose()
    expect(page.locator("#result")).to_be_visible()
    answer = identifier.identify(JPEG, name="a.jpg")
    name = identifier.minerals.display(answer.decision.name, "en") if answer.decision.rank != "unknown" else "unknown"
    expect(page.locator("#decision")).to_have_text(name, ignore_case=True)
    bars = page.locator("#candidates li .name").all_inner_texts()
    wanted = [identifier.minerals.display(candidate.name, "en") for candidate in answer.candidates]
    assert [bar.lower() for bar in bars] == [name.lower() for name in wanted]
    widths = page.eval_on_selector_all(
        "#candidates .fill", "all => all.map(fill => fill.getBoundingClientRect().width)"
    )
    track = page.eval_on_selector("#candidates .track", "track => track.getBoundingClientRect().width")
    for width, candidate in zip(widths, answer.candidates, strict=True):
        assert width / track == pytest.approx(max(candidate.probability, 0.005), abs=0.01)
    expect(page.locator("#set")).to_contain_text("With 90 % confidence it is")
    for label in answer.prediction_set[:8]:
        expect(page.locator("#set")).to_contain_text(identifier.minerals.display(label, "en"))
    assert page.eval_on_selector("#preview", "image => image.naturalWidth") == 320
    expect(page.get_by_role("status")).to_contain_text(name, ignore_case=True)
    expect(page.get_by_text("Not for food, medicine, valuation or asbestos clearance.")).to_be_visible()
    expect(page.get_by_text("It is not stored.")).to_be_visible()
    assert visit.said == []


BROKEN = {
    "The photo is cut short": JPEG[: len(JPEG) // 2],
    "This is not a photo": b"A letter. " * 50,
    "The file is empty": b"",
    "The photo is too small": encoded(drawn(size=(8, 8)), "PNG"),
}


def test_a_broken_file_is_explained(visits: Any) -> None:
    visit = visits()
    for title, photo in BROKEN.items():
        visit.choose(photo)
        expect(visit.page.locator("#error-title")).to_have_text(title)
        expect(visit.page.get_by_role("status")).to_contain_text(title)
        expect(visit.page.locator("#result")).to_be_hidden()
        expect(visit.page.locator("#retry")).to_be_hidden()
        expect(visit.page.locator("#no-preview")).to_be_hidden()
    # The browser itself reports the status of a failed request; the page must add nothing to it.
    assert all("Failed to load resource" in line for line in visit.said), visit.said
    visit.choose()
    expect(visit.page.locator("#result")).to_be_visible()
    expect(visit.page.locator("#error")).to_be_hidden()


def test_a_file_that_is_too_large_is_not_even_sent(visits: Any) -> None:
    visit = visits()
    visit.page.route("**/v1/model", lambda route: route.fulfill(json={"max_photo_bytes": len(JPEG)}))
    visit.page.reload()
    visit.page.wait_for_load_state("networkidle")
    visit.choose(JPEG + b"\0")
    expect(visit.page.locator("#error-title")).to_have_text("The photo is too large")
    assert not any(url.endswith("/v1/identify") for url in visit.asked)
    visit.choose(JPEG)
    expect(visit.page.locator("#result")).to_be_visible()


def test_spanish_by_the_browser_and_by_the_switch(visits: Any, identifier: Identifier) -> None:
    visit = visits(locale="es-ES")
    page = visit.page
    expect(page.locator("h1")).to_have_text("¿Qué mineral es este?")
    assert page.evaluate("document.documentElement.lang") == "es"
    visit.choose()
    expect(page.locator("#set")).to_contain_text("Con un 90 % de confianza es")
    best = identifier.identify(JPEG).candidates[0].name
    first = page.locator("#candidates li .name").first
    expect(first).to_have_text(identifier.minerals.display(best, "es"), ignore_case=True)
    page.get_by_role("button", name="English").click()
    expect(first).to_have_text(identifier.minerals.display(best, "en"), ignore_case=True)
    expect(page.locator("#set")).to_contain_text("With 90 % confidence it is")
    page.reload()
    expect(page.locator("h1")).to_have_text("Which mineral is this?")
    assert len([url for url in visit.asked if url.endswith("/v1/identify")]) == 1
    assert visit.said == []


def test_both_languages_have_the_same_texts(visits: Any) -> None:
    keys = """async () => {
        const { WORDS } = await import("/page/words.js");
        return Object.values(WORDS).map((words) => [
            Object.keys(words), Object.keys(words.errors), Object.keys(words.ranks),
        ]);
    }"""
    english, spanish = visits().page.evaluate(keys)
    assert english == spanish
    html = (Path(__file__).parents[2] / "src/handlens/service/page/index.html").read_text()
    assert set(re.findall(r'data-(?:text|label)="(\w+)"', html)) <= set(english[0])


def test_unknown_explains_itself(visits: Any) -> None:
    visit = visits(viewport=PHONE)
    visit.answer(UNKNOWN)
    visit.choose()
    page = visit.page
    expect(page.locator("#decision")).to_have_text("Unknown")
    expect(page.locator("#explanation")).to_contain_text("wrong with a likelihood of 72%")
    expect(page.locator("#set")).to_contain_text("13 others")
    expect(page.locator("#candidates .value").last).to_have_text("< 1%")
    page.locator("summary").click()
    expect(page.locator("#model")).to_have_text("<b>model</b>")
    assert page.locator("#model b").count() == 0
    assert visit.overflow() <= 0
    assert visit.said == []


def test_a_failure_of_the_server_can_be_tried_again(visits: Any) -> None:
    visit = visits()
    visit.answer({"code": "constructor"}, status=500)
    visit.choose()
    expect(visit.page.locator("#error-title")).to_have_text("The photo could not be identified")
    visit.page.unroute("**/v1/identify")
    visit.answer({}, status=502)
    visit.choose()
    expect(visit.page.locator("#error-title")).to_have_text("Something failed on the server")
    visit.page.unroute("**/v1/identify")
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.locator("#result")).to_be_visible()


def test_without_a_connection_the_page_says_so(visits: Any) -> None:
    visit = visits()
    visit.page.wait_for_load_state("networkidle")
    visit.context.set_offline(True)
    expect(visit.page.locator("#offline")).to_be_visible()
    visit.choose()
    expect(visit.page.locator("#error-title")).to_have_text("The server cannot be reached")
    visit.context.set_offline(False)
    expect(visit.page.locator("#offline")).to_be_hidden()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.locator("#result")).to_be_visible()


def test_the_page_waits_visibly_and_keeps_only_the_last_photo(visits: Any) -> None:
    visit = visits()
    held: list[Any] = []
    visit.page.route("**/v1/identify", lambda route: held.append(route))
    visit.choose(name="first.jpg")
    expect(visit.page.locator("#loading")).to_be_visible()
    expect(visit.page.locator("#answer")).to_have_attribute("aria-busy", "true")
    visit.page.unroute("**/v1/identify")
    visit.choose(name="second.jpg")
    expect(visit.page.locator("#result")).to_be_visible()
    expect(visit.page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(visit.page.locator("#file-name")).to_have_text("second.jpg")


GIVE = """([way, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], `${way}.jpg`, { type: "image/jpeg" }));
    const options = { bubbles: true, cancelable: true };
    document.body.dispatchEvent(way === "drop"
        ? new DragEvent("drop", { ...options, dataTransfer: data })
        : new ClipboardEvent("paste", { ...options, clipboardData: data }));
}"""


def test_a_photo_may_be_dropped_or_pasted(visits: Any) -> None:
    visit = visits()
    for way in ("drop", "paste"):
        visit.page.evaluate(GIVE, [way, list(JPEG)])
        expect(visit.page.locator("#file-name")).to_have_text(f"{way}.jpg")
        expect(visit.page.locator("#result")).to_be_visible()
    assert len([url for url in visit.asked if url.endswith("/v1/identify")]) == 2
    assert visit.said == []


def test_the_keyboard_reaches_everything(visits: Any) -> None:
    page = visits().page
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert reached == ["Handlens", "English", "Español", "choose", "Programming interface"]
    page.get_by_label("Choose a photo").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": JPEG}])
    expect(page.locator("#result")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_a_narrow_phone_never_scrolls_sideways(visits: Any, address: str, locale: str) -> None:
    visit = visits(locale=locale, viewport=PHONE, has_touch=True, is_mobile=True)
    assert visit.overflow() <= 0
    expect(visit.page.locator('label[for="camera"]')).to_be_visible()
    assert visit.page.get_attribute("#camera", "capture") == "environment"
    visit.choose(name="a-file-name-without-any-place-to-break-it" * 4 + ".jpg")
    expect(visit.page.locator("#result")).to_be_visible()
    assert visit.overflow() <= 0
    visit.choose(b"text " * 50)
    expect(visit.page.locator("#error")).to_be_visible()
    assert visit.overflow() <= 0
    visit.page.goto(f"{address}/docs")
    assert visit.overflow() <= 0


LOW_CONTRAST = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
            if (a > 0) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const luminance = (rgb) => rgb.slice(0, 3)
        .map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const texts = [...document.querySelectorAll("body *")].filter((element) =>
        element.checkVisibility() && !element.classList.contains("unseen") &&
        [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    return [texts.length, texts.map((element) => {
        const [one, two] = [channels(getComputedStyle(element).color), ground(element)].map(luminance);
        return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.textContent.trim()];
    }).filter(([ratio]) => ratio < 4.5)];
}"""
"""How many texts are seen, and those of less than 4.5 to 1 (WCAG 2.2, 1.4.3)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(visits: Any, scheme: str) -> None:
    visit = visits(color_scheme=scheme)
    for state, photo in (("start", None), ("result", JPEG), ("error", b"text " * 50)):
        if photo:
            visit.choose(photo)
            expect(visit.page.locator(f"#{state}")).to_be_visible()
        texts, low = visit.page.evaluate(LOW_CONTRAST)
        assert texts >= 8
        assert low == []
