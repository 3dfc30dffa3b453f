"""The files of a localiser (see `specimen_localiser`), unopened: those that ship, or a bundle's own."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.errors import HandlensError

__all__ = ["GRAPH", "MANIFEST", "BadLocaliserError", "LocaliserFiles"]

GRAPH: Final = "localiser.onnx"
MANIFEST: Final = "localiser.json"
_MOST_BYTES: Final = 64 * 2**20


class BadLocaliserError(HandlensError):
    """The localiser's files are missing, damaged, of another kind, or contradict each other (`bad-localiser`)."""

    code = "bad-localiser"


@dataclass(frozen=True, slots=True)
class LocaliserFiles:
    """A localiser as its two files hold it; `place`: where they are, for messages."""

    manifest: bytes
    graph: bytes
    place: Path

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None = None) -> LocaliserFiles:
        """Those in the folder `path`, by default the ones that ship. Raises BadLocaliserError where one is missing."""
        place = Path(path) if path is not None else Path(__file__).parent / "localiser"
        return cls(_read(place / MANIFEST), _read(place / GRAPH), place)

    @property
    def digest(self) -> str:
        """sha256 of both."""
        return hashlib.sha256(self.manifest + self.graph).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadLocaliserError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise BadLocaliserError(f"{path}: larger than {_MOST_BYTES // 2**20} MiB")
    return content
