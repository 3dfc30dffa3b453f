"""Lists of photos, streamed: bare rows, CSV with a header, and trees of class folders.

Formats, told apart by the content of the first line (or by being a folder), never by the file's name:

    bare      `https://…/photo.jpg, label, another label, `: an address, then labels; no header, spaces do not count
    columns   CSV (comma, semicolon or tab) with a header that has `url` and `label`; `page`, `author`, `licence`,
              `licence_url`, `credit` and `group` are used where present, other columns are passed over
    folders   a folder whose subfolders are named for their labels, with or without split folders above them (`tree`)

Text is UTF-8, with or without a byte-order mark, with any line ends. A row that cannot be used is a `BadRow`; it never
ends the reading. A row's id is 16 hex digits of the sha256 of its address, or of its path below the tree.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from handlens.dataset.errors import BadListError, DatasetError
from handlens.dataset.tree import read_tree, row_id
from handlens.photo_files import photos_in

__all__ = ["BadRow", "BadRows", "Entry", "read_sources", "source_digest"]

_LONGEST_LINE: Final = 65_536
"""Characters; csv's own limit for a field is twice that."""
_LONGEST_URL: Final = 2_048
_HEAD: Final = 65_536
_RIGHTS: Final = {
    "page": ("page",),
    "author": ("author",),
    "licence": ("licence", "license"),
    "licence_url": ("licence_url", "license_url"),
    "credit": ("credit",),
    "group": ("group",),
}
# Nearly all addresses; what it does not match is looked at more closely, which takes long.
_PLAIN: Final = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/[!-~]*")
_ADDRESS: Final = re.compile(r"""["'\s]*https?://""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable row of a source: where the photo is (`url`, or `path` of a local file), and what is said of it.

    `title` is the label as the source gives it; several are joined by ", ". `line`: row of the file, from 1; 0 for a
    file of a tree. What the source does not say is None.
    """

    id: str
    source: str
    line: int
    title: str
    url: str | None = None
    path: str | None = None
    page: str | None = None
    author: str | None = None
    licence: str | None = None
    licence_url: str | None = None
    credit: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: where it is ("list.csv:12", or a path) and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(slots=True)
class BadRows:
    """All rows that cannot be used: their number, and the first `most` of them."""

    most: int = 100
    count: int = 0
    examples: list[BadRow] = field(default_factory=list)

    def add(self, where: str, reason: str) -> None:
        """Counts a row in."""
        self.count += 1
        if len(self.examples) < self.most:
            self.examples.append(BadRow(where, reason))


def read_sources(sources: Sequence[Path], bad: BadRows) -> Iterator[Entry]:
    """The usable rows of lists and folders, one source after the other, in order and in bounded memory.

    Raises BadListError for a source that is missing, unreadable, or neither a list nor a tree of class folders.
    """
    trees = 0
    for source in sources:
        if source.is_dir():
            trees += 1
            # Two trees may hold files of the same name, which are different photos.
            yield from _from_tree(source, "" if trees == 1 else f"{trees}/", bad)
        else:
            yield from _from_file(source, bad)


def source_digest(source: Path) -> str:
    """What a source holds now, as sha256 in hex: a file's content; names, sizes and times of a tree's photos.

    Raises BadListError.
    """
    try:
        if not source.is_dir():
            with source.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        state = hashlib.sha256()
        for path in photos_in(source):
            told = Path(path).stat()
            state.update(os.fsencode(path) + f"\0{told.st_size}\0{told.st_mtime_ns}\0".encode())
        return state.hexdigest()
    except OSError as error:
        raise BadListError(f"{source}: cannot be read: {error.strerror or error}") from error


def _from_tree(tree: Path, prefix: str, bad: BadRows) -> Iterator[Entry]:
    absolute = tree.absolute()
    try:
        for name in sorted(os.listdir(absolute)):  # noqa: PTH208 - names that are no text
            if not name.startswith(".") and (absolute / name).is_file():
                bad.add(_printable(absolute / name), "lies in no class folder, so it has no label")
        for photo in read_tree(absolute):
            if photo.path.is_dir():
                bad.add(_printable(photo.path), "the folder cannot be read")
            elif not _is_text(str(photo.path)):
                bad.add(_printable(photo.path), "the name is not UTF-8")
            else:
                id_ = row_id(prefix + photo.path.relative_to(absolute).as_posix())
                yield Entry(id=id_, source=str(tree), line=0, title=photo.label, path=photo.path.as_posix())
    except OSError as error:
        raise BadListError(f"{tree}: cannot be read: {error.strerror or error}") from error
    except DatasetError as error:
        raise BadListError(error.detail) from error


def _from_file(source: Path, bad: BadRows) -> Iterator[Entry]:
    try:
        # Bytes that are no UTF-8 spoil their row, not the list.
        with source.open(encoding="utf-8-sig", errors="surrogateescape") as text:
            columns, delimiter = _format(source, text)
            text.seek(0)
            if columns is None:
                yield from _from_bare(source, text, bad)
            else:
                yield from _from_columns(source, text, delimiter, bad)
    except OSError as error:
        raise BadListError(f"{source}: cannot be read: {error.strerror or error}") from error


def _format(source: Path, text: TextIO) -> tuple[list[str] | None, str]:
    """The header's columns and delimiter; (None, "") for a bare list."""
    head = text.read(_HEAD)
    if "\0" in head or (head[:2].encode("utf-8", "surrogateescape") in (b"\xff\xfe", b"\xfe\xff")):
        raise BadListError(f"{source}: is not a text file in UTF-8")
    first = next((line for line in head.splitlines() if line.strip()), None)
    if first is None:
        raise BadListError(f"{source}: is empty")
    for delimiter in ",;\t":
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if "url" in names and "label" in names:
            return names, delimiter
    if _ADDRESS.match(first):
        return None, ""
    raise BadListError(f"{source}: starts neither with a header that has `url` and `label` nor with an address (http…)")


def _lines(source: Path, text: TextIO, bad: BadRows) -> Iterator[tuple[int, str]]:
    """Numbered lines, those that are too long left out: a line has to fit in memory."""
    number = 0
    while line := text.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE and not line.endswith("\n"):
            bad.add(f"{source}:{number}", f"the line has more than {_LONGEST_LINE:,} characters")
            while (more := text.readline(_LONGEST_LINE)) and not more.endswith("\n"):
                pass
            continue
        yield number, line


def _from_bare(source: Path, text: TextIO, bad: BadRows) -> Iterator[Entry]:
    for number, line in _lines(source, text, bad):
        if not line.strip():
            continue
        first = line.split(None, 1)[0]
        if first.startswith('"'):
            url, *rest = next(csv.reader([line.strip()]))
            labels = ",".join(rest)
        elif first.endswith(","):  # an address has no spaces, so its own commas part nothing
            url, labels = first[:-1], line.lstrip()[len(first) :]
        else:
            url, _, labels = line.strip().partition(",")
        title = ", ".join([label for part in labels.split(",") if (label := part.strip(" \t\r\n\"'"))])
        if (entry := _entry(source, number, url.strip(" \t\"'"), title, {}, bad)) is not None:
            yield entry


class _Numbered:
    """The lines for csv, which counts them itself but not those that are left out."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self.number = 0
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            yield line


def _from_columns(source: Path, text: TextIO, delimiter: str, bad: BadRows) -> Iterator[Entry]:
    numbered = _Numbered(_lines(source, text, bad))
    lines = iter(numbered)
    rows = csv.reader(lines, delimiter=delimiter)
    header: list[str] = []
    while not any(header):
        header = [name.strip().lower() for name in next(rows)]
    places = {name: place for place, name in enumerate(header)}
    rights = {
        right: place
        for right, names in _RIGHTS.items()
        if (place := next((places[name] for name in names if name in places), None)) is not None
    }
    url_at, label_at = places["url"], places["label"]
    while True:
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # most often a quote that nothing closes
            bad.add(f"{source}:{numbered.number}", f"the rows before it cannot be read: {error}")
            rows = csv.reader(lines, delimiter=delimiter)
            continue
        if not any(values):
            continue
        if len(values) > len(header) and label_at == len(header) - 1:  # "azurite, malachite" without quotes
            values[label_at:] = [", ".join(value.strip() for value in values[label_at:] if value.strip())]
        if len(values) != len(header):
            bad.add(f"{source}:{numbered.number}", f"has {len(values)} columns where the header has {len(header)}")
            continue
        told = {right: value for right, place in rights.items() if (value := values[place].strip())}
        entry = _entry(source, numbered.number, values[url_at].strip(), values[label_at].strip(" \t,"), told, bad)
        if entry is not None:
            yield entry


def _entry(source: Path, line: int, url: str, title: str, told: dict[str, str], bad: BadRows) -> Entry | None:
    """A checked row; None where it is bad."""
    if reason := _fault(url, title, told):
        bad.add(f"{source}:{line}", reason)
        return None
    return Entry(id=row_id(url), source=str(source), line=line, title=title, url=url, **told)


def _fault(url: str, title: str, told: dict[str, str]) -> str | None:
    if not (title.isascii() and url.isascii() and not told) and not all(map(_is_text, (url, title, *told.values()))):
        return "is not UTF-8"
    if not url:
        return "has no address"
    if len(url) > _LONGEST_URL:
        return f"the address has more than {_LONGEST_URL:,} characters"
    return (None if _PLAIN.fullmatch(url) else _url_fault(url)) or (None if title else "has no label")


def _url_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        return f"the address makes no sense: {error}"
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        return f"{url[:60]!r} is no address (http or https)"
    return None


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
