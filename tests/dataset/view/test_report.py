"""The report as a file: what it says, that nothing from outside becomes markup, and that it asks for nothing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from commands import environment
from dataset.drawn_workspace import HOSTILE, drawn_rows, drawn_tree, drawn_workspace
from handlens.dataset.errors import BadManifestError, DatasetError
from handlens.dataset.manifest import Row, Status, TableInfo, write_rows
from handlens.dataset.view import ViewSettings, view
from handlens.dataset.workspace import Workspace
from handlens.errors import UsageError

TAGS = """
a article bdi body code dd div dl dt em figcaption figure footer form h1 h2 h3 head header html img input label li line
main meta nav option output p rect script section select span style svg table tbody td text th thead title tr ul
"""
"""Everything that the page is made of."""


class Page(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.insides: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.insides:
            self.insides[self._inside].append(data)
        elif data.strip():
            self.words.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "\n".join(self.words)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return drawn_workspace(tmp_path_factory.mktemp("view") / HOSTILE[0].replace("/", "_"))


@pytest.fixture(scope="module")
def page(workspace: Workspace) -> Page:
    return Page(view(workspace.root, ViewSettings(per_label=50)).read_text("utf-8"))


def test_the_report_lies_in_the_workspace(workspace: Workspace) -> None:
    assert view(workspace.root, ViewSettings()) == workspace.root / "report.html"
    assert view(workspace.manifest, ViewSettings()) == workspace.root / "report.html"


def test_no_name_becomes_markup(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= set(TAGS.split())
    assert len(page.all("script")) == len(page.all("style")) == 1
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "srcdoc", "srcset", "formaction", "background", "ping"), (tag, name)
            if name in ("src", "href", "action", "xlink:href", "data", "poster"):
                assert value.startswith(("#", "data:image/webp;base64,")), (tag, name, value)
    for name in HOSTILE:
        assert any(" ".join(name.split()) in words for words in page.words), name
        assert not any(name in text for texts in page.insides.values() for text in texts)


def test_every_hostile_label_can_be_found(page: Page) -> None:
    labels = {attributes["data-label"] for attributes in page.all("tr") if "data-label" in attributes}
    assert labels >= {"quartz", *HOSTILE} - {HOSTILE[0]}


def test_the_policy_allows_this_script_and_these_styles_only(page: Page) -> None:
    (policy,) = (meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind in ("script", "style"):
        text = "".join(page.insides[kind])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in policy
    # The policy comes before anything that it is to stop.
    first = next(tag for tag, _ in page.elements if tag in ("script", "style", "img", "link", "meta"))
    assert first == "meta"


def test_nothing_is_asked_of_the_network(page: Page) -> None:
    assert not page.all("link")
    for kind in ("script", "style"):
        text = "".join(page.insides[kind])
        assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|import\(|innerHTML|eval\(", text)


def test_what_became_of_the_rows(page: Page) -> None:
    for words in ("prepared", "odd", "blurred", "duplicate", "unused", "failed", "http-404", "refused", "robots"):
        assert words in page.words
    assert "CC BY 4.0" in page.words
    assert "none known" in page.words
    assert "\nRows\n60\n" in page.text
    assert "\nIn the data set\n54\n" in page.text


def test_pictures_are_small_and_the_photos_own(page: Page, workspace: Workspace) -> None:
    pictures = page.all("img")
    assert len(pictures) > 50
    for picture in pictures:
        content = base64.b64decode(picture["src"].removeprefix("data:image/webp;base64,"), validate=True)
        image = Image.open(io.BytesIO(content))
        assert image.size == (int(picture["width"]), int(picture["height"])) == (120, 90)
    assert "not-found" in page.words  # the file that was lost
    assert {"truncated-image", "corrupt-image"} & set(page.words)


def test_distributions(page: Page) -> None:
    text = page.text
    for title in ("Longest side", "Aspect", "Size of the file", "Hue", "Sharpness", "Brightness", "Contrast"):
        assert title in text
    assert "58 photos; most (58) from 64 to 128" in text


def test_the_same_rows_give_the_same_page(workspace: Workspace, tmp_path: Path) -> None:
    one = view(workspace.root, ViewSettings(), tmp_path / "1.html").read_bytes()
    assert view(workspace.root, ViewSettings(), tmp_path / "2.html").read_bytes() == one
    few = ViewSettings(per_label=2)
    other = view(workspace.root, few.model_copy(update={"seed": 1}), tmp_path / "3.html").read_bytes()
    assert view(workspace.root, few, tmp_path / "4.html").read_bytes() != other


def test_a_tree_is_left_alone(tmp_path: Path) -> None:
    tree = drawn_tree(tmp_path / "tree", "train/quartz/a.png", "train/quartz/b.png", "test/calcite/c.png")
    (tree / "train" / "quartz" / "d.jpg").write_bytes(b"no photo")
    before = sorted(tree.rglob("*"))
    with pytest.raises(UsageError, match="--out"):
        view(tree, ViewSettings())
    out = view(tree, ViewSettings(), tmp_path / "out.html")
    assert sorted(tree.rglob("*")) == before
    page = Page(out.read_text("utf-8"))
    assert len(page.all("img")) == 3
    assert "not-an-image" in page.words
    assert {"Photos", "4", "Split", "train", "test"} <= set(page.words)
    assert "Sizes and colours are those of 3 photos drawn at random." in page.text
    assert "1 of the photos drawn at random cannot be read." in page.text


def test_a_folder_to_write_into(workspace: Workspace, tmp_path: Path) -> None:
    assert view(workspace.root, ViewSettings(), tmp_path) == tmp_path / "report.html"


def test_what_does_not_fit_is_left_out_and_said(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "small.html"
    view(workspace.root, ViewSettings(most_labels=3, most_bytes=40_000), out)
    page = Page(out.read_text("utf-8"))
    assert sum(len(picture["src"]) for picture in page.all("img")) < 40_000
    assert len([row for row in page.all("tr") if "data-label" in row]) < 10
    assert re.search(r"3 of \d+ labels are listed", page.text)
    assert re.search(r"\d+ small pictures are left out, which would take more than 0.0381 MiB", page.text)
    assert len(page.all("article")) == 3  # one photo of each label before a second of any
    view(workspace.root, ViewSettings(most_bytes=0, per_label=0, examples=0, measured=0), out)
    assert not Page(out.read_text("utf-8")).all("img")


@pytest.mark.parametrize("stage", ["filter", "download", "check"])
def test_a_table_of_an_early_stage(tmp_path: Path, stage: str) -> None:
    rows = [row for row in drawn_rows(tmp_path) if row.status == "prepared"]
    bare: dict[str, Any] = {"split": None, "processed": None}
    bare["status"] = status = {"filter": "listed", "download": "fetched", "check": "checked"}[stage]
    if stage != "check":
        bare |= {"width": None, "height": None, "sharpness": None, "brightness": None, "contrast": None, "text": None}
        bare |= {"colour": (), "format": None, "conflicts": ()}
    if stage == "filter":
        bare |= {"file": None, "bytes": None}
    workspace = Workspace(tmp_path)
    workspace.write((dataclasses.replace(row, **bare) for row in rows), TableInfo(stage, {}))
    page = Page(view(tmp_path, ViewSettings()).read_text("utf-8"))
    assert status in page.words
    assert bool(page.all("img")) == (stage != "filter")
    assert ("Longest side, pixels" in page.words) == (stage != "filter")


def test_no_rows(tmp_path: Path) -> None:
    drawn_workspace(tmp_path, [])
    assert "Licences" in Page(view(tmp_path, ViewSettings()).read_text("utf-8")).words


def test_a_photo_outside_the_workspace_is_not_shown(tmp_path: Path) -> None:
    drawn_tree(tmp_path, "secret.png")
    drawn_workspace(tmp_path / "ws", [Row("1", "quartz", "kept", file="../secret.png", width=120, height=90)])
    page = Page(view(tmp_path / "ws", ViewSettings()).read_text("utf-8"))
    assert not page.all("img")
    assert BadManifestError.code in page.words


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        view(tmp_path / "none", ViewSettings())
    (tmp_path / "manifest.parquet").write_bytes(b"x")
    with pytest.raises(BadManifestError):
        view(tmp_path, ViewSettings())
    with pytest.raises(ValidationError):
        ViewSettings(per_label=-1)
    with pytest.raises(ValidationError):
        ViewSettings(labels=3)  # type: ignore[call-arg]


ROWS = 500_000
LARGE = """
import re, sys
from pathlib import Path
from handlens.dataset.view import ViewSettings, view
report = view(Path(sys.argv[1]), ViewSettings())
print(report.stat().st_size, re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def write_large(root: Path) -> None:
    """A manifest of ROWS rows: a few thousand made as rows, then written again and again with other ids and labels."""
    statuses: tuple[Status, ...] = ("prepared", "kept", "odd", "duplicate", "failed", "unused")
    few = [
        Row(
            "", "", statuses[number % 6], reason=f"reason {number % 50}", width=1 + number, height=1 + number % 3000,
            file=f"images/{number % 256:02x}/{number:064x}.jpg", author=f"author {number}", licence=f"licence {number}",
            sharpness=number / 10_000, colour=(number / 10_000, 0.5, 0.1), split=("train", "test")[number % 2],
            duplicate_of=f"{2 * number:016x}" if number % 6 == 3 else None,
            conflicts=(f"label {number}",) if number % 5 == 0 else (),
        )
        for number in range(10_000)
    ]  # fmt: skip
    write_rows(root / "few.parquet", few, TableInfo("prepare", {}))
    table = pq.read_table(root / "few.parquet")
    with pq.ParquetWriter(root / "manifest.parquet", table.schema, compression="zstd") as writer:
        for start in range(0, ROWS, len(few)):
            numbers = range(start, start + len(few))
            ids = pa.array([f"{number:016x}" for number in numbers])
            labels = pa.array([f"label {number % 7 * (number % 20_011)}" for number in numbers])
            part = table.set_column(0, "id", ids).set_column(1, "label", labels)
            writer.write_table(part.cast(table.schema))


def test_half_a_million_rows_within_300_mb(tmp_path: Path) -> None:
    write_large(tmp_path)
    command = [sys.executable, "-c", LARGE, str(tmp_path)]
    size, memory = subprocess.run(
        command, env=environment(), capture_output=True, check=True, timeout=300
    ).stdout.split()
    assert int(memory) * 1024 < 300e6, f"{int(memory) // 1000} MB"
    assert int(size) < 20_000_000
    assert f"{ROWS:,}" in (tmp_path / "report.html").read_text("utf-8")
