"""What SOURCE means: a folder, a pattern, a table of photos, an archive, or a URL."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handlens.batch.archives import TAR_SUFFIXES, plain_tar, tar_photos, zip_photos
from handlens.batch.errors import BadSourceError
from handlens.batch.local_files import file_ref, folder_photos, pattern_photos
from handlens.batch.manifest import open_manifest
from handlens.batch.remote import url_photos
from handlens.batch.units import Listed

__all__ = ["Source", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source.

    `identity`: the same for the same source however it is typed. `photos`: lists it, in any order. `columns`: the own
    columns of a manifest with their types. `later_wins`: an entry that is there twice counts as it is last, which
    is how archives are read; elsewhere it is an error.
    """

    identity: str
    photos: Callable[[], Iterator[Listed]]
    columns: Mapping[str, str] = field(default_factory=dict)
    labelled: bool = False
    later_wins: bool = False


def open_source(text: str, run: Path) -> Source:
    """The source that `text` names; `run` is the folder of the run, where a packed tar is unpacked.

    Raises BadSourceError.
    """
    if "://" in text:
        return Source(text, lambda: url_photos(text))
    path, suffix = Path(text), Path(text).suffix.lower()
    identity = os.path.realpath(text)
    if path.is_dir():
        return Source(identity, lambda: folder_photos(path))
    if glob.has_magic(text) and not os.path.lexists(text):
        return Source(str(path.absolute()), lambda: pattern_photos(text))
    if not path.is_file():
        raise BadSourceError(f"{text}: there is no folder, file or archive of this name")
    if suffix in (".csv", ".parquet"):
        manifest = open_manifest(path)
        return Source(identity, manifest.photos, manifest.columns, labelled=manifest.label is not None)
    if suffix == ".zip":
        return Source(identity, lambda: zip_photos(path.absolute()), later_wins=True)
    if path.name.lower().endswith(TAR_SUFFIXES):
        return Source(identity, lambda: tar_photos(plain_tar(path.absolute(), run)), later_wins=True)
    return Source(identity, lambda: iter([Listed(file_ref(str(path.absolute()), path.name))]))
