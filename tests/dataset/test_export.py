"""Export: class folders that `handlens train` reads, CSV and JSON lines."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from dataset.drawn_workspace import HOSTILE, drawn_tree, drawn_workspace
from handlens.dataset.errors import BadManifestError, DatasetError
from handlens.dataset.export import ExportSettings, export_folders, export_table
from handlens.dataset.manifest import COLUMNS, Row, read_rows
from handlens.dataset.tree import read_tree
from handlens.dataset.workspace import Workspace
from handlens.training.samples import read_samples


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return drawn_workspace(tmp_path_factory.mktemp("export"))


def kept(workspace: Workspace) -> list[Row]:
    return [row for row in read_rows(workspace.manifest) if row.status == "prepared"]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_prepared_photos_by_split_and_label(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = export_folders(workspace.root, out, ExportSettings())
    rows = kept(workspace)
    assert (summary.folder, summary.photos, summary.missing) == (out, len(rows), 0)
    assert len(files(out)) == len(rows) + 1
    for row in (row for row in rows if row.label == "quartz"):
        copy = out / str(row.split) / "quartz" / f"{row.id}.png"
        assert copy.samefile(workspace.root / str(row.processed))
    # Also labels with slashes and dots are one folder each, below `out`.
    assert {photo.path.parent.parent.name for photo in read_tree(out)} == {"train", "validation", "test"}
    assert len({photo.label for photo in read_tree(out)}) == len({row.label for row in rows})


def test_training_reads_it(workspace: Workspace, tmp_path: Path) -> None:
    export_folders(workspace.root, tmp_path, ExportSettings())
    samples = {sample.path.stem: sample for sample in read_samples(tmp_path / "manifest.csv")}
    for row in kept(workspace):
        if row.label.isalpha():
            sample = samples[row.id]
            assert (sample.label, sample.group, sample.split) == (row.label, row.group, row.split)
            assert sample.path.is_file()


def test_one_split_has_no_split_folder(workspace: Workspace, tmp_path: Path) -> None:
    summary = export_folders(workspace.root, tmp_path, ExportSettings(split="test"))
    wanted = [row for row in kept(workspace) if row.split == "test"]
    assert summary.photos == len(wanted)
    assert f"{wanted[0].label}/{wanted[0].id}.png" in files(tmp_path)


def test_originals_as_copies(workspace: Workspace, tmp_path: Path) -> None:
    summary = export_folders(workspace.root, tmp_path, ExportSettings(photos="original", copies=True))
    rows = kept(workspace)
    assert (summary.photos, summary.missing) == (len(rows) - 1, 1)  # one file was lost
    row = next(row for row in rows if row.label == "calcite")
    copy = tmp_path / str(row.split) / "calcite" / f"{row.id}.png"
    original = workspace.root / str(row.file)
    assert copy.read_bytes() == original.read_bytes()
    assert not copy.samefile(original)


def test_again_gives_the_same(workspace: Workspace, tmp_path: Path) -> None:
    export_folders(workspace.root, tmp_path, ExportSettings())
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    export_folders(workspace.root, tmp_path, ExportSettings())
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_rights_go_along_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    drawn_tree(tmp_path / "ws", "a.png")
    rows = [Row("1", "quartz", "kept", file="a.png", author="=1+1", licence="CC0", url="https://a.example/1.png")]
    drawn_workspace(tmp_path / "ws", rows)
    export_folders(tmp_path / "ws", tmp_path / "out", ExportSettings(photos="original"))
    (line,) = csv.DictReader((tmp_path / "out" / "manifest.csv").read_text().splitlines())
    assert (line["author"], line["licence"], line["source"]) == ("'=1+1", "CC0", "https://a.example/1.png")


def test_a_tree_is_exported_as_it_is(tmp_path: Path) -> None:
    tree = drawn_tree(tmp_path / "tree", "train/quartz/a.png", "val/quartz/b.PNG")
    summary = export_folders(tree, tmp_path / "out", ExportSettings())
    assert summary.photos == 2
    assert {(photo.split, photo.label) for photo in read_tree(tmp_path / "out")} == {
        ("train", "quartz"),
        ("validation", "quartz"),
    }


def test_nothing_to_export(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        export_folders(workspace.root, tmp_path / "out", ExportSettings(split="nowhere"))
    assert files(tmp_path / "out") == set()


def test_a_file_outside_the_workspace(tmp_path: Path) -> None:
    drawn_tree(tmp_path, "secret.png")
    drawn_workspace(tmp_path / "ws", [Row("1", "quartz", "prepared", file="../secret.png", processed="../secret.png")])
    for settings in (ExportSettings(), ExportSettings(photos="original")):
        with pytest.raises(BadManifestError):
            export_folders(tmp_path / "ws", tmp_path / "out", settings)


def test_json_lines(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    rows = list(read_rows(workspace.manifest))
    assert export_table(workspace.root, out) == len(rows)
    told = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert told == [json.loads(json.dumps(dataclasses.asdict(row))) for row in rows]
    assert list(told[0]) == [column.name for column in COLUMNS]


def test_csv(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    rows = list(read_rows(workspace.manifest))
    assert export_table(workspace.manifest, out) == len(rows)
    with out.open(newline="", encoding="utf-8") as lines:
        told = list(csv.DictReader(lines))
    assert list(told[0]) == [column.name for column in COLUMNS]
    for line, row in zip(told, rows, strict=True):
        assert line["id"] == row.id
        assert line["width"] == ("" if row.width is None else str(row.width))
        assert json.loads(line["colour"] or "[]") == list(row.colour)
        assert json.loads(line["conflicts"] or "[]") == list(row.conflicts)
    assert {line["label"] for line in told} >= {HOSTILE[0], "quartz"}


def test_another_form_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"\.jsonl"):
        export_table(workspace.root, tmp_path / "rows.xlsx")
    with pytest.raises(ValidationError):
        ExportSettings(photos="thumbnails")  # type: ignore[arg-type]
