"""Class-folder trees: any folder with one folder a label, with or without split folders above them.

    FOLDER/<label>/.../photo.jpg              or            FOLDER/<split>/<label>/.../photo.jpg

A tree has split folders where one of its folders is named like one (train, training, validation, valid, val, dev,
test, testing, in any case) and no photo lies directly in any of its folders: a mineral may be called anything, but a
folder of photos is a label. Then all of its folders are splits, also `others` or `field`. Photos that lie in no label's
folder, hidden files and files that are not named like photos are left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.dataset.errors import DatasetError
from handlens.dataset.manifest import Row
from handlens.photo_files import photos_in

__all__ = ["SPLIT_NAMES", "TreePhoto", "has_splits", "read_tree", "row_id", "tree_rows"]

SPLIT_NAMES: Final = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What people call their split folders (in lower case), and what the manifest calls them."""


@dataclass(frozen=True, slots=True)
class TreePhoto:
    """A photo of a tree. `label` is the name of its label's folder as it stands, `split` None where there are none."""

    path: Path
    label: str
    split: str | None


def has_splits(root: Path) -> bool:
    """Whether the folders of a tree are splits, see above. Raises OSError."""
    folders = _folders(root)
    named = any(folder.name.casefold() in SPLIT_NAMES and _folders(folder) for folder in folders)
    return named and not any(_holds_photos(folder) for folder in folders)


def read_tree(root: Path) -> Iterator[TreePhoto]:
    """The photos of a tree, sorted by split, label and path, found while it is read: memory is that of one folder.

    A folder that cannot be read comes as if it were a photo, so that it is not passed over in silence. Raises
    DatasetError where there is no folder or no photo with a label.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: there is no folder of this name")
    found = False
    try:
        for split, folder in _labels(root):
            for path in photos_in(folder):
                found = True
                yield TreePhoto(Path(path), folder.name, split)
    except OSError as error:
        raise DatasetError(f"{root}: cannot be read: {error}") from error
    if not found:
        raise DatasetError(f"{root}: there is no photo in a folder named for its label")


def tree_rows(root: Path) -> Iterator[Row]:
    """The photos of a tree as rows of a manifest whose `path` is where they are. Raises DatasetError."""
    for photo in read_tree(root):
        path = str(photo.path)
        yield Row(row_id(path), photo.label, "listed", title=photo.label, path=path, split=photo.split)


def row_id(address: str) -> str:
    """A row's `id`, made from its URL, or from its path below the tree."""
    return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _labels(root: Path) -> Iterator[tuple[str | None, Path]]:
    if not has_splits(root):
        yield from ((None, folder) for folder in _folders(root))
        return
    for folder in _folders(root):
        split = SPLIT_NAMES.get(folder.name.casefold(), folder.name)
        yield from ((split, label) for label in _folders(folder))


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _holds_photos(folder: Path) -> bool:
    """Whether photos lie in the folder itself; those come before the photos of the folders below it."""
    first = next(photos_in(folder), None)
    return first is not None and Path(first).parent == folder
