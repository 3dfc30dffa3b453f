"""Photos in a real browser: several of one specimen, turned, cropped, explained; and the cards of the minerals."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from PIL import Image

from handlens.identifier import Identifier
from handlens.photo import Crop
from handlens.service import create_app
from service.running import JPEG, drawn, encoded, running
from service.visiting import Visit, expect, needs_chromium, photo, texts

pytest_plugins = ["service.browsing"]
pytestmark = needs_chromium
COLOURS = [(150, 60, 170), (20, 140, 70), (200, 160, 60), (30, 60, 190), (235, 235, 240), (90, 30, 30)]
PHOTOS = [photo(encoded(drawn(colour)), f"{at}.jpg") for at, colour in enumerate(COLOURS)]


def names_of(visit: Any, identifier: Identifier, **options: Any) -> None:
    """The page shows the candidates of Python for these photos."""
    answer = identifier.identify(**options)
    names = [identifier.minerals.display(one.name, "en") for one in answer.candidates]
    expect(visit.page.locator("#candidates .name")).to_have_text(names, ignore_case=True)


def test_several_photos_are_one_request(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    page = visit.page
    page.set_input_files("#choose", PHOTOS[:2])
    visit.settled()
    assert visit.count("/v1/identify") == 1
    names_of(visit, identifier, photo=[one["buffer"] for one in PHOTOS[:2]])
    expect(page.locator("#file-name")).to_have_text("2 photos of one specimen")
    expect(page.locator("#tools")).to_be_hidden()
    expect(page.locator("#notice")).to_have_text("To turn or crop, leave one photo: both are for a single photo.")
    page.set_input_files("#add", PHOTOS[2])
    expect(page.locator("#file-name")).to_have_text("3 photos of one specimen")
    visit.settled()
    names_of(visit, identifier, photo=[one["buffer"] for one in PHOTOS[:3]])
    thumbs = page.locator("#thumbs .thumb")
    expect(thumbs.nth(2)).to_have_attribute("aria-label", "Photo 3 of 3: 2.jpg")
    expect(thumbs.nth(2)).to_have_attribute("aria-pressed", "true")
    thumbs.nth(0).click()
    expect(page.locator("#preview")).to_have_attribute("alt", "The chosen photo, 0.jpg")
    page.get_by_role("button", name="Remove photo 2, 1.jpg").click()
    expect(page.locator("#file-name")).to_have_text("2 photos of one specimen")
    visit.settled()
    names_of(visit, identifier, photo=[PHOTOS[0]["buffer"], PHOTOS[2]["buffer"]])
    expect(thumbs.nth(0)).to_be_focused()
    page.get_by_role("button", name="Remove photo 1, 0.jpg").click()
    expect(page.locator("#file-name")).to_have_text("2.jpg")
    visit.settled()
    names_of(visit, identifier, photo=PHOTOS[2]["buffer"])
    expect(page.locator("#tools")).to_be_visible()
    expect(page.locator("#thumbs")).to_be_hidden()
    assert visit.said == []


def test_five_photos_are_the_most(visits: Any) -> None:
    visit = visits()
    visit.page.set_input_files("#choose", PHOTOS)
    expect(visit.page.locator("#notice")).to_contain_text("Five photos are the most")
    expect(visit.page.locator("#file-name")).to_have_text("5 photos of one specimen")
    expect(visit.page.locator("#add-label")).to_be_hidden()
    visit.settled()


def test_a_broken_one_of_several_is_named_and_can_be_taken_away(visits: Any) -> None:
    visit = visits()
    visit.page.set_input_files("#choose", [PHOTOS[0], photo(JPEG[: len(JPEG) // 2], "half.jpg")])
    expect(visit.page.locator("#error-title")).to_have_text("The photo is cut short")
    expect(visit.page.locator("#error-text")).to_contain_text("It is about half.jpg.")
    visit.page.get_by_role("button", name="Remove photo 2, half.jpg").click()
    visit.settled()
    expect(visit.page.locator("#error")).to_be_hidden()


def test_dropped_onto_the_thumbnails_a_photo_is_added(visits: Any) -> None:
    visit = visits()
    visit.page.set_input_files("#choose", PHOTOS[:2])
    visit.settled()
    drop = """([bytes, target]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
        document.querySelector(target).dispatchEvent(
            new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
    }"""
    visit.page.evaluate(drop, [list(JPEG), "#thumbs"])
    expect(visit.page.locator("#file-name")).to_have_text("3 photos of one specimen")
    visit.page.evaluate(drop, [list(JPEG), "body"])
    expect(visit.page.locator("#file-name")).to_have_text("dropped.jpg")
    visit.settled()


def crop_of(visit: Any) -> Crop:
    """The crop as the number fields have it."""
    values = [visit.page.locator(f"#crop-{name}").input_value() for name in ("x", "y", "width", "height")]
    return Crop(*map(int, values))


def ask_again(visit: Any) -> None:
    """Asks for the view as it is now, and waits for the answer."""
    expect(visit.page.locator("#stale")).to_be_visible()
    with visit.page.expect_response("**/v1/identify"):
        visit.page.get_by_role("button", name="Identify this view").click()
    visit.settled()
    expect(visit.page.locator("#stale")).to_be_hidden()


def test_the_photo_is_turned(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    shape = "stage => { const box = stage.getBoundingClientRect(); return box.width / box.height; }"
    drawn_shape = "image => { const box = image.getBoundingClientRect(); return box.width / box.height; }"
    for at, (button, ratio) in enumerate((("Turn right", 0.75), ("Turn right", 4 / 3), ("Turn left", 0.75)), 1):
        visit.page.get_by_role("button", name=button).click()
        assert visit.page.locator("#stage").evaluate(shape) == pytest.approx(ratio, rel=0.02)
        assert visit.page.locator("#preview").evaluate(drawn_shape) == pytest.approx(ratio, rel=0.02)
        assert visit.count("/v1/identify") == at
        ask_again(visit)
        names_of(visit, identifier, photo=JPEG, rotate=(90, 180, 90)[at - 1])
    assert visit.said == []


def test_the_specimen_is_marked_with_the_keyboard(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    page = visit.page
    page.get_by_role("button", name="Mark the specimen").click()
    box = page.locator("#crop-box")
    expect(box).to_be_focused()
    assert crop_of(visit) == Crop(48, 36, 224, 168)
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    assert crop_of(visit) == Crop(54, 48, 218, 162)
    expect(box).to_have_attribute("aria-label", "Part of the photo: 218 by 162 pixels, at 54, 48")
    ask_again(visit)
    names_of(visit, identifier, photo=JPEG, crop=crop_of(visit))
    # It stops at the edges, and does not vanish.
    box.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    assert crop_of(visit) == Crop(102, 78, 218, 162)
    for _ in range(60):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
    assert crop_of(visit) == Crop(102, 78, 218, 162)
    for _ in range(60):
        page.keyboard.press("Shift+ArrowUp")
    assert crop_of(visit) == Crop(102, 78, 218, 16)
    page.locator("#crop-height").fill("999")
    page.keyboard.press("Tab")
    assert crop_of(visit) == Crop(102, 0, 218, 240)
    page.get_by_role("button", name="Whole photo").click()
    expect(box).to_be_hidden()
    expect(page.get_by_role("button", name="Mark the specimen")).to_be_focused()
    ask_again(visit)
    names_of(visit, identifier, photo=JPEG)
    assert visit.said == []


def test_the_specimen_is_marked_with_the_pointer(visits: Any) -> None:
    visit = visits()
    visit.identified()
    page = visit.page
    page.get_by_role("button", name="Mark the specimen").click()
    stage = page.locator("#stage").bounding_box()
    scale = stage["width"] / 320

    def drag(start: tuple[float, float], by: tuple[float, float]) -> Crop:
        x, y = stage["x"] + start[0] * scale, stage["y"] + start[1] * scale
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + by[0] * scale / 2, y + by[1] * scale / 2)
        page.mouse.move(x + by[0] * scale, y + by[1] * scale)
        page.mouse.up()
        return crop_of(visit)

    def near(crop: Crop, *wanted: int) -> bool:
        found = (crop.x, crop.y, crop.width, crop.height)
        return all(abs(one - other) <= 2 for one, other in zip(found, wanted, strict=True))

    assert near(drag((160, 120), (-20, 10)), 28, 46, 224, 168)
    assert near(drag((28, 46), (30, 20)), 58, 66, 194, 148)  # the corner at the top left; the other one stays
    assert near(drag((252, 214), (-40, 10)), 58, 66, 154, 158)
    assert near(drag((252 - 40, 66), (500, -500)), 58, 0, 262, 224)  # no further than the edges
    assert near(drag((160, 120), (-500, 500)), 0, 16, 262, 224)


def test_the_marked_part_turns_with_the_photo(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    visit.identified()
    visit.page.get_by_role("button", name="Mark the specimen").click()
    for name, value in (("width", 100), ("height", 60), ("x", 30), ("y", 20)):
        visit.page.locator(f"#crop-{name}").fill(str(value))
        visit.page.keyboard.press("Tab")
    assert crop_of(visit) == Crop(30, 20, 100, 60)
    visit.page.get_by_role("button", name="Turn right").click()
    assert crop_of(visit) == Crop(160, 30, 60, 100)
    ask_again(visit)
    names_of(visit, identifier, photo=JPEG, crop=Crop(160, 30, 60, 100), rotate=90)
    for _ in range(2):
        visit.page.get_by_role("button", name="Turn left").click()
    assert crop_of(visit) == Crop(20, 190, 60, 100)


def test_a_photo_is_upright_as_its_file_says(visits: Any) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to see it upright
    drawn().save(out, "JPEG", exif=exif)
    visit = visits()
    visit.identified(out.getvalue())
    visit.page.get_by_role("button", name="Mark the specimen").click()
    assert crop_of(visit) == Crop(36, 48, 168, 224)


def test_the_heat_map_is_asked_for_and_drawn(visits: Any) -> None:
    visit = visits()
    visit.identified()
    page = visit.page
    page.get_by_role("button", name="Mark the specimen").click()
    ask_again(visit)
    held: list[Any] = []
    page.route("**/v1/identify", lambda route: held.append(route))
    button = page.get_by_role("button", name="What it rests on")
    button.click()
    expect(page.locator("#heat-status")).to_contain_text("Working it out")
    expect(button).to_have_attribute("aria-pressed", "true")
    answer = page.request.post(
        f"{visit.address}/v1/identify",
        multipart={"photos": {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": JPEG}, "crop": "48,36,224,168"},
    ).json()
    heat = [[1.0 if column < 5 else -1.0 for column in range(10)] for _ in range(10)]
    label = answer["candidates"][0]["name"]
    explanation = {"label": label, "probability": 0.5, "box": [48, 36, 224, 168], "heat": heat}
    explanation["nearest"] = [{"label": "pyrite", "source": "<b>drawer</b> 4", "similarity": 0.9}]
    held[0].fulfill(json=answer | {"explanation": explanation})
    canvas = page.get_by_role("img", name=re.compile("Heat map"))
    expect(canvas).to_be_visible()
    expect(page.locator("#legend")).to_contain_text("Warm: speaks for")
    expect(page.locator("#heat-status")).to_be_hidden()
    expect(page.locator("#nearest")).to_contain_text("looks most like")
    expect(page.locator("#nearest-list li")).to_have_text("pyrite: <b>drawer</b> 4", use_inner_text=True)
    place, stage = canvas.bounding_box(), page.locator("#stage").bounding_box()
    assert (place["x"] - stage["x"]) / stage["width"] == pytest.approx(48 / 320, abs=0.01)
    assert place["width"] / stage["width"] == pytest.approx(224 / 320, abs=0.01)
    row = canvas.evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 50, canvas.width, 1).data]")
    warm, cold = row[len(row) // 5 // 4 * 4 :][:4], row[len(row) * 4 // 5 // 4 * 4 :][:4]
    assert warm[0] > warm[2] + 60
    assert cold[2] > cold[0] + 60
    assert warm[3] > 100
    button.click()
    expect(canvas).to_be_hidden()
    expect(page.locator("#nearest")).to_be_hidden()
    button.click()  # it is kept
    expect(canvas).to_be_visible()
    assert len(held) == 1
    page.get_by_role("button", name="Turn right").click()  # it was of the view before
    expect(canvas).to_be_hidden()
    expect(button).to_be_hidden()
    assert visit.said == []


def test_a_heat_map_that_cannot_be_made_is_told(visits: Any) -> None:
    visit = visits()
    visit.identified()
    visit.answer({"code": "internal-error"}, status=500)
    button = visit.page.get_by_role("button", name="What it rests on")
    button.click()
    expect(visit.page.locator("#heat-status")).to_contain_text("could not be made")
    expect(visit.page.locator("#result")).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_the_server_gives_what_the_heat_map_needs(browser: Any, tiny: Identifier) -> None:
    with running(create_app(tiny)) as address:  # a network that is quick: it is asked about 60 times
        visit = Visit(browser, address)
        visit.identified()
        with visit.page.expect_response("**/v1/identify") as replied:
            visit.page.get_by_role("button", name="What it rests on").click()
        assert replied.value.json()["explanation"]["box"] == [0, 0, 320, 240]
        assert "nearest" not in replied.value.json()["explanation"]  # this bundle has no references
        expect(visit.page.locator("#nearest")).to_be_hidden()
        expect(visit.page.locator("#heat-map")).to_be_visible()
        label = replied.value.json()["explanation"]["label"]
        expect(visit.page.locator("#legend")).to_contain_text(tiny.minerals.display(label, "en"))
        visit.context.close()


def test_a_card_tells_what_is_known(visits: Any, identifier: Identifier) -> None:
    visit = visits()
    answer = {
        "photo": "a.jpg",
        "decision": {"name": "calcite", "rank": "species", "probability": 0.9},
        "candidates": [{"name": "calcite", "probability": 0.9}, {"name": "chrysotile", "probability": 0.1}],
        "prediction_set": ["calcite"],
        "unknown_score": 0.1,
        "model": "m",
        "scores": {},
    }
    visit.answer(answer)
    visit.choose()
    page = visit.page
    button = page.locator("#candidates .name").first
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    card = page.locator("#card-calcite")
    expect(card.locator("dl")).to_be_visible()
    lines = dict(zip(texts(card.locator("dt")), texts(card.locator("dd")), strict=True))
    assert lines["Formula"] == "CaCO3"
    assert card.locator("sub").all_inner_texts() == ["3"]
    assert lines["Hardness"] == "3"
    assert lines["Specific gravity"] == "2.69–2.8"
    assert lines["Streak"] == "white"
    assert lines["Cleavage"] == "perfect in 3 directions"
    assert lines["Crystal system"] == "trigonal"
    assert "aragonite" in lines["Look-alikes"]
    assert set(lines) >= {"Lustre", "Transparency", "Colours"}
    if identifier.minerals.get("calcite").source == "unverified":
        assert lines["Source"] == "unverified: general knowledge, not compared with a source"
    else:
        assert "the rest is unverified" in lines["Source"]
    button.click()
    expect(card).to_be_hidden()
    button.click()
    expect(card).to_be_visible()
    assert visit.count("/v1/minerals/calcite") == 1
    visit.answer(answer, path="reweigh")
    page.get_by_role("button", name="Español").click()
    expect(card.locator("dt").nth(1)).to_have_text("Dureza")
    expect(card.locator("dd").nth(2)).to_have_text("2,69–2,8")


def test_a_dangerous_card_and_dangerous_look_alikes_are_told(visits: Any, identifier: Identifier) -> None:
    minerals = identifier.minerals
    found = next(
        (one.name, alike)
        for one in minerals
        for alike in minerals.properties(one.name).look_alikes or ()
        if minerals.properties(one.name).hazards and minerals.properties(alike).hazards
    )
    visit = visits()
    visit.answer(
        {
            "photo": "a.jpg",
            "decision": {"name": found[0], "rank": "species", "probability": 0.9},
            "candidates": [{"name": found[0], "probability": 0.9}],
            "prediction_set": [],
            "unknown_score": 0.1,
            "model": "m",
            "scores": {},
        }
    )
    visit.choose()
    visit.page.locator("#candidates .name").click()
    warnings = visit.page.request.get(f"{visit.address}/v1/minerals/{found[0]}").json()["warnings"]["en"]
    card = visit.page.locator("#candidates .mineral")
    expect(card.locator(".hazard").first).to_contain_text(warnings[0])
    alike = minerals.display(found[1], "en")
    expect(card.locator(".hazard", has_text=re.compile(rf"{alike}: ", re.IGNORECASE)).first).to_be_visible()


def test_a_card_that_cannot_be_fetched_can_be_tried_again(visits: Any) -> None:
    visit = visits()
    visit.identified()
    name = visit.page.locator("#candidates > li").first.get_attribute("data-name")
    visit.page.route(f"**/v1/minerals/{name}", lambda route: route.abort())
    button = visit.page.locator("#candidates .name").first
    button.click()
    card = visit.page.locator("#candidates .mineral").first
    expect(card).to_contain_text("could not be fetched")
    visit.page.unroute(f"**/v1/minerals/{name}")
    button.click()
    button.click()
    expect(card.locator("dl")).to_be_visible()
