r"""Folders named for labels, and trees of links that are there whole or not at all.

A label may come from anywhere, so the name of its folder is made from it by one rule, which loses nothing:

- letters, marks and digits of any script, spaces and ``- _ ( ) , . + = @ ' & ! # ; [ ]`` stay as they are;
- every other character (``/ \ : * ? " < > | % ~ $``, control characters), a dot or space at either end, and the
  first character of a name that Windows reserves (``con``, ``nul``, ``com1``, ...) become ``%XX`` for each byte of
  their UTF-8, as in URLs, so that `urllib.parse.unquote` gives the label back;
- a name of more than 120 bytes is cut there and ends in ``~`` and 16 hex digits of the label's sha256; the manifest has
  the whole label;
- an empty label is ``%``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Final

from handlens.dataset.files import TEMPORARY_PREFIX, link_or_copy

__all__ = ["LinkTree", "folder_name"]

_LONGEST: Final = 120
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
_PLAIN: Final = frozenset(" -_(),.+=@'&!#;[]")


def folder_name(label: str) -> str:
    """The name of a label's folder, see above: one path component, different for different labels."""
    last = len(label) - 1
    kept = [
        character
        if (character.isalnum() or character in _PLAIN or _is_mark(character))
        and not (character in " ." and place in (0, last))
        else _escaped(character)
        for place, character in enumerate(label)
    ]
    if _RESERVED.fullmatch(label):
        kept[0] = _escaped(label[0])
    name = "".join(kept) or "%"
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{name.encode()[:_LONGEST].decode('utf-8', 'ignore').rstrip(' .')}~{digest}"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


class LinkTree:
    """A folder of hard links, FOLDER/<label>/<name>, made anew beside the old one, which it replaces on `commit`.

    What an earlier, killed attempt left is removed first. The folder belongs to the pipeline: files that people put
    there go with the old one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
        self._old = folder.with_name(f"{TEMPORARY_PREFIX}old-{folder.name}")
        for left in (self._new, self._old):
            shutil.rmtree(left, ignore_errors=True)
        self._new.mkdir(parents=True)

    def add(self, label: str, name: str, source: Path) -> None:
        """Links `source` as `name` in the label's folder. Raises OSError, for one where there is no such file."""
        link_or_copy(source, self._new / folder_name(label) / folder_name(name))

    def commit(self) -> None:
        """Puts the new folder in the place of the old one. Raises OSError."""
        if self._folder.exists():
            self._folder.replace(self._old)
        self._new.replace(self._folder)
        shutil.rmtree(self._old, ignore_errors=True)
