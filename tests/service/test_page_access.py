"""Every state of the page in both languages, wide and narrow, light and dark: no fault that axe or a ruler finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.running import JPEG
from service.visiting import DESKTOP, HAZARDOUS, PATIENCE_MS, PHONE, Visit, expect, needs_chromium, photo

pytest_plugins = ["service.browsing"]
pytestmark = needs_chromium
HEAT = {
    "label": "realgar",
    "probability": 0.5,
    "box": [0, 0, 320, 240],
    "heat": [[0.1 * at for at in range(-5, 5)]] * 10,
    "nearest": [{"label": "quartz", "source": f"https://example.org/{'long' * 40}", "similarity": 0.8}],
}

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
        element.checkVisibility() && !element.closest(".unseen") &&
        [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    return [texts.length, texts.map((element) => {
        const [one, two] = [channels(getComputedStyle(element).color), ground(element)].map(luminance);
        return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.textContent.trim()];
    }).filter(([ratio]) => ratio < 4.5)];
}"""
"""How many texts are seen, and those of less than 4.5 to 1 (WCAG 2.2, 1.4.3)."""

SMALL = """() => [...document.querySelectorAll("button, a, summary, label.chip, label.button, input:not(.unseen)")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.getBoundingClientRect(), element.id || element.textContent.trim()])
    .filter(([box]) => box.width < 24 || box.height < 24)
    .map(([box, name]) => [name, box.width, box.height])"""
"""What can be pressed and is less than 24 pixels a side (WCAG 2.2, 2.5.8)."""


def reply(page: Any, held: list[Any], **response: Any) -> None:
    """Answers the request that the page waits for, once it has arrived."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not held:
        assert time.monotonic() < deadline, "the page asked for nothing"
        page.evaluate("() => 0")  # a round trip, in which it may arrive
    held.pop().fulfill(**response)


def states(visit: Visit) -> Iterator[str]:
    """Brings the page into one state after the other, all with what was there before where it stays."""
    page = visit.page
    yield "start"
    held: list[Any] = []
    page.route("**/v1/identify", lambda route: held.append(route))
    visit.choose()
    expect(page.locator("#loading")).to_be_visible()
    yield "loading"
    reply(page, held, json=HAZARDOUS)
    visit.settled()
    page.locator("#result > details > summary").click()
    page.locator("#misfits > summary").click()
    page.locator("#candidates .name").first.click()
    expect(page.locator("#candidates .mineral dl").first).to_be_visible()
    yield "result with warnings, contradictions, a card and a next test"
    page.locator("#more > summary").click()
    visit.answer({"code": "internal-error"}, status=500, path="reweigh")
    page.locator("#hardness").fill("7.5")
    visit.tick("streak", "black")
    page.locator("#gravity").fill("0.5")
    expect(page.locator("#weigh-error")).to_be_visible()
    yield "tests, all of them, of which the last could not be weighed"
    page.locator("#heat").click()
    expect(page.locator("#heat-status")).to_be_visible()
    yield "waiting for the heat map"
    reply(page, held, json=HAZARDOUS | {"explanation": HEAT})
    expect(page.locator("#heat-map")).to_be_visible()
    yield "heat map"
    page.locator("#mark").click()
    expect(page.locator("#crop-box")).to_be_visible()
    yield "crop"
    page.set_input_files("#add", photo(name="b.jpg"))
    expect(page.locator("#thumbs")).to_be_visible()
    yield "loading, over the answer from before"
    reply(page, held, json=HAZARDOUS | {"decision": {"name": "unknown", "rank": "unknown", "probability": 0.7}})
    visit.settled()
    yield "several photos, unknown"
    page.set_input_files("#choose", photo(b"text " * 50, "letter-with-a-name-without-any-place-to-break-it" * 3))
    reply(page, held, status=415, json={"code": "not-an-image"})
    expect(page.locator("#error")).to_be_visible()
    yield "error"
    page.set_input_files("#choose", photo())
    reply(page, held, status=401, json={"code": "unauthorised"})
    expect(page.locator("#key-form")).to_be_visible()
    yield "a key is asked for"
    visit.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    yield "offline"


def in_every_look(visits: Any, locale: str, check: Callable[[Visit], None]) -> None:
    """Checks every state at two widths, light and dark."""
    visit = visits(locale=locale, reduced_motion="reduce")
    seen = 0
    for state in states(visit):
        for viewport in (DESKTOP, PHONE):
            visit.page.set_viewport_size(viewport)
            for scheme in ("light", "dark"):
                visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                try:
                    check(visit)
                except AssertionError as error:
                    raise AssertionError(f"{state}, {viewport['width']} px, {scheme}: {error}") from error
                seen += 1
        visit.page.set_viewport_size(DESKTOP)
    assert seen == 48


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_axe_finds_no_violation(visits: Any, locale: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    script = axe.Axe().axe_script

    def check(visit: Visit) -> None:
        visit.page.evaluate(f"() => {{ if (!window.axe) {{ {script} }} }}")
        found = visit.page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        assert len(found["passes"]) > 10
        violations = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
        assert violations == []

    in_every_look(visits, locale, check)


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_texts_stand_out_nothing_sticks_out_and_what_is_pressed_is_large(visits: Any, locale: str) -> None:
    def check(visit: Visit) -> None:
        count, low = visit.page.evaluate(LOW_CONTRAST)
        assert count >= 8
        assert low == []
        assert visit.overflow() <= 0
        assert visit.page.evaluate(SMALL) == []

    in_every_look(visits, locale, check)


def test_the_keyboard_reaches_all_of_an_answer(visits: Any) -> None:
    visit = visits()
    visit.answer(HAZARDOUS)
    visit.choose(JPEG)
    visit.settled()
    page = visit.page
    page.locator("#more > summary").click()
    page.locator(".brand").focus()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name || 'other'"))
    buttons = {"turn-left", "turn-right", "mark", "heat", "add", "choose", "next-do", "hardness", "gravity"}
    tests = {"streak", "nail", "coin", "knife", "glass", "file", "magnet", "acid", "heft", "lustre", "cleavage"}
    assert reached >= buttons | tests
