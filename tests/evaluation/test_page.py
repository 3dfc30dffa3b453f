"""The HTML report: every number in its table, foreign names as text, and nothing fetched."""

from __future__ import annotations

import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evaluation.drawn_predictions import alone, well_calibrated
from handlens.evaluation.answers import WIDER_COVERAGE, calibrate, decisions, sets
from handlens.evaluation.describe import describe, restricted
from handlens.evaluation.metrics import wilson_interval
from handlens.evaluation.page import report_page
from handlens.evaluation.plots import Curve, most_confused, write_plots
from handlens.evaluation.protocol import HeldOut
from handlens.evaluation.selective import selective
from handlens.evaluation.tables import percent
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
HOSTILE = "<script>alert('x')</script> & \"co\""
LABELS = (*sorted({*ORIGIN_TEN, "agate"}), HOSTILE)
BASIS = "all labels, leave-one-fold-out"
TEN = "ten labels, leave-one-fold-out"
CHROMIUM = Path("/usr/bin/chromium")
_VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tables by caption, attributes of every tag, and whether all tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] | None = None
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            caption = dict(attrs)["aria-label"]
            assert caption
            assert caption not in self.tables
            self._rows = self.tables[caption] = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._rows and {"td", "th"} & set(self._open[-2:]):
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def found() -> HeldOut:
    return well_calibrated(LABELS, photos=600)


@pytest.fixture(scope="module")
def report(found: HeldOut) -> dict[str, Any]:
    row = {"photos": 52, "top1": 0.5, "top1_interval": [0.3688, 0.6312], "top3": 0.8, "top5": 0.9}
    row |= {"balanced": 0.4, "ece": 0.05}
    known = {"known": 55, "known_answered": 21, "known_answered_rightly": 17}
    ten = restricted(found, ORIGIN_TEN)
    unknown = {"unknown": 5, "unknown_left_unknown": 3, "unknown_named_rightly_at_a_wider_rank": 1}
    return {
        "handlens": "0.1.0",
        "run": {
            "settings": {"network": "cnn-final", "side": 96, "augment": ["turn", HOSTILE], "head": {"strength": 0.5}},
            "labels": list(LABELS),
            "photos": 950,
            "unusable_among_them": 50,
        },
        "machine": "2 x Drawn CPU",
        "answers": calibrate(found, MINERALS).as_dict(),
        "answers_from": BASIS,
        "protocols": {
            BASIS: describe(found, MINERALS, alone(found)),
            TEN: describe(ten, MINERALS, alone(ten)),
        },
        "prediction_sets": sets(found),
        "wider_prediction_sets": sets(found, WIDER_COVERAGE),
        "selective": selective(found, MINERALS),
        "decisions": decisions(found, MINERALS),
        "confused_pairs": [asdict(pair) for pair in most_confused(found, 5)],
        "field": {"flat": row, "species": row | {"photos": 55}, "ten labels": None, "decisions": known | unknown},
    }


@pytest.fixture(scope="module")
def plots(found: HeldOut, report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    curve = Curve(HOSTILE, (1, 2), (2.0, 1.0), (0.1, 0.2), (2.0, 1.5), (0.1, 0.2), (1e-3, 1e-3))
    folder = tmp_path_factory.mktemp("evaluation") / "plots"
    return write_plots(folder, found, report["protocols"][BASIS]["per_label"], [curve])


@pytest.fixture(scope="module")
def text(report: dict[str, Any], plots: dict[str, str]) -> str:
    return report_page(report, plots, "runs/evening & <b>night</b>")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_headline_tables_have_every_protocol(page: Page, report: dict[str, Any]) -> None:
    flat, species = (
        page.tables["Label for label, shares in per cent"],
        page.tables["At species rank, where a variety counts as its species"],
    )
    for place, (name, figures) in enumerate(report["protocols"].items(), start=1):
        for row, rank in ((flat[place], "flat"), (species[place], "species")):
            one = figures[rank]
            shares = [percent(one[key]) for key in ("top1", "top3", "top5", "balanced", "macro_f1")]
            before = [f"{figures['ece_before_temperature']:.3f}"] if rank == "flat" else []
            expected = [name, str(one["photos"]), *shares, *before, f"{one['ece']:.3f}", f"{one['nll']:.2f}"]
            assert row == expected
    assert len(flat) == len(species) == 3


def test_folds_and_labels_of_every_protocol(page: Page, report: dict[str, Any]) -> None:
    for name, figures in report["protocols"].items():
        caption = f"{name[0].upper()}{name[1:]}"
        folds = {row[0]: row for row in page.tables[f"{caption}, fold by fold"][1:]}
        assert set(folds) == set(figures["folds"])
        ben = figures["folds"]["ben"]
        assert folds["ben"][1:3] == [str(ben["photos"]), percent(ben["top1"])]
        assert folds["ben"][-1] == f"{ben['temperature']:.2f}"
        rows = {row[0]: row[1:] for row in page.tables[f"{caption}, label by label, in per cent"][1:]}
        assert set(rows) == set(figures["per_label"])
        quartz = figures["per_label"]["quartz"]
        low, high = wilson_interval(round(quartz["recall"] * quartz["photos"]), quartz["photos"])
        interval = f"{percent(low)} to {percent(high)}"
        shares = [percent(quartz["recall"]), interval, percent(quartz["precision"])]
        assert rows["quartz"] == [str(quartz["photos"]), *shares]


def test_answers_sets_and_pairs(page: Page, report: dict[str, Any]) -> None:
    ranks = {row[0]: row[1:] for row in page.tables["Answers by rank"][1:]}
    expected = report["decisions"]["ranks"]
    assert ranks == {rank: [str(row["photos"]), percent(row["right"])] for rank, row in expected.items()}
    for part in ("prediction_sets", "wider_prediction_sets"):
        made = report[part]
        told = f"all together {percent(made['coverage'])} % with {made['size']} labels"
        caption = f"Prediction sets for {percent(made['wanted'])} %, each fold's made with the other folds; {told}"
        folds = {row[0]: row[1:] for row in page.tables[caption][1:]}
        ann = made["folds"]["ann"]
        assert folds["ann"] == [percent(ann["coverage"]), f"{ann['size']:.2f}"]
    surest = "Right answers when only the surest photos are answered, in per cent; area: the mean share of wrong ones"
    labels, species = page.tables[surest][1:]
    assert labels[1:4] == [percent(share) for share in report["selective"]["flat"]["right_at"].values()]
    assert species[-1] == f"{report['selective']['species']['area']:.3f}"
    pair = report["confused_pairs"][0]
    first = page.tables["The most frequent wrong answers"][1]
    assert first == [f"{pair['truth']} → {pair['answered']}", str(pair["photos"]), str(pair["among"])]
    assert f"A name is given for {percent(report['decisions']['answered'])} % of the photos" in page.text
    assert f"temperature {report['answers']['temperature']:.2f}" in page.text


def test_field_has_its_interval_and_leaves_out_what_was_not_measured(page: Page) -> None:
    rows = page.tables["The split “field”, in per cent"]
    assert rows[1] == ["flat", "52", "50.0", "36.9 to 63.1", "80.0", "90.0", "40.0", "0.050"]
    assert [row[0] for row in rows[1:]] == ["flat", "species"]
    assert "Of 55 photos of known species 21 get a name, 17 rightly; of 5 others 3 are answered “unknown”" in page.text


def test_every_table_is_rectangular(page: Page) -> None:
    for rows in page.tables.values():
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1


def test_figures_stand_in_the_page_and_are_announced(page: Page, plots: dict[str, str]) -> None:
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == len(plots) == 6
    for drawing, svg in zip(drawings, plots.values(), strict=True):
        told = re.search(r"<title>(.*?)</title>", svg)
        assert told
        assert drawing["role"] == "img"
        assert drawing["aria-label"] == told[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert "width" not in drawing
    assert str(drawings[0]["aria-label"]).startswith("Confusion matrix: ")


def test_ids_are_unique_and_references_lead_to_them(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = 0
    for _, attributes in page.tags:
        for key, value in attributes.items():
            aims = re.findall(r"url\(#(.+?)\)", value or "")
            if key == "href" and str(value).startswith("#"):
                aims.append(str(value)[1:])
            used += len(aims)
            assert set(aims) <= set(ids)
    assert used > 50


def test_the_page_asks_for_nothing(page: Page, text: str) -> None:
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/png;base64,")), tag
    policy = next(attributes for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])


def test_foreign_names_are_text(page: Page, text: str) -> None:
    assert "<script" not in text
    assert "<b>" not in text
    assert HOSTILE in {row[0] for row in page.tables["All labels, leave-one-fold-out, label by label, in per cent"]}
    assert "runs/evening & <b>night</b>" in page.text
    assert HOSTILE in page.text[page.text.index("Settings of the training") :]


def test_names_that_no_encoding_has(report: dict[str, Any]) -> None:
    text = report_page(report, {}, "caf\udce9\u202e")
    assert "caf\\udce9\\u202e" in Page(text).text
    text.encode()


def test_settings_are_listed(page: Page) -> None:
    for line in ("network", "cnn-final", "side", "96", "head.strength", "0.5"):
        assert line in page.text[page.text.index("Settings of the training") :]


def test_without_field_pairs_and_plots(report: dict[str, Any]) -> None:
    less = {key: value for key, value in report.items() if key not in ("field", "confused_pairs")}
    less["decisions"] = report["decisions"] | {"answered": 0.0, "right_when_answered": None}
    found = Page(report_page(less, {}, "evening"))
    assert "Field" not in found.text
    assert "Figures" not in found.text
    assert "The most frequent wrong answers" not in found.tables
    assert "A name is given for 0.0 % of the photos and is right for - %" in found.text


def test_the_page_is_the_same_every_time(report: dict[str, Any], plots: dict[str, str], text: str) -> None:
    assert report_page(report, plots, "runs/evening & <b>night</b>") == text


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium on this machine")
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1200, "light")])
def test_a_browser_shows_it_without_asking_and_without_scrolling_sideways(
    text: str, tmp_path: Path, width: int, scheme: str
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    asked: list[str] = []
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("console", lambda message: said.append(message.text))
        shown.goto(file.as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.get_by_role("img", name="Confusion matrix").is_visible()
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert said == []
