"""The files of a run, and how a killed run goes on.

    RUN/
      run.json                 written once, first: the parameters of the run, and where its shards begin
      shards/00000.parquet …   the journal: one file a finished shard, its rows sorted by name
      plan.sqlite              the list of photos, made anew with every start and deleted at the end
      source-….tar             a packed tar, unpacked once
      lock                     held by the process that works on the run
      results.parquet .csv .jsonl, summary.json, suspects.csv, review/      made of the journal when every shard is done
      index/                   the graph of neighbours of a large run, see `similar`

A shard is there with all its rows or not at all: every file is written beside its place under a name that begins with
`.part-`, flushed to the disk and renamed. So a run may be killed at any moment; the same command goes on with what is
missing.

A shard holds the rows whose names lie between two fixed names, so photos that are added or taken away later change the
shards they fall into and no others. A row keeps the sha256 of each photo's content. With every start, finished rows are
looked through: where size and time of change of the files are as they were, the row stands; where they are not, the
photos are read, and the row is computed anew if their content, or what the manifest says of them, has changed. (Give
`--rehash` where files may change and keep size and time.) Rows whose photos could not be read are tried again.

Every shard carries the digest of the run's parameters; one with another digest, or that cannot be read, counts as
missing. What was computed with other parameters is never mixed in: `Journal.open` refuses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from handlens.batch.errors import JournalError, MixedRunError, NoRunError, RunBusyError
from handlens.batch.records import COLUMNS, Record, read_records, write_records
from handlens.bundle import Bundle
from handlens.dataset.files import TEMPORARY_PREFIX, write_atomically
from handlens.errors import UsageError

__all__ = ["FORMAT", "Journal", "bundle_digest", "held", "saving"]

FORMAT: Final = 1
_RUN: Final = "run.json"
_OURS: Final = ("run.json", "shards", "lock", "plan.sqlite", "review", "index", "summary.json", "suspects.csv")
_BEGINNINGS: Final = ("results.", "source-", "plan.sqlite", TEMPORARY_PREFIX)


@contextlib.contextmanager
def saving(what: object) -> Iterator[None]:
    """Turns what goes wrong with the disk meanwhile into JournalError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise JournalError(
            f"{what}: cannot be written: {said}. What is finished is kept: run the same command to go on"
        ) from error


@dataclass(frozen=True, slots=True)
class Journal:
    """An opened run. `bounds`: the first names of its shards but the first, as keys."""

    root: Path
    bounds: tuple[bytes, ...]
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Says which parameters the rows were computed with."""
        return hashlib.sha256(json.dumps(dict(self.parameters), sort_keys=True).encode()).hexdigest()

    @classmethod
    def at(cls, root: Path) -> Journal:
        """The run at `root`, whatever its parameters. Raises NoRunError, JournalError."""
        try:
            document = json.loads((root / _RUN).read_text("utf-8"))
            begun, starts = document["parameters"], document["starts"]
            bounds = tuple(start.encode("utf-8", "surrogateescape") for start in starts)
            if not isinstance(begun, dict):
                raise TypeError("the parameters are no object")
        except FileNotFoundError as error:
            raise NoRunError(f"{root}: there is no run here") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise JournalError(f"{root / _RUN}: cannot be read as a run: {error}") from error
        return cls(root, bounds, begun)

    @classmethod
    def open(cls, root: Path, parameters: Mapping[str, Any]) -> Journal | None:
        """The run at `root`, None where there is none yet. Raises MixedRunError, JournalError."""
        try:
            journal = cls.at(root)
        except NoRunError:
            return None
        begun = journal.parameters
        if differing := [name for name in (*parameters, *begun) if begun.get(name) != parameters.get(name)]:
            name = differing[0]
            raise MixedRunError(
                f"{root} was begun with {name} = {begun.get(name)}, and this is {parameters.get(name)}: "
                "give the same parameters to go on, or another --out to begin anew"
            )
        return journal

    @classmethod
    def begin(cls, root: Path, parameters: Mapping[str, Any], bounds: Sequence[bytes]) -> Journal:
        """A new run. Raises JournalError."""
        starts = [bound.decode("utf-8", "surrogateescape") for bound in bounds]
        with saving(root / _RUN):
            write_atomically(root / _RUN, json.dumps({"parameters": dict(parameters), "starts": starts}, indent=1))
        return cls(root, tuple(bounds), dict(parameters))

    def shard(self, number: int) -> Path:
        """Where a shard is."""
        return self.root / "shards" / f"{number:05d}.parquet"

    def records(self, number: int, columns: Sequence[str] = COLUMNS) -> list[Record] | None:
        """The rows of a finished shard, sorted; None where it is not finished."""
        return read_records(self.shard(number), self.digest, columns)

    def write(self, number: int, records: Sequence[Record]) -> None:
        """Finishes a shard. Raises JournalError."""
        with saving(self.shard(number)):
            write_records(self.shard(number), self.digest, records)


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Makes the folder of a run and holds its lock meanwhile. Raises UsageError, RunBusyError, JournalError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        foreign = [name for name in os.listdir(root) if name not in _OURS and not name.startswith(_BEGINNINGS)]  # noqa: PTH208
        if foreign and not (root / _RUN).is_file():
            raise UsageError(f"--out {root}: the folder holds other files, {foreign[0]!r} among them")
        lock: IO[bytes] = (root / "lock").open("ab")
    except OSError as error:
        raise JournalError(f"{root}: cannot be written: {error.strerror}") from error
    with lock:
        _lock(lock, root)
        for left in (*root.glob(f"{TEMPORARY_PREFIX}*"), *root.glob(f"*/{TEMPORARY_PREFIX}*")):
            with contextlib.suppress(OSError):
                left.unlink()
        yield


def _lock(file: IO[bytes], root: Path) -> None:
    try:
        import fcntl
    except ImportError:  # another system: two runs at once are then the user's to avoid
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunBusyError(f"{root}: another process works on this run") from error
    except OSError:  # a file system without locks
        return


def bundle_digest(bundle: Bundle) -> str:
    """Says which bundle it is: its manifest has the sha256 of every file."""
    return hashlib.sha256(json.dumps(bundle.manifest, sort_keys=True).encode()).hexdigest()
