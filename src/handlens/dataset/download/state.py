"""What is known of every URL: one SQLite file, one row a URL.

    urls     number, url, host, listed, state, attempts, due, status, reason, error, sha256, size, etag, last_modified,
             licence, author, fetched_at, file, final_url, batch
    robots   origin, content, expires: robots.txt of each host, "" where there is none
    notes    name, value: which list is loaded, which round is open, up to which batch the files are on the disk

`state` is "waiting" (to be asked for from the time `due` on), "fetched", "refused" or "failed" (for good), "later"
(failed for now: asked for again in the next round) or "unlisted" (was waiting when it left the list). A photo of an own
folder has "path:" and its path for a URL, and no host; what is no URL has "bad:" before it. A *round* lasts from the
first request until the stage's table is written, over any number of kills; `attempts` counts within it.

The file is in WAL mode and held by one run. A committed row survives a SIGKILL; after a power cut the last ones
may be missing, which costs another request and nothing else.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handlens.dataset.download.reasons import RULED_BY_SETTINGS, NotFetched, reason_of
from handlens.dataset.errors import DatasetError
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.workspace import Workspace

__all__ = ["BAD", "LOCAL", "NO_HOST", "HostCount", "Job", "Known", "Listed", "State", "state_file"]

LOCAL: Final = "path:"
"""What the `url` of a photo of an own folder begins with."""
BAD: Final = "bad:"
"""What is put before something that is no URL, so that it cannot be taken for anything else."""
NO_HOST: Final = ""
"""The `host` of those, and of what is no URL."""

_ROWS_AT_ONCE: Final = 1000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS urls (
    number INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL, listed INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0,
    status INTEGER, reason TEXT, error TEXT, sha256 TEXT, size INTEGER, etag TEXT, last_modified TEXT,
    licence TEXT, author TEXT, fetched_at TEXT, file TEXT, final_url TEXT, batch INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS waiting ON urls (host, due, number) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS robots (origin TEXT PRIMARY KEY, content TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_AGAIN: Final = "state = 'waiting', attempts = 0, due = 0"
_ADOPTED: Final = """
    state, attempts, status, reason, error, sha256, size, etag, last_modified, fetched_at, file, final_url"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A URL as it stands in the list."""

    url: str
    host: str
    licence: str | None
    author: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A URL to ask for, with what is known from an earlier fetch."""

    number: int
    url: str
    host: str
    attempts: int
    due: float
    etag: str | None
    last_modified: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What became of a URL."""

    state: str
    reason: str | None
    file: str | None
    sha256: str | None
    size: int | None
    fetched_at: str | None


@dataclass(frozen=True, slots=True)
class HostCount:
    """URLs of one host: in the list, fetched, and to be asked for."""

    host: str
    listed: int
    fetched: int
    to_ask: int


def state_file(workspace: Workspace, shard: Shard = WHOLE) -> Path:
    """Where the state of the stage, or of a shard of it, is: beside the table."""
    return workspace.table("download", shard).with_suffix(".sqlite")


class State:
    """The open file. Every method commits unless it is called within `together`."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Opens the file, or makes it. Raises DatasetError where another process holds it, or where it is none.

        `shared`: with the helpers of the same run; `processes` keeps other runs out.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30.0 if shared else 1.0, isolation_level=None)
        try:
            if not shared:
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA cache_size = -16000")  # KiB
            self._db.executescript(_SCHEMA)
            with self.together():
                self._note("opened", "1")  # takes the lock
        except sqlite3.OperationalError as error:
            self._db.close()
            raise DatasetError(f"{path}: another download is at work in this workspace ({error})") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DatasetError(f"{path}: {error}") from error

    def close(self) -> None:
        """Writes everything into the one file and lets go of it."""
        self._db.close()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Everything in the block is committed at once, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def load(self, urls: Iterable[Listed], digest: str) -> None:
        """Adds the URLs of a list; those that are known keep what is known. Does nothing for the list loaded last."""
        if self._noted("list") == digest:
            return
        with self.together():
            generation = int(self._noted("generation") or 0) + 1
            self._db.executemany(
                "INSERT INTO urls (url, host, listed, licence, author) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (url) DO UPDATE SET listed = excluded.listed,"
                " state = CASE state WHEN 'unlisted' THEN 'waiting' ELSE state END",
                ((url.url, url.host, generation, url.licence, url.author) for url in urls),
            )
            self._db.execute(
                "UPDATE urls SET state = 'unlisted' WHERE state = 'waiting' AND listed <> ?", (generation,)
            )
            self._note("generation", str(generation))
            self._note("list", digest)

    def adopt(self, other: Path) -> None:
        """Takes over what another state, of a shard, has settled of the URLs that are waiting here.

        The files are taken for unsettled, so that `recover` looks at each. Raises DatasetError.
        """
        batch = self.next_batch()
        self._db.execute("ATTACH ? AS other", (str(other),))
        try:
            self._db.execute(
                f"UPDATE urls SET ({_ADOPTED}, batch) ="
                f" (SELECT {_ADOPTED}, ? FROM other.urls AS other_urls WHERE other_urls.url = urls.url)"
                " WHERE state = 'waiting' AND url IN"
                " (SELECT url FROM other.urls WHERE state IN ('fetched', 'refused', 'failed', 'later'))",
                (batch,),
            )
        except sqlite3.DatabaseError as error:
            raise DatasetError(f"{other}: {error}") from error
        finally:
            self._db.execute("DETACH other")

    def begin(self, rules: str, *, refresh: bool) -> None:
        """Opens a round, or goes on with the one that is open; see above.

        `rules`: the settings that decide what is fetched; rows refused under others are tried again. `refresh`: ask
        for everything again, what is fetched included.
        """
        with self.together():
            generation, open_round = self._noted("generation"), self._noted("round")
            if self._noted("rules") not in (None, rules):
                marks = ",".join("?" * len(RULED_BY_SETTINGS))
                self._db.execute(
                    f"UPDATE urls SET {_AGAIN}"
                    f" WHERE listed = ? AND state IN ('refused', 'failed') AND reason IN ({marks})",
                    (generation, *RULED_BY_SETTINGS),
                )
            if not open_round:
                self._db.execute(f"UPDATE urls SET {_AGAIN} WHERE listed = ? AND state = 'later'", (generation,))
            if refresh and open_round != "refresh":
                self._db.execute(f"UPDATE urls SET {_AGAIN} WHERE listed = ?", (generation,))
            self._note("rules", rules)
            self._note("round", "refresh" if refresh else open_round or "plain")

    def end(self) -> None:
        """Closes the round: its table is written."""
        self._note("round", "")

    def owed(self) -> int:
        """URLs of the list that a run would ask for now, or in a new round."""
        return self._count("listed = ? AND state IN ('waiting', 'later')", self._noted("generation"))

    def waiting(self) -> int:
        """URLs that are left in this round."""
        return self._count("state = 'waiting'")

    def by_host(self, *, refresh: bool) -> list[HostCount]:
        """The hosts of the list, those with most to ask for first. `refresh`: as if everything were asked for again."""
        rows = self._db.execute(
            "SELECT host, count(*), sum(state = 'fetched'), sum(? OR state IN ('waiting', 'later')) FROM urls"
            " WHERE listed = ? GROUP BY host ORDER BY 4 DESC, 1",
            (refresh, self._noted("generation")),
        )
        return [HostCount(*row) for row in rows]

    def hosts(self) -> list[tuple[str, int]]:
        """Hosts with the number of URLs that wait, most first."""
        return self._db.execute(
            "SELECT host, count(*) FROM urls WHERE state = 'waiting' GROUP BY host ORDER BY 2 DESC, 1"
        ).fetchall()

    def jobs(self, host: str, most: int, index: int = 0, count: int = 1) -> list[Job]:
        """The next URLs of a host that wait, by `due`: part `index` (0 to count - 1) of `count`."""
        rows = self._db.execute(
            "SELECT number, url, host, attempts, due, etag, last_modified, file FROM urls"
            " WHERE host = ? AND state = 'waiting' AND number % ? = ? ORDER BY due, number LIMIT ?",
            (host, count, index, most),
        )
        return [Job(*row) for row in rows]

    def known(self, url: str) -> Known | None:
        """What became of a URL."""
        row = self._db.execute(
            "SELECT state, reason, file, sha256, size, fetched_at FROM urls WHERE url = ?", (url,)
        ).fetchone()
        return Known(*row) if row else None

    def counts(self) -> list[tuple[str, str | None, int]]:
        """State, reason and number of URLs of the list."""
        return self._db.execute(
            "SELECT state, reason, count(*) FROM urls WHERE listed = ? GROUP BY state, reason",
            (self._noted("generation"),),
        ).fetchall()

    def fetched(
        self,
        job: Job,
        *,
        status: int | None,
        file: str,
        sha256: str,
        size: int,
        etag: str | None,
        last_modified: str | None,
        final_url: str | None,
        fetched_at: str,
        batch: int,
    ) -> None:
        """The photo of this URL is in its file."""
        self._db.execute(
            "UPDATE urls SET state = 'fetched', attempts = attempts + 1, status = ?, reason = NULL, error = NULL,"
            " file = ?, sha256 = ?, size = ?, etag = ?, last_modified = ?, final_url = ?, fetched_at = ?, batch = ?"
            " WHERE number = ?",
            (status, file, sha256, size, etag, last_modified, final_url, fetched_at, batch, job.number),
        )

    def unchanged(self, job: Job) -> None:
        """The host says that the photo is the one that is there."""
        self._db.execute(
            "UPDATE urls SET state = 'fetched', attempts = attempts + 1, status = 304, reason = NULL, error = NULL"
            " WHERE number = ?",
            (job.number,),
        )

    def missed(self, job: Job, error: NotFetched, due: float | None) -> None:
        """The photo was not to be had; `due`: when to ask again in this round, None for not at all.

        A photo that is there from an earlier fetch is kept when a later one fails, and not when a rule refuses it.
        """
        reason = reason_of(error.word)
        if due is not None:
            state = "waiting"
        elif reason.status == "failed" and job.file is not None:
            state = "fetched"
        else:
            state = reason.status if reason.again == "never" else "later"
        asked = error.word not in ("terms", "host-failing")
        self._db.execute(
            "UPDATE urls SET state = ?, attempts = attempts + ?, due = ?, status = ?, reason = ?, error = ?"
            " WHERE number = ?",
            (state, asked, due or 0.0, error.http_status, error.word, error.detail[:500], job.number),
        )

    def refuse_terms(self, host: str) -> None:
        """None of the URLs of a host is asked for: its terms are not acknowledged."""
        self._db.execute(
            "UPDATE urls SET state = 'refused', reason = 'terms', error = ? WHERE host = ? AND state = 'waiting'",
            (f"the terms of {host} are not acknowledged", host),
        )

    def next_batch(self) -> int:
        """The number for the files that are written from now on."""
        return int(self._db.execute("SELECT coalesce(max(batch), 0) + 1 FROM urls").fetchone()[0])

    def settle(self, batch: int) -> None:
        """All files up to this batch are on the disk."""
        self._note("settled", str(batch))

    def unsettled(self) -> Iterator[tuple[int, str, str, int]]:
        """Number, file, sha256 and size of the fetched URLs whose files may have been lost with the machine's power."""
        last, settled = 0, int(self._noted("settled") or 0)
        while rows := self._db.execute(
            "SELECT number, file, sha256, size FROM urls"
            " WHERE number > ? AND state = 'fetched' AND batch > ? ORDER BY number LIMIT ?",
            (last, settled, _ROWS_AT_ONCE),
        ).fetchall():
            yield from rows
            last = rows[-1][0]

    def lost(self, number: int) -> None:
        """The file of this URL is not what it should be: it is asked for again."""
        self._db.execute(
            f"UPDATE urls SET {_AGAIN}, file = NULL, etag = NULL, last_modified = NULL WHERE number = ?", (number,)
        )

    def robots(self, origin: str, now: float) -> str | None:
        """robots.txt of an origin as kept, None where there is none or it is too old."""
        row = self._db.execute("SELECT content FROM robots WHERE origin = ? AND expires > ?", (origin, now)).fetchone()
        return str(row[0]) if row else None

    def keep_robots(self, origin: str, content: str, expires: float) -> None:
        """Keeps the robots.txt of an origin; `expires` in seconds since 1970."""
        self._db.execute("INSERT OR REPLACE INTO robots VALUES (?, ?, ?)", (origin, content, expires))

    def _count(self, where: str, *values: Any) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM urls WHERE {where}", values).fetchone()[0])

    def _noted(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _note(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
