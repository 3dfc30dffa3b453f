"""stages/check.sqlite: what was found in each file, by the sha256 of its content, as soon as it was found.

A run that was killed goes on with the files that are not there yet; a run with other settings finds all of them. A
shard has a journal of its own, check.i-of-n.sqlite, which the whole run takes over. `set_aside` has the links made
below images_odd/, written before they are made, so that a later run knows which to take away.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from handlens.dataset.check.inspect import Inspection
from handlens.dataset.errors import BadManifestError

__all__ = ["Journal"]

_VERSION: Final = 1
"""Of the layout and of what `inspect` measures: a journal of another version is begun anew."""
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Inspection))
_COLOUR: Final = _FIELDS.index("colour")
_AGAIN: Final = ("not-found", "permission-denied", "unreadable-file")
"""Failures of the disk and not of the photo: tried again by the next run."""
_BATCH: Final = 1000


class Journal:
    """The journal at `path`, made when it is not there; to be used in a `with` block. Raises BadManifestError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None)
        try:
            self._base.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise BadManifestError(
                f"{path}: is no journal of `check`: {error}; without it, photos are read again"
            ) from error
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.execute("PRAGMA temp_store = FILE")
        if self._base.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            self._base.execute("DROP TABLE IF EXISTS photos")
        columns = ", ".join(name for name in _FIELDS if name != "sha256")
        self._base.execute(f"CREATE TABLE IF NOT EXISTS photos (sha256 TEXT PRIMARY KEY, {columns})")
        self._base.execute("CREATE TABLE IF NOT EXISTS set_aside (path TEXT PRIMARY KEY)")
        self._base.execute(f"PRAGMA user_version = {_VERSION}")
        self._base.execute("CREATE TEMP TABLE listed (number INTEGER PRIMARY KEY, id TEXT, sha256 TEXT, file TEXT)")
        self._base.execute("CREATE INDEX temp.listed_contents ON listed (sha256, number)")
        self._base.executemany("DELETE FROM photos WHERE error = ?", [(code,) for code in _AGAIN])

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._base.close()

    def take(self, part: Path) -> None:
        """Takes over what a shard's journal has and this has not. Raises BadManifestError where it is none."""
        try:
            self._base.execute("ATTACH ? AS part", (str(part),))
            if self._base.execute("PRAGMA part.user_version").fetchone()[0] == _VERSION:
                self._base.execute("INSERT OR IGNORE INTO photos SELECT * FROM part.photos")
            self._base.execute("DETACH part")
        except sqlite3.DatabaseError as error:
            raise BadManifestError(f"{part}: is no journal of `check`: {error}") from error

    def enlist(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Notes id, sha256 and file of the rows of this run, numbered from 0."""
        self._base.execute("BEGIN")
        self._base.execute("DELETE FROM listed")
        numbered = ((number, *row) for number, row in enumerate(rows))
        self._base.executemany("INSERT INTO listed VALUES (?, ?, ?, ?)", numbered)
        self._base.execute("COMMIT")

    def missing_count(self) -> int:
        """How many listed contents are not inspected."""
        query = (
            "SELECT COUNT(DISTINCT sha256) FROM listed"
            " WHERE NOT EXISTS (SELECT 1 FROM photos WHERE photos.sha256 = listed.sha256)"
        )
        return int(self._base.execute(query).fetchone()[0])

    def missing(self) -> Iterator[tuple[str, str]]:
        """sha256 and file of the listed contents that are not inspected, each once, in the order of the list."""
        last = -1
        while True:
            found = self._base.execute(
                "SELECT number, sha256, file FROM listed WHERE number > ?"
                " AND NOT EXISTS (SELECT 1 FROM photos WHERE photos.sha256 = listed.sha256)"
                " AND number = (SELECT MIN(number) FROM listed AS first WHERE first.sha256 = listed.sha256)"
                " ORDER BY number LIMIT ?",
                (last, _BATCH),
            ).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield from ((sha256, file) for _, sha256, file in found)

    def add(self, inspections: Iterable[Inspection]) -> None:
        """Notes what was found, at once and for good."""
        marks = ", ".join("?" * len(_FIELDS))
        self._base.execute("BEGIN")
        self._base.executemany(f"INSERT OR REPLACE INTO photos VALUES ({marks})", map(_values, inspections))
        self._base.execute("COMMIT")

    def listed(self) -> Iterator[Inspection]:
        """What was found in the file of each listed row, in the order of the list, without its thumbnail."""
        columns = ", ".join("NULL" if name == "thumbnail" else f"photos.{name}" for name in _FIELDS)
        query = f"SELECT {columns} FROM listed JOIN photos USING (sha256) ORDER BY number"
        for values in self._base.execute(query):
            yield _inspection(values)

    def thumbnail(self, number: int) -> bytes:
        """The thumbnail of the file of a listed row that has one."""
        query = "SELECT thumbnail FROM listed JOIN photos USING (sha256) WHERE number = ?"
        return bytes(self._base.execute(query, (number,)).fetchone()[0])

    def id(self, number: int) -> str:
        """The id of a listed row."""
        return str(self._base.execute("SELECT id FROM listed WHERE number = ?", (number,)).fetchone()[0])

    def set_aside(self) -> set[str]:
        """Paths below images_odd/ that runs have made or were about to make."""
        return {path for (path,) in self._base.execute("SELECT path FROM set_aside")}

    def will_set_aside(self, paths: Iterable[str]) -> None:
        """Notes paths that are about to be made."""
        self._base.execute("BEGIN")
        self._base.executemany("INSERT OR IGNORE INTO set_aside VALUES (?)", ((path,) for path in paths))
        self._base.execute("COMMIT")

    def has_taken_back(self, paths: Iterable[str]) -> None:
        """Forgets paths that are no more."""
        self._base.execute("BEGIN")
        self._base.executemany("DELETE FROM set_aside WHERE path = ?", ((path,) for path in paths))
        self._base.execute("COMMIT")


def _values(found: Inspection) -> tuple[Any, ...]:
    values = [getattr(found, name) for name in _FIELDS]
    values[_COLOUR] = json.dumps(found.colour)
    return tuple(values)


def _inspection(values: tuple[Any, ...]) -> Inspection:
    changed = list(values)
    changed[_COLOUR] = tuple(json.loads(values[_COLOUR]))
    return Inspection(*changed)
