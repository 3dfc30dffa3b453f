"""The whole way from labels to a list, against a wiki on loopback."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from commands import environment
from dataset.commons.wiki import Wiki, imageinfo, serving
from handlens.dataset.commons import CommonsError, CommonsSettings, CommonsSummary, fetch_commons
from handlens.dataset.filter import FilterSettings, filter_list
from handlens.dataset.workspace import Workspace
from handlens.errors import UsageError
from handlens.minerals import UnknownMineralError


@pytest.fixture
def wiki() -> Iterator[Wiki]:
    with serving(Wiki()) as wiki:
        yield wiki


def settings(wiki: Wiki, **changed: Any) -> CommonsSettings:
    given: dict[str, Any] = {"contact": "tests@example.org", "api": wiki.url, "delay": 0, "pause": 0.01, "attempts": 4}
    return CommonsSettings(**(given | changed))


def add(wiki: Wiki, category: str, *names: str, **changed: Any) -> None:
    wiki.files.setdefault(category, []).extend(names)
    wiki.info |= {name: imageinfo(name, **changed) for name in names}


def fetch(wiki: Wiki, folder: Path, *labels: str, **changed: Any) -> tuple[CommonsSummary, list[dict[str, str]]]:
    summary = fetch_commons(labels, folder / "commons.csv", settings(wiki, **changed))
    return summary, table(summary.out)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def left_out(summary: CommonsSummary) -> dict[str, str]:
    return {row["title"]: row["reason"] for row in table(summary.left_out)}


def test_a_photo_with_its_rights(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "Malachite Kolwezi.jpg")
    summary, rows = fetch(wiki, tmp_path, "malaquita")
    assert rows == [
        {
            "url": "https://upload.wikimedia.org/wikipedia/commons/thumb/0/05/Malachite_Kolwezi.jpg/1280px-Malachite_Kolwezi.jpg",
            "label": "malachite",
            "page": "https://commons.wikimedia.org/wiki/File:Malachite_Kolwezi.jpg",
            "author": "Ann & Bob",
            "licence": "CC BY-SA 4.0",
            "licence_url": "https://creativecommons.org/licenses/by-sa/4.0",
            "credit": "Own work",
            "title": "Malachite Kolwezi.jpg",
            "sha1": "ab" * 20,
        }
    ]
    assert (summary.photos, summary.labels[0].categories) == (1, ("Malachite",))


def test_originals_where_no_width_is_given(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "Malachite.jpg")
    del wiki.info["Malachite.jpg"]["thumburl"]
    _, (row,) = fetch(wiki, tmp_path, "malachite", width=None)
    assert row["url"] == "https://upload.wikimedia.org/wikipedia/commons/0/05/Malachite.jpg"
    assert not any("iiurlwidth" in request.parameters for request in wiki.requests)


def test_every_request_is_polite(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", *(f"Malachite {number}.jpg" for number in range(5)))
    wiki.page_size = 2
    fetch(wiki, tmp_path, "malachite", delay=0.05, maxlag=7)
    assert len(wiki.requests) == 4  # one for the categories, three for five photos
    for request in wiki.requests:
        assert request.parameters["maxlag"] == "7"
        assert request.agent.startswith("handlens/")
        assert "(tests@example.org)" in request.agent
    for before, after in zip(wiki.requests, wiki.requests[1:], strict=False):
        assert after.came - before.answered >= 0.045  # one after the other, with a rest between


@pytest.mark.parametrize("split", [False, True])
def test_continuation(wiki: Wiki, tmp_path: Path, split: bool) -> None:
    names = [f"Malachite {number}.jpg" for number in range(23)]
    add(wiki, "Malachite", *names)
    wiki.page_size, wiki.split_properties = 5, split
    _, rows = fetch(wiki, tmp_path, "malachite")
    assert [row["title"] for row in rows] == names
    assert len(wiki.asked(gcmtype="file")) == (10 if split else 5) - (1 if split and 23 % 5 == 1 else 0)


def test_an_answer_that_goes_on_for_ever(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "Malachite.jpg")
    answer = {"continue": {"gcmcontinue": "x", "continue": "||"}, "query": {"pages": []}}
    wiki.troubles = [lambda: web.json_response(answer)] * 5
    with pytest.raises(CommonsError, match="for ever"):
        fetch(wiki, tmp_path, "malachite")


def test_synonyms_redirects_and_what_is_missing(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Baryte", "Blue one.jpg")
    add(wiki, "Heavy spar", "White one.jpg")
    wiki.redirects = {"Category:Barite": "Category:Baryte"}
    wiki.soft = {"Barytes": ["Category:Category redirects", "Category:Heavy spar"]}
    summary, rows = fetch(wiki, tmp_path, "barite", "galena")
    barite, galena = summary.labels
    assert {row["title"] for row in rows} == {"Blue one.jpg", "White one.jpg"}
    assert set(barite.categories) == {"Baryte", "Heavy spar"}
    assert (galena.photos, galena.categories) == (0, ())


def test_redirects_that_lead_in_a_ring_or_nowhere(wiki: Wiki, tmp_path: Path) -> None:
    wiki.soft = {"Malachite": ["Category:Malachites"], "Malachites": ["Category:Malachite"]}
    summary, rows = fetch(wiki, tmp_path, "malachite")
    assert (rows, summary.labels[0].categories) == ([], ())
    wiki.soft = {"Malachite": ["Category:Malachites", "Category:Green minerals"]}
    assert fetch(wiki, tmp_path, "malachite")[1] == []


def test_the_tree_is_walked_with_its_rings_to_its_depth(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "a.jpg")
    add(wiki, "Malachite by country", "b.jpg")
    add(wiki, "Malachite of Congo", "c.jpg", "a.jpg")
    add(wiki, "Malachite of Katanga", "d.jpg")
    wiki.below = {
        "Malachite": ["Malachite by country"],
        "Malachite by country": ["Malachite of Congo", "Malachite"],
        "Malachite of Congo": ["Malachite of Katanga", "Malachite by country"],
    }
    summary, rows = fetch(wiki, tmp_path, "malachite")
    assert [row["title"] for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]
    assert summary.labels[0].categories == ("Malachite", "Malachite by country", "Malachite of Congo")
    assert len(wiki.asked(gcmtype="subcat")) == 2
    _, rows = fetch(wiki, tmp_path, "malachite", depth=3)
    assert [row["title"] for row in rows] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert len(fetch(wiki, tmp_path, "malachite", depth=0)[1]) == 1


def test_only_categories_of_this_mineral(wiki: Wiki, tmp_path: Path) -> None:
    names = {
        "Quartz crystals": None,
        "Quartz in Brazil": None,
        "Amethyst": "another-mineral",
        "Items made of quartz": "carving",
        "Quartz mines in Peru": "place",
        "Structure of quartz": "structure",
        "Minerals of Brazil": "not-named",
        "Faceted quartz": "jewellery",
    }
    for name in ("Quartz", *names):
        add(wiki, name, f"{len(name)} {name[0]}.jpg")
    wiki.below = {"Quartz": list(names)}
    summary, _ = fetch(wiki, tmp_path, "quartz")
    assert set(summary.labels[0].categories) == {"Quartz", *(name for name, reason in names.items() if not reason)}
    assert left_out(summary) == {f"Category:{name}": reason for name, reason in names.items() if reason}


def test_what_is_left_out_and_why(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "Fine.jpg", "Also fine.png")
    reasons: dict[str, tuple[str, dict[str, Any]]] = {
        "Vector.svg": ("format", {"mime": "image/svg+xml"}),
        "Scan.tif": ("format", {"mime": "image/tiff"}),
        "Film.webm": ("format", {"mime": "video/webm"}),
        "Small.jpg": ("too-small", {"width": 199}),
        "Nc.jpg": ("licence", {"LicenseShortName": "CC BY-NC 4.0", "LicenseUrl": None}),
        "Gfdl.jpg": ("licence", {"LicenseShortName": "GFDL", "LicenseUrl": "http://www.gnu.org/copyleft/fdl.html"}),
        "Contradiction.jpg": ("licence", {"LicenseUrl": "https://creativecommons.org/licenses/by-nc/4.0"}),
        "Nonfree.jpg": ("licence", {"NonFree": "true"}),
        "Unlicensed.jpg": ("licence", {"LicenseShortName": None, "LicenseUrl": None}),
        "Bare.jpg": ("licence", {"extmetadata": []}),
        "Barer.jpg": ("licence", {"extmetadata": None}),
        "Nobody.jpg": ("no-author", {"Artist": '<span style="display:none">nobody</span>'}),
        "Malachite crystal structure.png": ("structure", {}),
        "Malachite Raman spectrum.png": ("diagram", {}),
        "Malachite thin section XPL.jpg": ("micrograph", {}),
        "Malachite ring.jpg": ("jewellery", {}),
        "Box.jpg": ("carving", {"Categories": "Vases made of malachite"}),
        "Malachite mine.jpg": ("place", {}),
        "Stamp.jpg": ("object", {}),
        "Gone.jpg": ("no-file", {"filemissing": True}),
    }
    for name, (_, changed) in reasons.items():
        add(wiki, "Malachite", name, **changed)
    wiki.files["Malachite"].append("Deleted.jpg")
    summary, rows = fetch(wiki, tmp_path, "malachite")
    assert {row["title"] for row in rows} == {"Fine.jpg", "Also fine.png"}
    assert left_out(summary) == {name: reason for name, (reason, _) in reasons.items()} | {"Deleted.jpg": "no-file"}
    assert sum(dict(summary.labels[0].left_out).values()) == len(reasons) + 1


def test_free_licences_and_those_asked_for(wiki: Wiki, tmp_path: Path) -> None:
    add(
        wiki,
        "Malachite",
        "a.jpg",
        LicenseShortName="CC0",
        LicenseUrl="http://creativecommons.org/publicdomain/zero/1.0/deed.en",
        Artist=None,
    )
    add(wiki, "Malachite", "b.jpg", LicenseShortName="Public domain", LicenseUrl=None, Artist=None)
    add(
        wiki,
        "Malachite",
        "c.jpg",
        LicenseShortName="CC BY 2.0 de",
        LicenseUrl="https://creativecommons.org/licenses/by/2.0/de/deed.en",
    )
    add(wiki, "Malachite", "d.jpg")
    assert [row["title"] for row in fetch(wiki, tmp_path, "malachite")[1]] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [row["title"] for row in fetch(wiki, tmp_path, "malachite", licences=("cc-by",))[1]] == ["c.jpg"]


def test_authors_in_html(wiki: Wiki, tmp_path: Path) -> None:
    authors = {
        "a.jpg": ('<div class="fn">\n<a href="x">Ann</a></div><script>alert(1)</script>', "Ann"),
        "b.jpg": ('<b>Rob</b><br>iRocks.com <span style="DISPLAY: none">hidden <br>more</span>', "Rob iRocks.com"),
        "c.jpg": ("&lt;script&gt;x&lt;/script&gt;", "<script>x</script>"),
        "d.jpg": ("<a <b> Ann", "Ann"),
        "e.jpg": ('A, "B"\n<p>C</p>D', 'A, "B" C D'),
        "f.jpg": ("x" * 2000, "x" * 499 + "…"),
        "g.jpg": ("Ann\u202e\u0007", "Ann"),
    }
    for name, (html, _) in authors.items():
        add(wiki, "Malachite", name, Artist=html)
    _, rows = fetch(wiki, tmp_path, "malachite")
    assert {row["title"]: row["author"] for row in rows} == {name: text for name, (_, text) in authors.items()}


def test_an_attribution_that_is_asked_for(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "a.jpg", Attribution="Photo: Ann, <i>Museum</i>", Artist=None)
    _, (row,) = fetch(wiki, tmp_path, "malachite")
    assert (row["author"], row["credit"]) == ("Photo: Ann, Museum", "Photo: Ann, Museum")


def test_several_minerals_in_one_photo(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Azurite", "one.jpg", "both.jpg")
    add(wiki, "Malachite", "both.jpg")
    add(wiki, "Azurite", "with gold.jpg", Categories="Azurite|Gold|Minerals of Namibia|Tsumeb|Copper carbonates")
    add(wiki, "Quartz", "violet.jpg", Categories="Amethyst|Quartz")
    add(wiki, "Amethyst", "violet.jpg", Categories="Amethyst|Quartz")
    summary, rows = fetch(wiki, tmp_path, "azurite", "malachite", "quartz", "amethyst")
    assert {row["title"]: row["label"] for row in rows} == {
        "one.jpg": "azurite",
        "both.jpg": "azurite, malachite",
        "with gold.jpg": "azurite, gold",
        "violet.jpg": "amethyst",
    }
    assert left_out(summary) == {"File:violet.jpg".removeprefix("File:"): "named-more-exactly"}


def test_no_more_photos_than_asked_for(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", *(f"{number}.jpg" for number in range(30)))
    wiki.page_size = 5
    assert len(fetch(wiki, tmp_path, "malachite", most=7)[1]) == 7
    assert len(wiki.asked(gcmtype="file")) == 2


def test_the_list_feeds_the_filter(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Azurite", "Azurite of Tsumeb 1.jpg", "Azurite of Tsumeb 2.jpg", "both.jpg", Artist='Ann, "the one"')
    add(wiki, "Malachite", "both.jpg")
    summary, _ = fetch(wiki, tmp_path, "azurite", "malachite")
    workspace = Workspace(tmp_path / "made")
    filtered = filter_list(workspace, FilterSettings(sources=(summary.out,), licences=("cc-by-sa",)))
    one, two = workspace.rows("filter")
    assert (filtered.kept, dict(filtered.left_out)) == (2, {"several": 1})
    assert (one.label, one.author, one.licence, one.credit) == ("azurite", 'Ann, "the one"', "CC BY-SA 4.0", "Own work")
    assert one.page == "https://commons.wikimedia.org/wiki/File:Azurite_of_Tsumeb_1.jpg"
    assert one.given_group == two.given_group is not None


def maxlag(wait: str | None = "0") -> web.Response:
    error = {"code": "maxlag", "info": "Waiting for db1: 6.5 seconds lagged", "host": "db1", "lag": 6.5, "type": "db"}
    headers = {"Retry-After": wait, "X-Database-Lag": "6"} if wait is not None else {}
    return web.json_response({"error": error}, headers=headers)


@pytest.mark.parametrize(
    "trouble",
    [
        maxlag,
        lambda: maxlag(None),
        lambda: web.Response(status=429, headers={"Retry-After": "0"}),
        lambda: web.Response(status=503, text="<html>overloaded"),
        lambda: web.Response(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        lambda: web.Response(status=500),
        lambda: web.Response(text='{"query": {"pag', content_type="application/json"),
        lambda: web.Response(text="<!DOCTYPE html><title>Wikimedia Error</title>", content_type="text/html"),
        lambda: web.json_response([]),
        lambda: web.json_response({"error": {"code": "ratelimited", "info": "You've exceeded your rate limit."}}),
        lambda: web.json_response({"error": {"code": "internal_api_error_DBQueryError", "info": "[x] Caught"}}),
    ],
)
def test_troubles_that_pass(wiki: Wiki, tmp_path: Path, trouble: Any) -> None:
    add(wiki, "Malachite", "a.jpg")
    wiki.troubles = [trouble, trouble]
    summary, rows = fetch(wiki, tmp_path, "malachite")
    assert [row["title"] for row in rows] == ["a.jpg"]
    assert summary.requests == len(wiki.requests) == 4


def test_retry_after_is_kept_to(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Malachite", "a.jpg")
    wiki.troubles = [lambda: maxlag("1")]
    fetch(wiki, tmp_path, "malachite")
    assert wiki.requests[1].came - wiki.requests[0].answered >= 0.95


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (lambda: web.Response(status=403), "contact"),
        (lambda: web.Response(status=404), "address of an API"),
        (lambda: web.Response(status=301, headers={"Location": "/elsewhere"}), "301"),
        (lambda: web.Response(status=429, headers={"Retry-After": "86400"}), "86400 seconds"),
        (lambda: web.json_response({"error": {"code": "invalidtitle", "info": 'Bad title "x".'}}), "invalidtitle: Bad"),
        (lambda: web.json_response({"error": "odd"}), "error"),
    ],
)
def test_troubles_that_do_not_pass(wiki: Wiki, tmp_path: Path, trouble: Any, said: str) -> None:
    wiki.troubles = [trouble] * 9
    with pytest.raises(CommonsError, match=said):
        fetch(wiki, tmp_path, "malachite")
    assert len(wiki.requests) == 1
    assert not (tmp_path / "commons.csv").exists()


def test_giving_up(wiki: Wiki, tmp_path: Path) -> None:
    wiki.troubles = [lambda: web.Response(status=503)] * 9
    with pytest.raises(CommonsError, match="4 attempts: status 503"):
        fetch(wiki, tmp_path, "malachite")
    assert len(wiki.requests) == 4
    with pytest.raises(CommonsError, match="2 attempts: Client"):
        fetch_commons(["malachite"], tmp_path / "x.csv", settings(wiki, api="http://127.0.0.1:9/w/api.php", attempts=2))


def test_finished_labels_are_not_asked_for_again(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Azurite", "azur.jpg")
    add(wiki, "Malachite", "mala.jpg")
    wiki.breaks_at = "Category:Malachite"
    with pytest.raises(CommonsError, match="invalidtitle"):
        fetch(wiki, tmp_path, "azurite", "malachite")
    assert not (tmp_path / "commons.csv").exists()
    wiki.breaks_at = ""
    summary, rows = fetch(wiki, tmp_path, "azurite", "malachite")
    assert [(row["label"], row["title"]) for row in rows] == [("azurite", "azur.jpg"), ("malachite", "mala.jpg")]
    assert [label.asked for label in summary.labels] == [False, True]
    assert len(wiki.asked(gcmtitle="Category:Azurite", gcmtype="file")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["commons.csv", "commons.left-out.csv"]


def test_a_journal_of_other_settings_or_damaged_is_not_used(wiki: Wiki, tmp_path: Path) -> None:
    add(wiki, "Azurite", "azur.jpg")
    add(wiki, "Malachite", "mala.jpg")
    parts = tmp_path / ".commons.csv.parts"
    for changed, damaged in (({"depth": 0}, False), ({}, True)):
        wiki.breaks_at = "Category:Malachite"
        with pytest.raises(CommonsError):
            fetch(wiki, tmp_path, "azurite", "malachite")
        if damaged:
            (parts / "azurite.json").write_text((parts / "azurite.json").read_text()[:-9])
        wiki.breaks_at = ""
        summary, rows = fetch(wiki, tmp_path, "azurite", "malachite", **changed)
        assert ([label.asked for label in summary.labels], len(rows)) == ([True, True], 2)


KILLED = """
import sys
from pathlib import Path
from handlens.dataset.commons import CommonsSettings, fetch_commons
settings = CommonsSettings(contact="tests@example.org", api=sys.argv[1], delay=0.15)
fetch_commons(["azurite", "malachite", "gold", "silver"], Path(sys.argv[2]), settings)
"""


def test_a_run_that_is_killed_goes_on(wiki: Wiki, tmp_path: Path) -> None:
    for name in ("Azurite", "Malachite", "Gold", "Silver"):
        add(wiki, name, f"{name} of Tsumeb.jpg")
    _, undisturbed = fetch(wiki, tmp_path, "azurite", "malachite", "gold", "silver")
    wiki.requests.clear()
    out = tmp_path / "killed.csv"
    run = subprocess.Popen([sys.executable, "-c", KILLED, wiki.url, str(out)], env=environment())
    deadline = time.monotonic() + 60
    while len(wiki.requests) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert not out.exists()
    assert json.loads((tmp_path / ".killed.csv.parts" / "azurite.json").read_text())["label"] == "azurite"
    summary = fetch_commons(["azurite", "malachite", "gold", "silver"], out, settings(wiki))
    assert table(out) == undisturbed
    assert not summary.labels[0].asked
    assert len(wiki.asked(gcmtitle="Category:Azurite", gcmtype="file")) == 1


def test_settings_that_make_no_sense() -> None:
    odd: tuple[dict[str, Any], ...] = (
        {"contact": "nobody"},
        {"contact": "a@b\r\nX: y"},
        {"licences": ("free",)},
        {"api": "ftp://x"},
        {"x": 1},
    )
    for changed in odd:
        with pytest.raises(ValueError, match="validation error"):
            CommonsSettings(**({"contact": "tests@example.org"} | changed))
    with pytest.raises(ValueError, match="contact"):
        CommonsSettings()  # type: ignore[call-arg]


def test_names_are_checked_before_anything_is_asked(wiki: Wiki, tmp_path: Path) -> None:
    with pytest.raises(UnknownMineralError) as caught:
        fetch(wiki, tmp_path, "malachite", "ametist")
    assert "amethyst" in caught.value.near
    with pytest.raises(UsageError):
        fetch(wiki, tmp_path)
    assert not wiki.requests


def test_a_list_that_cannot_be_written(wiki: Wiki, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommonsError, match="cannot be written"):
        fetch_commons(["malachite"], tmp_path / "file" / "commons.csv", settings(wiki))
