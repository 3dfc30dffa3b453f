"""croissant.json against the specification's own reader."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dataset.drawn_workspace import HOSTILE, drawn_workspace
from handlens.dataset.croissant import CONFORMS_TO, CroissantSettings, write_croissant
from handlens.dataset.errors import MissingStageError
from handlens.dataset.files import file_digest
from handlens.dataset.manifest import COLUMNS, Row, read_rows
from handlens.dataset.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = drawn_workspace(tmp_path_factory.mktemp("croissant"))
    (workspace.root / "credits.csv").write_text("photo,author\n")
    return workspace


def described(workspace: Workspace, **settings: Any) -> dict[str, Any]:
    path = write_croissant(workspace, CroissantSettings(**settings))
    assert path == workspace.root / "croissant.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def by_id(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {node["@id"]: node for node in nodes}


def test_what_the_specification_requires(workspace: Workspace) -> None:
    told = described(workspace, name="my minerals", description="Stones.")
    assert told["conformsTo"] == CONFORMS_TO == "http://mlcommons.org/croissant/1.1"
    assert told["@type"] == "sc:Dataset"
    assert (told["name"], told["description"]) == ("my minerals", "Stones.")
    assert "https://creativecommons.org/licenses/by/4.0/" in told["license"]
    assert any("No licence is known" in licence for licence in told["license"])
    assert {"@type": "sc:Person", "name": HOSTILE[0]} in told["creator"]
    assert told["datePublished"] == "2026-01-02"
    assert re.fullmatch(r"ni:///sha-256;[A-Za-z0-9_-]{43}", told["url"])


def test_settings_come_first(workspace: Workspace) -> None:
    told = described(
        workspace,
        licences=("https://spdx.org/licenses/CC0-1.0",),
        creators=("Ann", "Ben"),
        url="https://example.org/minerals",
        published=datetime.date(2025, 1, 2),
        version="2.0.1",
        cite_as="Ann and Ben, 2025",
    )
    assert told["license"] == ["https://spdx.org/licenses/CC0-1.0"]
    assert [creator["name"] for creator in told["creator"]] == ["Ann", "Ben"]
    assert (told["url"], told["datePublished"], told["version"], told["citeAs"]) == (
        "https://example.org/minerals",
        "2025-01-02",
        "2.0.1",
        "Ann and Ben, 2025",
    )


def test_files_and_fields(workspace: Workspace) -> None:
    told = described(workspace)
    files = by_id(told["distribution"])
    assert files["manifest"]["contentUrl"] == "manifest.parquet"
    assert files["manifest"]["sha256"] == file_digest(workspace.manifest)
    assert files["manifest"]["contentSize"] == f"{workspace.manifest.stat().st_size} B"
    assert set(files) == {"manifest", "credits", "originals", "processed"}
    records = by_id(told["recordSet"])
    fields = {field["name"]: field for field in records["rows"]["field"]}
    assert list(fields) == [column.name for column in COLUMNS]
    assert all(column.meaning in fields[column.name]["description"] for column in COLUMNS)
    assert [line["splits/name"] for line in records["splits"]["data"]] == ["train", "validation", "test"]


def test_the_reference_reader_finds_no_fault(workspace: Workspace) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    told = write_croissant(workspace, CroissantSettings())
    dataset = croissant.Dataset(told)
    assert dataset.metadata.ctx.issues.report() == ""
    assert str(dataset.metadata.ctx.conforms_to.value) == CONFORMS_TO
    rows = list(read_rows(workspace.manifest))
    for record, row in zip(itertools.islice(dataset.records("rows"), 20), rows, strict=False):
        assert record["rows/id"].decode() == row.id
        assert record["rows/label"].decode() == row.label
        assert list(record["rows/colour"]) == pytest.approx(list(row.colour))
    assert len(list(dataset.records("rows"))) == len(rows)
    assert {record["labels/name"] for record in dataset.records("labels")} >= {"quartz", HOSTILE[0]}
    photos = list(itertools.islice(dataset.records("photos"), 200))
    assert {photo["photos/split"] for photo in photos} == {b"train", b"validation", b"test"}
    assert {photo["photos/label"] for photo in photos} >= {b"quartz", b"calcite"}
    assert {photo["photos/content"].size for photo in photos} == {(32, 32)}


def test_the_reference_reader_reads_a_bare_one(tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    workspace = drawn_workspace(tmp_path, [Row("1", "quartz", "fetched", url="https://photos.example/1.png")])
    dataset = croissant.Dataset(write_croissant(workspace, CroissantSettings()))
    assert dataset.metadata.ctx.issues.errors == set()
    assert len(list(dataset.records("rows"))) == 1


def test_the_same_table_gives_the_same_file(workspace: Workspace) -> None:
    first = write_croissant(workspace, CroissantSettings()).read_bytes()
    assert write_croissant(workspace, CroissantSettings()).read_bytes() == first


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(MissingStageError):
        write_croissant(Workspace(tmp_path), CroissantSettings())
