"""Which files people mean when they name a folder or a pattern.

Only here do extensions count, and only to leave notes and sidecar files of a folder alone; what a file is, its content
says when it is read.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["expand", "named_like_a_photo", "photos_in"]

_SUFFIXES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    }
)


def named_like_a_photo(name: str) -> bool:
    """Whether a file's name ends as those of photos do."""
    return Path(name).suffix.lower() in _SUFFIXES


def photos_in(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Paths of the files below a folder that are named like photos, sorted; hidden files and folders are left out.

    A folder that cannot be read comes last as it stands, so that it is not passed over in silence.
    """
    unreadable: list[str] = []
    for place, folders, files in os.walk(folder, onerror=lambda error: unreadable.append(error.filename)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and named_like_a_photo(name):
                yield str(Path(place, name))
    yield from unreadable


def expand(paths: Iterable[str]) -> Iterator[str]:
    """Files as they are; folders as the photos below them; patterns (* ? [...]) as the files they match, sorted.

    What matches nothing, and a folder without photos, is passed on as it stands, so that reading it says what is wrong.
    """
    for path in paths:
        if _is_folder(path):
            yield from _or_itself(path, photos_in(path))
        elif glob.has_magic(path) and not os.path.lexists(path):
            # Path.glob takes no absolute pattern.
            matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207
            yield from _or_itself(path, (match for match in matches if not _is_folder(match)))
        else:
            yield path


def _is_folder(path: str) -> bool:
    # Path.is_dir raises for a name that is too long, which is an error of that photo alone.
    return os.path.isdir(path)  # noqa: PTH112


def _or_itself(path: str, found: Iterator[str]) -> Iterator[str]:
    first = next(found, None)
    yield path if first is None else first
    yield from found
