"""Photos at a URL that fsspec knows: object stores, other machines, archives at either."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from handlens.batch.errors import BadSourceError
from handlens.batch.units import Listed, PhotoRef
from handlens.photo_files import named_like_a_photo

__all__ = ["url_photos"]

_CHANGED: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "ETag", "etag")
"""Under which of these a file system says when a file was changed, differs between them."""


def url_photos(url: str) -> Iterator[Listed]:
    """The photos below a URL, or those that its pattern matches. Raises BadSourceError."""
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
        path = path.rstrip("/")
        if glob.has_magic(path):
            found = files.glob(path, detail=True)
            parts = path.split("/")
            fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
            root, pattern = "/".join(parts[:fixed]), True
        elif files.isfile(path):
            found, root, pattern = {path: files.info(path)}, str(PurePosixPath(path).parent), True
        else:
            found, root, pattern = files.find(path, detail=True), path, False
    except Exception as error:  # a foreign file system raises what it likes
        raise BadSourceError(f"{url}: cannot be listed: {error or type(error).__name__}") from error
    root = root.rstrip("/")
    _, chained, behind = url.partition("::")
    for path, info in sorted(found.items()):
        if info.get("type") == "directory":
            continue
        name = path.removeprefix(root).lstrip("/")
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if pattern or (not hidden and named_like_a_photo(name)):
            yield Listed(PhotoRef(name, "url", f"{files.unstrip_protocol(path)}{chained}{behind}", _stamp(info)))


def _stamp(info: Mapping[str, Any]) -> str:
    changed = next((str(info[key]) for key in _CHANGED if info.get(key)), "")
    return f"{info.get('size')}-{changed}" if changed else ""
