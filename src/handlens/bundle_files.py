"""Where bundles are, and the bytes of their files with their digests. Imports nothing large.

To read and digest the bundle that ships takes a tenth of the time of a first answer. `read_ahead` has it done on a
thread of its own while the program still imports what it opens the bundle with: neither holds the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENT", "SHIPPED", "bundle_path", "default_bundle_path", "digested", "read_ahead"]

ENVIRONMENT: Final = "HANDLENS_BUNDLE"
SHIPPED: Final = ("default", "small")
"""Names of the bundles in the package."""
_HERE: Final = Path(__file__).parent


def default_bundle_path() -> Path:
    """The bundle that is used when none is named: that of the environment, else the one in the package."""
    return bundle_path(os.environ.get(ENVIRONMENT) or SHIPPED[0])


def bundle_path(named: str | os.PathLike[str]) -> Path:
    """Where a bundle is: the names in SHIPPED are those in the package (`./small` is a folder), all else is a path."""
    if isinstance(named, str) and named in SHIPPED:
        return _HERE / "bundles" / named
    return Path(named)


class _Ahead(threading.Thread):
    """Reads the files of a directory, the largest first; stops at the first that cannot be read."""

    def __init__(self, place: Path) -> None:
        super().__init__(name="handlens-read-ahead", daemon=True)
        self._place = place
        self.found: dict[Path, tuple[bytes, str]] = {}

    def run(self) -> None:
        try:
            for path in sorted(self._place.iterdir(), key=lambda path: -path.stat().st_size):
                self.found[path] = _digested(path)
        except OSError:
            pass  # whoever opens the bundle meets the same error, and tells it


_reading: dict[Path, _Ahead] = {}


def read_ahead() -> None:
    """Begins to read the bundle that is used when none is named, if it is one of the package's own: of other places it
    is not known yet whether there are plain files.
    """
    place = default_bundle_path()
    if place.parent == _HERE / "bundles" and place not in _reading:
        _reading[place] = _Ahead(place)
        _reading[place].start()


def digested(path: Path) -> tuple[bytes, str]:
    """The bytes of a file and their sha256 in hexadecimal, read now or ahead; what was read ahead is given once.

    Raises OSError.
    """
    if (ahead := _reading.get(path.parent)) is not None:
        ahead.join()
        if (found := ahead.found.pop(path, None)) is not None:
            return found
    return _digested(path)


def _digested(path: Path) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()
