"""The form of the field tests in a real browser: every change is weighed, and the answer changes in place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from handlens.evidence import Evidence
from handlens.field_tests import CHOICES
from handlens.identifier import Identifier
from handlens.minerals import Language
from service.running import JPEG, drawn, encoded
from service.visiting import HAZARDOUS, PHONE, expect, needs_chromium, photo, texts

pytest_plugins = ["service.browsing"]
pytestmark = needs_chromium


def shown(visit: Any, identifier: Identifier, evidence: dict[str, str]) -> None:
    """The page shows what Python answers with this evidence."""
    answer = identifier.identify(JPEG, evidence=Evidence.of(evidence) if evidence else None)
    names = [identifier.minerals.display(one.name, "en") for one in answer.candidates]
    expect(visit.page.locator("#candidates .name")).to_have_text(names, ignore_case=True)
    decision = answer.decision
    name = "unknown" if decision.rank == "unknown" else identifier.minerals.display(decision.name, "en")
    expect(visit.page.locator("#decision")).to_have_text(name, ignore_case=True)
    how = "No answer" if decision.rank == "unknown" else r"\w+, [\d.<>]+\s?% likely"
    spoken = visit.page.locator("#status")
    expect(spoken).to_have_text(re.compile(rf"^{re.escape(name)}, {how}", re.IGNORECASE))


def test_the_controls_are_the_tests_that_there_are(visits: Any) -> None:
    page = visits().page
    found = page.eval_on_selector_all(
        "#tests [role=radiogroup]",
        "all => all.map(one => [one.id, [...one.querySelectorAll('input')].map(input => input.value)])",
    )
    assert {name.removeprefix("test-"): answers for name, answers in found} == {
        test: ["", *answers] for test, answers in CHOICES.items()
    }
    assert page.locator("#test-hardness, #test-gravity").count() == 2


def test_every_test_changes_the_answer_as_python_does(visits: Any, identifier: Identifier) -> None:
    visit = visits(reduced_motion="reduce")
    expect(visit.page.locator("#tests")).to_be_hidden()
    visit.identified()
    shown(visit, identifier, {})
    evidence: dict[str, str] = {}
    expect(visit.page.locator("#hardness-value")).to_have_text("not measured")
    visit.weighed(lambda: visit.slide(3))
    evidence["hardness"] = "3"
    shown(visit, identifier, evidence)
    expect(visit.page.locator("#hardness-value")).to_have_text("3 ± 0.5")
    for test, answer in (("streak", "white"), ("acid", "vigorous"), ("knife", "yes"), ("cleavage", "perfect")):
        sent = visit.weighed(lambda test=test, answer=answer: visit.tick(test, answer))
        evidence[test] = answer
        shown(visit, identifier, evidence)
    visit.weighed(lambda: visit.page.locator("#gravity").fill("2.71"))
    evidence["gravity"] = "2.71"
    shown(visit, identifier, evidence)
    assert (sent["hardness"], sent["streak"], sent["lang"]) == ("3±0.5", "white", "en")
    assert sent["test"] == ["acid=vigorous", "knife=yes", "cleavage=perfect"]
    expect(visit.page.locator("#weighed")).to_contain_text(
        "hardness 3 ± 0.5; specific gravity 2.71 ± 0.1; streak: white"
    )
    expect(visit.page.locator("#status")).to_contain_text("hardness 3±0.5 does not fit")
    # And back: the slider at its left end is no test.
    sent = visit.weighed(lambda: visit.slide(0.5))
    assert "hardness" not in sent
    del evidence["hardness"]
    shown(visit, identifier, evidence)
    visit.weighed(lambda: visit.tick("acid", ""))
    del evidence["acid"]
    shown(visit, identifier, evidence)
    visit.weighed(lambda: visit.page.get_by_role("button", name="Clear tests").click())
    shown(visit, identifier, {})
    expect(visit.page.locator("#weighed")).to_be_hidden()
    expect(visit.page.locator("#hardness")).to_be_focused()
    expect(visit.page.locator("#gravity")).to_have_value("")
    assert visit.page.locator('#tests input[value=""]:checked').count() == len(CHOICES)
    # What leaves little to choose from gives a name.
    visit.weighed(lambda: visit.slide(7))
    visit.weighed(lambda: visit.page.locator("#gravity").fill("2.65"))
    shown(visit, identifier, {"hardness": "7", "gravity": "2.65"})
    expect(visit.page.locator("#status")).to_contain_text("% likely")
    assert visit.count("/v1/identify") == 1
    assert visit.said == []


def test_the_slider_and_the_choices_work_with_the_keyboard(visits: Any) -> None:
    visit = visits()
    visit.identified()
    slider = visit.page.get_by_role("slider", name="Hardness")
    slider.focus()
    expect(slider).to_have_attribute("aria-valuetext", "not measured")
    visit.weighed(lambda: visit.page.keyboard.press("ArrowRight"))
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^1.±.0.5, like talc$"))
    sent = visit.weighed(lambda: visit.page.keyboard.press("ArrowRight"))
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^1.5.±.0.5, between talc and gypsum$"))
    assert sent["hardness"] == "1.5±0.5"
    knife = visit.page.get_by_role("radiogroup", name="What scratches it? A steel knife")
    knife.get_by_role("radio", name="not tested").focus()
    visit.weighed(lambda: visit.page.keyboard.press("ArrowRight"))
    expect(knife.get_by_role("radio", name="No", exact=True)).to_be_checked()


def test_changes_that_follow_each_other_quickly_are_asked_once(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    steps = """async (values) => {
        const slider = document.getElementById("hardness");
        for (const value of values) {
            slider.value = value;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }
    }"""
    sent = visit.weighed(lambda: visit.page.evaluate(steps, [1, 2, 3, 4, 5, 6, 7]))
    assert sent["hardness"] == "7±0.5"
    assert visit.count("/v1/reweigh") == 1
    shown(visit, identifier, {"hardness": "7"})


BY_HAND = """() => {
    const real = window.fetch;
    window.replies = [];
    window.read = 0;
    const counted = (response) => {
        const json = response.json.bind(response);
        response.json = async () => {
            const document = await json();
            window.read += 1;
            return document;
        };
        return response;
    };
    window.fetch = (address, options) => String(address).includes("reweigh")
        ? new Promise((resolve) => window.replies.push(async () =>
            resolve(counted(await real(address, { ...options, signal: null })))))
        : real(address, options);
}"""


def test_an_older_reply_never_takes_the_place_of_a_newer(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    # The replies are given by hand, and the page's own calling off is switched off: the order has to do it.
    visit.page.evaluate(BY_HAND)
    for count, value in enumerate((2, 7), 1):
        visit.slide(value)
        visit.page.wait_for_function("count => window.replies.length === count", arg=count)
    for place in (1, 0):
        with visit.page.expect_response("**/v1/reweigh"):
            visit.page.evaluate("place => window.replies[place]()", place)
    visit.page.wait_for_function("() => window.read === 2")
    visit.page.evaluate("() => new Promise((resolve) => setTimeout(resolve))")  # what follows the reading is done
    shown(visit, identifier, {"hardness": "7"})


def test_a_failure_keeps_the_last_answer_and_says_so(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    visit.weighed(lambda: visit.slide(3))
    visit.page.route("**/v1/reweigh", lambda route: route.abort())
    visit.tick("acid", "vigorous")
    expect(visit.page.get_by_role("alert")).to_contain_text("The answer could not be updated")
    shown(visit, identifier, {"hardness": "3"})
    visit.page.unroute("**/v1/reweigh")
    visit.answer({"code": "internal-error"}, status=500, path="reweigh")
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("The answer could not be updated")
    visit.page.unroute("**/v1/reweigh")
    visit.weighed(lambda: visit.page.get_by_role("button", name="Try again").click())
    expect(visit.page.locator("#weigh-error")).to_be_hidden()
    shown(visit, identifier, {"hardness": "3", "acid": "vigorous"})


def test_without_a_connection_the_tests_wait_for_it(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    visit.context.set_offline(True)
    visit.slide(3)
    expect(visit.page.locator("#weigh-error")).to_be_visible()
    expect(visit.page.locator("#result")).to_be_visible()
    visit.weighed(lambda: visit.context.set_offline(False))
    expect(visit.page.locator("#weigh-error")).to_be_hidden()
    shown(visit, identifier, {"hardness": "3"})


def test_a_number_that_is_no_gravity_is_not_sent(visits: Any) -> None:
    visit = visits()
    visit.identified()
    visit.page.locator("#more > summary").click()
    field = visit.page.get_by_role("spinbutton", name="Specific gravity")
    for wrong in ("0.2", "21", "-3"):
        field.fill(wrong)
        expect(visit.page.locator("#gravity-range")).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
    assert "gravity" in visit.weighed(lambda: field.fill("2.65"))
    expect(visit.page.locator("#gravity-range")).to_be_hidden()
    assert "gravity" not in visit.weighed(lambda: field.fill(""))
    expect(visit.page.locator("#gravity-range")).to_be_hidden()


@pytest.mark.parametrize("viewport", [{"width": 1200, "height": 850}, PHONE])
@pytest.mark.parametrize(("test", "control"), [("acid", "#test-acid input"), ("gravity", "#gravity")])
def test_the_next_test_leads_to_its_control(visits: Any, viewport: dict[str, int], test: str, control: str) -> None:
    visit = visits(viewport=viewport)
    visit.answer(HAZARDOUS | {"next_test": {"test": test, "text": "Do <i>this</i>."}})
    visit.choose()
    expect(visit.page.locator("#next-text")).to_have_text("Do <i>this</i>.")
    visit.page.get_by_role("button", name="Answer this test").click()
    expect(visit.page.locator(control).first).to_be_focused()
    expect(visit.page.locator(f"#test-{test}")).to_be_in_viewport()


def test_the_sentences_come_in_the_language_of_the_page(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    visit.weighed(lambda: visit.slide(3))
    switched: tuple[tuple[str, Language], ...] = (("Español", "es"), ("English", "en"))
    for button, lang in switched:
        sent = visit.weighed(lambda button=button: visit.page.get_by_role("button", name=button).click())
        assert (sent["lang"], sent["hardness"]) == (lang, "3±0.5")
        answer = identifier.identify(JPEG, evidence=Evidence.of({"hardness": "3"}), lang=lang)
        assert answer.next_test
        expect(visit.page.locator("#next-text")).to_have_text(answer.next_test.text)
        wanted = [one.text for one in answer.contradictions]
        assert wanted
        expect(visit.page.locator("#contradiction li")).to_have_text(wanted)


def test_the_tests_belong_to_the_specimen(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    visit.weighed(lambda: visit.slide(3))
    visit.page.set_input_files("#add", photo(name="b.jpg"))
    expect(visit.page.locator("#file-name")).to_have_text("2 photos of one specimen")
    visit.settled()
    expect(visit.page.locator("#weighed")).to_contain_text("hardness 3")
    assert visit.count("/v1/reweigh") == 1, "the test went with the photos"
    visit.identified(encoded(drawn((20, 140, 70))), "other.jpg")
    expect(visit.page.locator("#weighed")).to_be_hidden()
    expect(visit.page.locator("#hardness-value")).to_have_text("not measured")
    expect(visit.page.locator("#clear")).to_be_hidden()


def test_what_is_dangerous_stands_beside_the_name(visits: Any, identifier: Identifier) -> None:
    visit = visits(locale="es-ES")
    visit.answer(HAZARDOUS)
    visit.choose()
    page = visit.page
    warnings = {name: identifier.minerals.properties(name).hazards for name in ("realgar", "wulfenite", "galena")}
    assert all(warnings.values()), "the test needs minerals with hazards"
    records = {
        name: page.request.get(f"{visit.address}/v1/minerals/{name}").json()["warnings"]["es"] for name in warnings
    }
    expect(page.locator("#hazards .hazard")).to_have_count(len(records["realgar"]))
    expect(page.locator("#hazards")).to_contain_text(records["realgar"][0])
    rows = page.locator("#candidates > li")
    expect(rows.nth(0).locator(".hazard").first).to_contain_text("Contiene arsénico.")
    expect(rows.nth(1).locator(".hazard")).to_contain_text(records["wulfenite"])
    expect(page.locator("#set-hazards")).to_contain_text(f"Galena: {records['galena'][0]}")
    visit.answer(HAZARDOUS, path="reweigh")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#hazards")).to_contain_text("It contains arsenic: do not heat it")
    expect(page.locator("#set-hazards")).to_contain_text("Galena: It contains lead")
    expect(page.locator("#result > .warning")).to_have_text("Not for food, medicine, valuation or asbestos clearance.")


def test_contradictions_are_told(visits: Any) -> None:
    visit = visits()
    visit.answer(HAZARDOUS)
    visit.choose()
    told = [one["text"] for one in HAZARDOUS["contradictions"]]
    expect(visit.page.locator("#contradictions li")).to_have_text(told[:3])
    visit.page.get_by_text("2 more").click()
    assert texts(visit.page.locator("#contradiction li")) == told
    expect(visit.page.locator("#status")).to_contain_text(told[4])


def test_rows_keep_their_place_in_the_document_and_cards_stay_open(visits: Any) -> None:
    visit = visits()
    visit.identified()
    first = visit.page.locator("#candidates > li").first
    name = first.get_attribute("data-name")
    visit.page.evaluate("name => (document.querySelector(`[data-name='${name}']`).mark = 1)", name)
    first.locator(".name").click()
    expect(first.locator("dl")).to_be_visible()
    answers = json.loads(json.dumps(HAZARDOUS))
    answers["candidates"] = [{"name": "galena", "probability": 0.6}, {"name": name, "probability": 0.3}]
    visit.answer(answers, path="reweigh")
    visit.slide(3)
    row = visit.page.locator("#candidates > li").nth(1)
    expect(row).to_have_attribute("data-name", name)
    assert row.evaluate("row => row.mark") == 1
    expect(row.locator("dl")).to_be_visible()
    expect(row.locator(".value")).to_have_text("30%")
    row.locator(".fill").evaluate("fill => Promise.all(fill.getAnimations().map(one => one.finished))")
    width = "(fill) => fill.getBoundingClientRect().width / fill.parentElement.getBoundingClientRect().width"
    assert row.locator(".fill").evaluate(width) == pytest.approx(0.3, abs=0.01)


def test_on_a_phone_the_answer_goes_along_with_the_tests(visits: Any) -> None:
    visit = visits(viewport=PHONE)
    visit.identified()
    visit.weighed(lambda: visit.slide(3))
    visit.page.locator("#test-magnet").scroll_into_view_if_needed()
    live = visit.page.locator("#live")
    expect(live).to_be_in_viewport()
    expect(live).to_contain_text(visit.page.locator("#decision").inner_text())
    live.click()
    expect(visit.page.locator("#decision")).to_be_in_viewport()
