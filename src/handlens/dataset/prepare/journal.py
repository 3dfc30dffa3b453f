"""stages/prepare.sqlite: which prepared files are whole, and what they were made from.

One row a file: its path, the sha256 of the photo, the digest of the settings, the sha256 of the file itself, and where
the specimen is. A file is used again only where photo and settings are the same and its content has that sha256; so a
journal that lags behind, or was copied from another machine, costs work and never gives a wrong picture. A shard keeps
a journal of its own, stages/prepare.2-of-5.sqlite; a run of the whole takes over what the others know.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from handlens.dataset.prepare.work import Outcome

__all__ = ["Journal"]

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS made (
    file TEXT PRIMARY KEY,
    photo TEXT NOT NULL,
    settings TEXT NOT NULL,
    digest TEXT NOT NULL,
    box TEXT NOT NULL,
    area REAL
) WITHOUT ROWID
"""
_SECONDS: Final = 2.0
"""What a killed run does again at most."""


class Journal:
    """The journal at `path` for one digest of settings. A context manager; what is noted is on the disk at its end."""

    def __init__(self, path: Path, settings: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._settings = path, settings
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:  # not one, or damaged: all it costs is work
            path.unlink()
            self._database = self._open()
        self._committed = time.monotonic()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        database.execute(_TABLE)
        database.execute("CREATE TEMP TABLE wanted (file TEXT PRIMARY KEY) WITHOUT ROWID")
        return database

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.commit()
        self._database.close()

    def take_over(self, others: list[Path]) -> None:
        """Learns what the journals of shards know and this one does not."""
        for other in others:
            self._database.execute("ATTACH ? AS other", (str(other),))
            self._database.execute("INSERT OR IGNORE INTO made SELECT * FROM other.made")
            self._database.commit()
            self._database.execute("DETACH other")

    def known(self, file: str, photo: str) -> Outcome | None:
        """What was noted of a prepared file, if from the same photo (its sha256) and settings."""
        found = self._database.execute(
            "SELECT digest, box, area FROM made WHERE file = ? AND photo = ? AND settings = ?",
            (file, photo, self._settings),
        ).fetchone()
        return found and Outcome(found[0], tuple(json.loads(found[1])), found[2], fresh=False)

    def note(self, file: str, photo: str, outcome: Outcome) -> None:
        """Notes a file that was just made; on the disk within seconds."""
        self._database.execute(
            "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?, ?, ?)",
            (file, photo, self._settings, outcome.digest, json.dumps(outcome.box), outcome.area),
        )
        if time.monotonic() - self._committed > _SECONDS:
            self._database.commit()
            self._committed = time.monotonic()

    def want(self, file: str) -> None:
        """Remembers, for the time of this run, that a file belongs to the data set."""
        self._database.execute("INSERT OR IGNORE INTO temp.wanted VALUES (?)", (file,))

    def is_wanted(self, file: str) -> bool:
        """Whether a file belongs to the data set."""
        return self._database.execute("SELECT 1 FROM temp.wanted WHERE file = ?", (file,)).fetchone() is not None

    def forget_unwanted(self) -> None:
        """Drops what is known of files that do not belong to the data set."""
        self._database.execute("DELETE FROM made WHERE file NOT IN (SELECT file FROM temp.wanted)")
