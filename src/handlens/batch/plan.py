"""The list of a run, sorted by name: on disk, so that it may have millions of rows.

It is made anew with every start from what the source then holds, so nothing that a killed run left of it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from handlens.batch.errors import BadSourceError, JournalError
from handlens.batch.units import Listed, PhotoRef, Unit
from handlens.identifier import MOST_PHOTOS

__all__ = ["Plan", "inputs_digest", "key_of"]

_TABLES: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE photos (key BLOB PRIMARY KEY, specimen TEXT NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE units (key BLOB PRIMARY KEY, specimen TEXT NOT NULL) WITHOUT ROWID;
"""


def key_of(name: str) -> bytes:
    """What names are sorted by: their bytes, also where they are no valid text."""
    return name.encode("utf-8", "surrogateescape")


def inputs_digest(unit: Unit) -> str:
    """Says what a unit's answer depends on beside its photos' content: names, specimen, evidence."""
    names = [photo.name for photo in unit.photos]
    inputs = [names, unit.specimen, sorted(unit.evidence.items()), unit.conflict]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


class Plan:
    """The rows of a run."""

    def __init__(self, path: Path) -> None:
        """An empty plan in place of what is at `path`. Raises JournalError."""
        self._path = path
        try:
            path.unlink(missing_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: the list of photos cannot be written: {error}") from error

    def fill(self, listed: Iterable[Listed], *, later_wins: bool) -> None:
        """Takes in a source. Raises BadSourceError for a photo listed twice and for no photo; JournalError."""
        how = "REPLACE" if later_wins else "ABORT"
        try:
            self._database.execute("BEGIN")
            for one in listed:
                row = (key_of(one.photo.name), one.specimen, _packed(one))
                try:
                    self._database.execute(f"INSERT OR {how} INTO photos VALUES (?, ?, ?)", row)
                except sqlite3.IntegrityError as error:
                    raise BadSourceError(f"{one.photo.name!r} is listed twice") from error
            self._database.execute("CREATE INDEX by_specimen ON photos (specimen, key) WHERE specimen != ''")
            # A specimen is called after the first of its photos.
            self._database.execute("INSERT INTO units SELECT key, '' FROM photos WHERE specimen = ''")
            self._database.execute(
                "INSERT INTO units SELECT MIN(key), specimen FROM photos WHERE specimen != '' GROUP BY specimen"
            )
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: the list of photos cannot be written: {error}") from error
        if len(self) == 0:
            raise BadSourceError("the source has no photo")

    def __len__(self) -> int:
        return int(self._database.execute("SELECT COUNT(*) FROM units").fetchone()[0])

    @property
    def photos(self) -> int:
        """How many photos there are."""
        return int(self._database.execute("SELECT COUNT(*) FROM photos").fetchone()[0])

    def bounds(self, size: int) -> list[bytes]:
        """The first keys of the second shard and those after it, where each has `size` rows."""
        rows = self._database.execute("SELECT key FROM units ORDER BY key")
        return [key for place, (key,) in enumerate(rows) if place and place % size == 0]

    def shards(self, bounds: Sequence[bytes]) -> Iterator[tuple[int, list[Unit]]]:
        """The units of every shard, in order, by the shard's number; a shard may have none any more."""
        for number in range(len(bounds) + 1):
            yield number, list(self.shard(number, bounds))

    def shard(self, number: int, bounds: Sequence[bytes]) -> Iterator[Unit]:
        """The units of one shard, in order of their keys."""
        low = bounds[number - 1] if number else b""
        high = bounds[number] if number < len(bounds) else None
        return self.units(low, high)

    def units(self, low: bytes = b"", high: bytes | None = None) -> Iterator[Unit]:
        """The units with keys from `low` on and below `high`, in order."""
        end, given = ("", (low,)) if high is None else ("AND units.key < ?", (low, high))
        rows = self._database.execute(
            "SELECT units.key, photos.content FROM units JOIN photos ON photos.key = units.key AND units.specimen = '' "
            f"WHERE units.key >= ? {end} UNION ALL "
            "SELECT units.key, photos.content FROM units JOIN photos ON photos.specimen = units.specimen "
            f"WHERE units.specimen != '' AND photos.specimen != '' AND units.key >= ? {end} ORDER BY 1",
            given + given,
        )
        for key, group in groupby(rows, key=lambda row: bytes(row[0])):
            yield _unit(key, [_unpacked(content) for _, content in group])

    def close(self) -> None:
        """Deletes it."""
        with contextlib.suppress(OSError, sqlite3.Error):
            self._database.close()
            self._path.unlink(missing_ok=True)


def _packed(one: Listed) -> str:
    return json.dumps([astuple(one.photo), one.specimen, one.label, dict(one.evidence), dict(one.columns)])


def _unpacked(content: str) -> Listed:
    photo, specimen, label, evidence, columns = json.loads(content)
    return Listed(PhotoRef(*photo), specimen, label, evidence, columns)


def _unit(key: bytes, listed: list[Listed]) -> Unit:
    first = listed[0]
    if not first.specimen:
        return Unit(key, (first.photo,), "", first.label, first.evidence, first.columns)
    listed = sorted(listed, key=lambda one: key_of(one.photo.name))
    first = listed[0]
    evidence, conflict = _merged([one.evidence for one in listed])
    unit = Unit(
        key,
        tuple(one.photo for one in listed[:MOST_PHOTOS]),
        first.specimen,
        "|".join(dict.fromkeys(one.label for one in listed if one.label)),
        evidence,
        first.columns,
        left_out=max(0, len(listed) - MOST_PHOTOS),
    )
    return replace(unit, conflict=conflict)


def _merged(given: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], str]:
    """The evidence of all photos of a specimen, and what two of them say differently."""
    merged: dict[str, str] = {}
    for evidence in given:
        for test, text in evidence.items():
            if merged.setdefault(test, text) != text:
                return {}, f"the photos of this specimen have different values of {test}"
    return merged, ""
