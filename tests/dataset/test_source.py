"""What a path means: a workspace, a manifest, or a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.drawn_workspace import drawn_tree, drawn_workspace
from handlens.dataset.errors import BadManifestError, DatasetError, MissingStageError
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.source import last_table, open_source
from handlens.dataset.workspace import Workspace

ROW = Row("1", "quartz", "fetched", file="images/ab/ab.png")


def test_a_workspace_is_its_manifest(tmp_path: Path) -> None:
    workspace = drawn_workspace(tmp_path / "minerals", [ROW])
    workspace.write([], TableInfo("split", {}))
    source = open_source(workspace.root)
    assert (source.name, source.root, source.stage, source.table) == (
        "minerals",
        workspace.root,
        "prepare",
        workspace.manifest,
    )
    assert list(source.rows()) == list(source.rows()) == [ROW]
    assert source.photo(ROW.file, ROW.path) == workspace.root / "images/ab/ab.png"


def test_without_a_manifest_it_is_the_table_of_the_last_stage(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for stage in ("filter", "check", "download"):
        workspace.write([Row(stage, "quartz", "listed")], TableInfo(stage, {}))
    assert last_table(workspace) == workspace.table("check")
    assert [row.id for row in open_source(tmp_path).rows()] == ["check"]


def test_a_file_is_that_table(tmp_path: Path) -> None:
    workspace = drawn_workspace(tmp_path, [ROW])
    workspace.write([ROW], TableInfo("check", {}))
    for table in (workspace.manifest, workspace.table("check")):
        source = open_source(table)
        assert source.root == tmp_path
        assert source.table == table


def test_a_tree(tmp_path: Path) -> None:
    source = open_source(drawn_tree(tmp_path / "own", "quartz/a.png"))
    (row,) = source.rows()
    assert (source.name, source.stage, source.table) == ("own", None, None)
    assert source.photo(row.file, row.path) == tmp_path / "own" / "quartz" / "a.png"


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_tree(tmp_path / "own", "quartz/a.png")
    monkeypatch.chdir(tmp_path / "own")
    assert open_source(Path()).name == "own"


@pytest.mark.parametrize("file", ["../a.png", "/etc/passwd", "images/../../a.png"])
def test_a_file_outside_the_workspace_is_refused(tmp_path: Path, file: str) -> None:
    source = open_source(drawn_workspace(tmp_path, [ROW]).root)
    with pytest.raises(BadManifestError):
        source.photo(file, None)


def test_what_is_nothing_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        open_source(tmp_path / "none")
    (tmp_path / "a.parquet").write_bytes(b"x")
    with pytest.raises(BadManifestError):
        open_source(tmp_path / "a.parquet")
    (tmp_path / "stages").mkdir()
    with pytest.raises(MissingStageError):
        open_source(tmp_path)
