"""Photos in a folder, of a pattern, or one file."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from handlens.batch.units import Listed, PhotoRef
from handlens.photo_files import expand, photos_in

__all__ = ["file_ref", "folder_photos", "pattern_photos"]


def file_ref(path: str, name: str) -> PhotoRef:
    """A file with its stamp; one that is not there has none, and its reading will say so."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a manifest's path need not be one
    except (OSError, ValueError):
        return PhotoRef(name, "file", path)
    return PhotoRef(name, "file", path, f"{status.st_size}-{status.st_mtime_ns}")


def folder_photos(folder: Path) -> Iterator[Listed]:
    """The files below a folder that are named like photos, and folders that may not be read."""
    return _named(photos_in(folder), folder)


def pattern_photos(pattern: str) -> Iterator[Listed]:
    """What a pattern matches, folders as the photos in them, named from the last folder without a wildcard on."""
    parts = Path(pattern).parts
    fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    root = Path(*parts[:fixed])
    # Path.glob takes no absolute pattern.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    seen: set[str] = set()
    for match in matches:
        for listed in _named(expand([match]), root):
            if listed.photo.name not in seen and not Path(listed.photo.where).is_dir():
                seen.add(listed.photo.name)
                yield listed


def _named(paths: Iterable[str], root: Path) -> Iterator[Listed]:
    for path in paths:
        name = os.path.relpath(path, root)
        yield Listed(file_ref(str(Path(path).absolute()), Path(name).as_posix()))
