"""The review page: what stands in it, and what a person can do with it in a real Chromium."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch.drawn import contents, folder, jpeg, table
from bundles import COLOURS
from commands import run
from handlens.batch.records import Record
from handlens.batch.review import Review
from handlens.batch.review.pages import ROWS_A_PAGE
from handlens.batch.rows import ResultRow
from handlens.batch.summary import Summary, Tally
from handlens.batch.units import Failure, PhotoRef, Unit
from handlens.training.samples import read_samples
from service.visiting import CHROMIUM, FLAGS, expect, needs_chromium, sync_api

HOSTILE = "<script>alert(1)</script>\"'&.jpg".replace("/", "∕")
"""A file name may hold all of that but a slash."""


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A run with labels, right and wrong, an unknown, a failure, and names that would be markup or end a CSV cell."""
    root = tmp_path_factory.mktemp("review")
    source, out = folder(root / "photos", 12), root / "run"
    # More surely quartz than those that are labelled quartz, so that its wrong label is seen to be one.
    (source / "quartz" / "0000.jpg").write_bytes(jpeg((252, 252, 252), 53))
    (source / HOSTILE).write_bytes(jpeg(COLOURS["quartz"], 50))
    (source / 'a,"b".jpg').write_bytes(jpeg(COLOURS["azurite"], 51))
    (source / "broken.jpg").write_bytes(b"no photo")
    (source / "between.jpg").write_bytes(jpeg((150, 150, 150), 52))
    with (source / "list.csv").open("w", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["file", "label", "specimen"])
        for name in contents(12):
            label = "azurite" if name.endswith("0000.jpg") else name.split("/")[0]
            rows.writerow([name, label, ""])
        rows.writerow([HOSTILE, "<b>bold</b>", ""])
        rows.writerow(['a,"b".jpg', "azurite", "S,1"])
        rows.writerow(["broken.jpg", "", ""])
        rows.writerow(["between.jpg", "", ""])
    assert run("batch", source / "list.csv", "--out", out, "--bundle", tiny_bundle, "--workers", "1") == 1
    return out


def test_the_pages_ask_for_nothing_and_escape_everything(reviewed: Path) -> None:
    for page in (reviewed / "review").iterdir():
        text = page.read_text("utf-8")
        assert not re.search(r"""(?:src|href)=["'](?:https?:|//)""", text)
        assert "<script>alert" not in text
        assert "<b>bold" not in text
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
        policy = html.unescape(policy)
        assert policy.startswith("default-src 'none'; img-src data:; ")
        for kind in ("style", "script"):
            (inside,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
    cards = (reviewed / "review" / "page-0001.html").read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;" in cards
    assert "&lt;b&gt;bold&lt;/b&gt;" in cards.replace("&#47;", "/")


def rows(count: int) -> Iterator[ResultRow]:
    for place in range(count):
        name = f"{place:05d}.jpg"
        failure = Failure(name, "not-found", "There is no file of this name.")
        record = Record(name.encode(), "", (), (), failure)
        yield ResultRow(Unit(name.encode(), (PhotoRef(name, "file", f"/x/{name}"),)), record, None, None)


def written(folder: Path, count: int) -> Summary:
    review, tally = Review(folder, "run", ("quartz",)), Tally()
    for row in rows(count):
        review.add(row)
        tally.add(row)
    summary = tally.summary(photos=count, computed=0, seconds=0)
    review.finish(summary)
    return summary


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (ROWS_A_PAGE, 1), (ROWS_A_PAGE + 1, 2), (3 * ROWS_A_PAGE, 3)])
def test_large_runs_have_pages_and_a_shorter_one_leaves_none_behind(tmp_path: Path, count: int, pages: int) -> None:
    written(tmp_path, 5 * ROWS_A_PAGE)
    written(tmp_path, count)
    found = sorted(tmp_path.glob("page-*.html"))
    assert len(found) == pages
    texts = [page.read_text("utf-8") for page in found]
    assert sum(text.count("<article") for text in texts) == count
    assert ['rel="next"' in text for text in texts] == [True] * (pages - 1) + [False]
    index = json.loads(re.findall(r'id="index">(.*?)</script>', (tmp_path / "index.html").read_text("utf-8"))[0])
    assert len(base64.b64decode(index["rows"])) == 4 * count
    assert index["pages"] == pages


class Visit:
    def __init__(self, browser: Any, page: Path) -> None:
        self.context = browser.new_context(accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(page.as_uri())

    def shown(self) -> list[str]:
        return [text.split("/")[-1] for text in self.page.locator("article:visible .file").all_inner_texts()]

    def exported(self, path: Path) -> list[dict[str, str]]:
        with self.page.expect_download() as download:
            self.page.locator("#export").click()
        download.value.save_as(path)
        with path.open(newline="", encoding="utf-8") as text:
            return list(csv.DictReader(text))


@pytest.fixture
def visit(reviewed: Path) -> Iterator[Visit]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        visit = Visit(browser, reviewed / "review" / "index.html")
        yield visit
        assert visit.said == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.asked)
        browser.close()


@needs_chromium
def test_filters_on_the_index_and_on_the_page(reviewed: Path, visit: Visit) -> None:
    page, answers = visit.page, table(reviewed)
    expect(page.locator("#count")).to_have_text(f"{len(answers)} shown")
    page.locator("[name=show]").select_option("disagrees")
    wrong = [row["photo"] for row in answers if row["agrees"] is False]
    assert wrong == ["quartz/0000.jpg"]
    expect(page.locator("#pages a")).to_have_text(["Page 1: 1"])
    page.locator("#pages a").click()
    expect(page.locator("#count")).to_have_text("1 shown")
    assert visit.shown() == ["0000.jpg"]
    for show, wanted in (
        ("failed", [row["photo"] for row in answers if row["error_type"]]),
        ("unknown", [row["photo"] for row in answers if row["name"] == "unknown"]),
        ("suspected", [row["photo"] for row in answers if row["suspected_label"]]),
    ):
        page.locator("[name=show]").select_option(show)
        assert wanted, show
        assert visit.shown() == [name.split("/")[-1] for name in wanted]
    page.locator("[name=show]").select_option("")
    page.locator("[name=mineral]").select_option("azurite")
    assert len(visit.shown()) == sum(row["name"] == "azurite" for row in answers) > 0
    page.locator("[name=mineral]").select_option("")
    page.locator("[name=low]").fill("90")
    sure = [row for row in answers if row["probability"] is not None and round(100 * row["probability"]) >= 90]
    assert 0 < len(visit.shown()) == len(sure) < len(answers)
    page.get_by_text("All pages").click()
    expect(page.locator("#count")).to_have_text(f"{len(sure)} shown")


@needs_chromium
def test_keys_accept_and_correct_and_the_export_trains(reviewed: Path, visit: Visit, tmp_path: Path) -> None:
    page, answers = visit.page, table(reviewed)
    page.locator("#pages a").click()
    first, second, third, fourth = answers[:4]
    expect(page.locator("article")).to_have_count(len(answers))
    page.keyboard.press("j")
    page.keyboard.press("a")  # the first is accepted, and the second chosen
    page.keyboard.press("2")  # the second is its second candidate
    page.keyboard.press("c")
    page.keyboard.type("Rose Quartz")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    page.keyboard.press("k")
    page.keyboard.press("u")
    expect(page.locator("#corrected")).to_have_text("3")
    page.reload()  # the browser keeps them
    expect(page.locator("#corrected")).to_have_text("3")
    page.locator("[name=show]").select_option("corrected")
    expect(page.locator("#count")).to_have_text("3 shown")
    photos = Path(reviewed).parent / "photos"
    labels = {
        first["photo"]: first["name"],
        second["photo"]: second["candidates"][1]["name"],
        third["photo"]: "rose quartz",
    }
    corrections = photos / "corrections.csv"
    exported = {row["file"]: row["label"] for row in visit.exported(corrections)}
    assert exported == labels
    assert fourth["photo"] not in exported
    samples = read_samples(corrections)
    assert {sample.file: sample.label for sample in samples} == labels
    assert all(sample.path.is_file() for sample in samples)
    assert {sample.group for sample in samples if "," in sample.file} == {"S,1"}


@needs_chromium
def test_what_cannot_be_accepted_is_said(visit: Visit) -> None:
    page = visit.page
    page.locator("#pages a").click()
    page.locator("[name=show]").select_option("failed")
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator("article.chosen .verdict")).to_contain_text("press c")
    expect(page.locator("#corrected")).to_have_text("0")


def test_no_review_makes_none(tmp_path: Path, tiny_bundle: Path) -> None:
    source, out = folder(tmp_path / "photos", 1), tmp_path / "run"
    assert run("batch", source, "--out", out, "--bundle", tiny_bundle, "--no-review", "--workers", "1") == 0
    assert not (out / "review").exists()


def test_names_that_are_no_text_are_shown(tmp_path: Path, tiny_bundle: Path) -> None:
    source, out = folder(tmp_path / "photos", 1), tmp_path / "run"
    with open(os.fsencode(source) + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123
        file.write(jpeg(COLOURS["quartz"]))
    assert run("batch", source, "--out", out, "--bundle", tiny_bundle, "--workers", "1") == 0
    assert r"caf\udce9.jpg" in (out / "review" / "page-0001.html").read_text("utf-8")
    assert [row["photo"] for row in table(out)] == ["caf\\udce9.jpg", "quartz/0000.jpg"]
