"""Credits: everything escaped, grouped by licence, and plain about what is not known."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from handlens.dataset.credits import COLUMNS, write_credits
from handlens.dataset.errors import DatasetError
from handlens.dataset.manifest import Row

BY = "https://creativecommons.org/licenses/by/4.0"


def row(number: int, **told: str) -> Row:
    return Row(**({"id": f"{number:016}", "label": "quartz", "status": "kept"} | told))  # type: ignore[arg-type]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_both_files(tmp_path: Path) -> None:
    rows = [
        row(1, url="https://example.org/a.jpg"),
        row(2, url="https://x.org/thumb/b.jpg", page="https://x.org/File:B%20b.jpg", author="Ann", licence="CC BY 4.0",
            licence_url=BY, credit="Own work", processed="images_processed/train/quartz/b.png", status="prepared"),
        row(3, path="/photos/own/c.jpg", author="Bob", licence="CC0"),
        row(4, url="https://example.org/d.jpg", author="Al", licence="CC BY 4.0", licence_url=BY),
        row(5, url="https://example.org/e.jpg", status="failed", licence="CC0"),
        row(6, url="https://example.org/f.jpg", status="refused"),
    ]  # fmt: skip
    summary = write_credits(rows, tmp_path / "out")
    assert (summary.photos, summary.without_licence, summary.licences) == (4, 1, 2)
    with summary.csv.open(newline="", encoding="utf-8") as file:
        header, *told = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [line[0] for line in told] == ["d.jpg", "File:B b.jpg", "c.jpg", "a.jpg"]
    assert told[1][1:8] == [
        "quartz", "Ann", "CC BY 4.0", BY, "https://x.org/File:B%20b.jpg", "Own work",
        "scaled down by the source, cropped or scaled for training",
    ]  # fmt: skip
    page = Tags(summary.html.read_text(encoding="utf-8"))
    assert page.text.index("CC BY 4.0: 2") < page.text.index("CC0: 1") < page.text.index("No known licence: 1")
    assert "3 photos with a known licence, 1 without" in page.text
    assert "author not known" in page.text
    assert "changes: none" in page.text
    assert {attributes["href"] for tag, attributes in page.tags if tag == "a"} == {
        "https://example.org/a.jpg", "https://x.org/File:B%20b.jpg", BY, "https://example.org/d.jpg",
    }  # fmt: skip


NASTY = "<script>alert(1)</script>\"' onload=x &amp;"


def test_every_field_is_escaped(tmp_path: Path) -> None:
    told = dict.fromkeys(("label", "page", "author", "licence", "licence_url"), NASTY)
    link = row(
        2, url='https://example.org/"onclick="x', author="=HYPERLINK(1)", licence='x"><img src=x>', page="javascript:x"
    )
    summary = write_credits([row(1, credit=f"© {NASTY}", **told), link], tmp_path)
    page = Tags(summary.html.read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.tags} <= {
        "html",
        "meta",
        "title",
        "style",
        "h1",
        "h2",
        "p",
        "ul",
        "li",
        "section",
        "a",
    }
    assert not [attributes for tag, attributes in page.tags if tag == "a"]
    assert page.text.count(NASTY) == 5  # label, author, credit, licence, and the heading of the licence
    with summary.csv.open(newline="", encoding="utf-8") as file:
        told_back = {line["id"]: line for line in csv.DictReader(file)}
    assert told_back[link.id]["author"] == "'=HYPERLINK(1)"  # no spreadsheet may run it
    assert told_back["0000000000000001"]["credit"] == f"© {NASTY}"


def test_no_rows(tmp_path: Path) -> None:
    summary = write_credits([], tmp_path)
    assert (summary.photos, summary.licences) == (0, 0)
    assert "0 photos with a known licence" in summary.html.read_text()
    assert summary.csv.read_text() == ",".join(COLUMNS) + "\n"


def test_any_number_of_licences(tmp_path: Path) -> None:
    summary = write_credits(
        (row(number, licence=f"L{number}", url="https://e.org/x") for number in range(3000)), tmp_path
    )
    assert summary.licences == summary.photos == 3000


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="credits cannot be written"):
        write_credits([row(1)], tmp_path / "file")
