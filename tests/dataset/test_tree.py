"""Class-folder trees: labels, splits, and folders that only look like splits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataset.drawn_workspace import drawn_tree
from handlens.dataset.errors import DatasetError
from handlens.dataset.tree import has_splits, read_tree, tree_rows


def found(root: Path) -> list[tuple[str | None, str, str]]:
    return [(photo.split, photo.label, photo.path.relative_to(root).as_posix()) for photo in read_tree(root)]


def test_label_folders(tmp_path: Path) -> None:
    root = drawn_tree(tmp_path, "quartz/b.png", "quartz/a.jpg", "calcite/deep/er/c.JPG")
    (root / "quartz" / "notes.txt").write_text("x")
    (root / "readme.md").write_text("x")
    assert found(root) == [
        (None, "calcite", "calcite/deep/er/c.JPG"),
        (None, "quartz", "quartz/a.jpg"),
        (None, "quartz", "quartz/b.png"),
    ]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "validation", "test"), ["test", "train", "validation"]),
        (("Training", "val", "Testing"), ["test", "train", "validation"]),
        (("train", "field", "others"), ["field", "others", "train"]),
        (("dev", "train"), ["train", "validation"]),
    ],
)
def test_split_folders(tmp_path: Path, names: tuple[str, ...], splits: list[str]) -> None:
    root = drawn_tree(tmp_path, *(f"{name}/{label}/a.png" for name in names for label in ("quartz", "calcite")))
    assert has_splits(root)
    rows = found(root)
    assert sorted({split for split, _, _ in rows if split}) == splits
    assert {label for _, label, _ in rows} == {"quartz", "calcite"}
    assert len(rows) == 2 * len(names)


def test_an_empty_split_is_a_split(tmp_path: Path) -> None:
    root = drawn_tree(tmp_path, "train/quartz/a.png")
    (root / "test").mkdir()
    (root / "train" / "notes.txt").write_text("x")
    assert found(root) == [("train", "quartz", "train/quartz/a.png")]


@pytest.mark.parametrize(
    "files",
    [
        ("test/a.png", "quartz/b.png"),  # a label that is called test
        ("train/quartz/a.png", "quartz/b.png"),  # photos lie beside the split
        ("quartz/white/a.png", "calcite/b/c.png"),  # folders below labels
    ],
)
def test_what_is_no_split(tmp_path: Path, files: tuple[str, ...]) -> None:
    root = drawn_tree(tmp_path, *files)
    assert not has_splits(root)
    assert {(split, label) for split, label, _ in found(root)} == {(None, file.split("/")[0]) for file in files}


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    root = drawn_tree(tmp_path, "quartz/a.png", "quartz/.b.png", ".cache/c.png", "quartz/.thumbnails/d.png")
    assert found(root) == [(None, "quartz", "quartz/a.png")]


def test_rows(tmp_path: Path) -> None:
    root = drawn_tree(tmp_path, "train/Quartz (Var: Amethyst)/a.png", "test/Quartz (Var: Amethyst)/a.png")
    rows = list(tree_rows(root))
    assert [(row.status, row.label, row.title, row.split) for row in rows] == [
        ("listed", "Quartz (Var: Amethyst)", "Quartz (Var: Amethyst)", "test"),
        ("listed", "Quartz (Var: Amethyst)", "Quartz (Var: Amethyst)", "train"),
    ]
    assert all(Path(str(row.path)).is_file() for row in rows)
    assert len({row.id for row in rows}) == 2
    assert [row.id for row in rows] == [row.id for row in tree_rows(root)]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"quar\xfftz")
    try:
        drawn_tree(folder, os.fsdecode(b"a\xfe.png"))
    except OSError:
        pytest.skip("this file system has only names that are text")
    (row,) = tree_rows(tmp_path)
    assert row.label == os.fsdecode(b"quar\xfftz")


@pytest.mark.parametrize("what", ["nothing", "file", "empty", "flat"])
def test_no_tree(tmp_path: Path, what: str) -> None:
    root = tmp_path / "tree"
    if what == "file":
        root.write_text("x")
    elif what == "empty":
        (root / "quartz").mkdir(parents=True)
    elif what == "flat":
        drawn_tree(root, "a.png")
    with pytest.raises(DatasetError, match="tree"):
        list(read_tree(root))
