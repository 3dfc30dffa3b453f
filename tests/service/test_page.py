"""The page in a real browser: a photo, an error, two languages, a phone; and nothing that leaves loopback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from handlens.identifier import Identifier
from service.running import JPEG, drawn, encoded
from service.visiting import PHONE, expect, needs_chromium

pytest_plugins = ["service.browsing"]
pytestmark = needs_chromium
MOST_BYTES = 150_000
PAGE = Path(__file__).parents[2] / "src/handlens/service/page"
UNKNOWN = {
    "photo": "a.jpg",
    "decision": {"name": "unknown", "rank": "unknown", "probability": 0.72},
    "candidates": [{"name": "quartz", "probability": 0.2}, {"name": "calcite", "probability": 0.001}],
    "prediction_set": ["quartz"] + ["calcite"] * 20,
    "unknown_score": 0.8,
    "model": "<b>model</b>",
}


def test_a_photo_is_identified(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    page = visit.page
    expect(page.locator("#answer")).to_be_hidden()
    visit.identified()
    answer = identifier.identify(JPEG, name="a.jpg")
    name = identifier.minerals.display(answer.decision.name, "en") if answer.decision.rank != "unknown" else "unknown"
    expect(page.locator("#decision")).to_have_text(name, ignore_case=True)
    assert visit.bars() == [
        identifier.minerals.display(candidate.name, "en").lower() for candidate in answer.candidates
    ]
    widths = page.eval_on_selector_all(
        "#candidates .fill", "all => all.map(fill => fill.getBoundingClientRect().width)"
    )
    track = page.eval_on_selector("#candidates .track", "track => track.getBoundingClientRect().width")
    for width, candidate in zip(widths, answer.candidates, strict=True):
        assert width / track == pytest.approx(max(candidate.probability, 0.005), abs=0.01)
    expect(page.locator("#set")).to_contain_text("With 90% confidence it is")
    for label in answer.prediction_set[:8]:
        expect(page.locator("#set")).to_contain_text(identifier.minerals.display(label, "en"))
    assert page.eval_on_selector("#preview", "image => image.naturalWidth") == 320
    expect(page.locator("#status")).to_contain_text(name, ignore_case=True)
    expect(page.locator("#result > .warning")).to_have_text("Not for food, medicine, valuation or asbestos clearance.")
    expect(page.get_by_text("They are not stored")).to_be_visible()
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
        expect(visit.page.locator("#status")).to_contain_text(title)
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
    expect(page.locator("#set")).to_contain_text("With 90% confidence it is")
    page.reload()
    expect(page.locator("h1")).to_have_text("Which mineral is this?")
    assert visit.count("/v1/identify") == 1
    assert visit.said == []


KEYS = """async () => {
    const { WORDS } = await import("/page/words.js");
    const keys = (texts, path = "") => Object.entries(texts).flatMap(([key, text]) =>
        typeof text === "object" && !Array.isArray(text) ? keys(text, `${path}${key}.`)
            : [`${path}${key}: ${typeof text} ${Array.isArray(text) ? text.length : ""}`]);
    return [keys(WORDS.en).sort(), keys(WORDS.es).sort()];
}"""


def test_both_languages_have_the_same_texts(visits: Any) -> None:
    english, spanish = visits().page.evaluate(KEYS)
    assert english == spanish
    assert len(english) > 150
    known = {key.partition(":")[0] for key in english}
    html = (PAGE / "index.html").read_text()
    assert set(re.findall(r'data-(?:text|label)="([\w.]+)"', html)) <= known


def test_the_page_is_light(visits: Any) -> None:
    visit = visits()
    visit.page.wait_for_load_state("networkidle")
    loaded = {url.rpartition("/")[2] or "index.html" for url in visit.asked if "/v1/" not in url}
    assert {path.name for path in PAGE.iterdir()} == loaded, "all that is there is loaded, and nothing else"
    assert sum((PAGE / name).stat().st_size for name in loaded) <= MOST_BYTES


def test_every_module_is_fetched_at_once() -> None:
    html = (PAGE / "index.html").read_text()
    preloaded = re.findall(r'rel="modulepreload" href="page/([\w-]+\.js)"', html)
    assert sorted([*preloaded, "app.js"]) == sorted(path.name for path in PAGE.glob("*.js"))


def test_unknown_explains_itself(visits: Any) -> None:
    visit = visits(viewport=PHONE)
    visit.answer(UNKNOWN)
    visit.choose()
    page = visit.page
    expect(page.locator("#decision")).to_have_text("Unknown")
    expect(page.locator("#explanation")).to_contain_text("wrong with a likelihood of 72%")
    expect(page.locator("#set")).to_contain_text("13 others")
    expect(page.locator("#candidates .value").last).to_have_text("< 1%")
    page.locator("#result > details > summary").click()
    expect(page.locator("#model")).to_have_text("<b>model</b>")
    assert page.locator("#model b").count() == 0
    assert visit.overflow() <= 0
    assert visit.said == []


@pytest.mark.parametrize(("lang", "told"), [("en", "hardly looks like a photo"), ("es", "apenas parece la foto")])
def test_what_is_no_specimen_is_told(visits: Any, lang: str, told: str) -> None:
    visit = visits(locale=lang)
    visit.answer(UNKNOWN | {"warnings": ["no-specimen"]})
    visit.choose()
    expect(visit.page.locator("#explanation")).to_contain_text(told)
    expect(visit.page.locator("#explanation")).not_to_contain_text("72")
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
    visit.page.route("**/v1/identify", lambda route: route.fulfill(status=503, body="Service Unavailable"))
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.locator("#error-title")).to_have_text("The server is busy")
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
    assert visit.count("/v1/identify") == 2
    assert visit.said == []


def test_what_is_no_photo_changes_nothing(visits: Any) -> None:
    visit = visits()
    visit.identified()
    drop = """() => document.body.dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: new DataTransfer() }))"""
    visit.page.evaluate(drop)
    expect(visit.page.locator("#notice")).to_contain_text("There was no photo in that")
    expect(visit.page.locator("#result")).to_be_visible()
    assert visit.count("/v1/identify") == 1
    visit.identified(name="b.jpg")
    expect(visit.page.locator("#notice")).to_be_hidden()


def test_the_keyboard_reaches_everything(visits: Any) -> None:
    page = visits().page
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert reached == ["Handlens", "English", "Español", "choose", "Programming interface"]
    page.get_by_label("Choose photos").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": JPEG}])
    expect(page.locator("#result")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_a_narrow_phone_never_scrolls_sideways(visits: Any, address: str, locale: str) -> None:
    visit = visits(locale=locale, viewport=PHONE, has_touch=True, is_mobile=True)
    assert visit.overflow() <= 0
    expect(visit.page.locator("#camera-label")).to_be_visible()
    assert visit.page.get_attribute("#camera", "capture") == "environment"
    visit.choose(name="a-file-name-without-any-place-to-break-it" * 4 + ".jpg")
    expect(visit.page.locator("#result")).to_be_visible()
    assert visit.overflow() <= 0
    visit.choose(b"text " * 50)
    expect(visit.page.locator("#error")).to_be_visible()
    assert visit.overflow() <= 0
    visit.page.goto(f"{address}/docs")
    assert visit.overflow() <= 0
