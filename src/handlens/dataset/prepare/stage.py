"""The stage `prepare`: every photo of the data set as a file to train from, and the table that says which."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow.parquet as pq
from tqdm import tqdm

from handlens.dataset.errors import BadManifestError
from handlens.dataset.files import TEMPORARY_PREFIX, atomic_file
from handlens.dataset.folders import folder_name
from handlens.dataset.manifest import Row, TableInfo, read_info, read_rows
from handlens.dataset.prepare.journal import Journal
from handlens.dataset.prepare.localiser import localiser_digest
from handlens.dataset.prepare.pool import Pool
from handlens.dataset.prepare.settings import PrepareSettings
from handlens.dataset.prepare.table import with_manifest
from handlens.dataset.prepare.work import Job, Outcome
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.workspace import Workspace
from handlens.processors import processors

__all__ = ["PrepareSummary", "prepare"]

MANIFEST: Final = "manifest.csv"
NO_FILE: Final = "no-file"
_RECIPE: Final = 1
"""To be raised when the same settings come to mean other pixels."""
_OURS: Final = re.compile(r"[0-9a-f]{16}\.(png|jpg)|" + re.escape(TEMPORARY_PREFIX) + ".*")


@dataclass(frozen=True, slots=True)
class PrepareSummary:
    """Photos that are prepared, how many of them this run made, those that could not be by reason, files removed."""

    prepared: int
    made: int
    unprepared: dict[str, int]
    removed: int


def prepare(
    workspace: Workspace,
    settings: PrepareSettings,
    *,
    shard: Shard = WHOLE,
    progress: bool = False,
    workers: int | None = None,
) -> PrepareSummary:
    """Makes images_processed/<split>/<label>/<id>.png or .jpg of every row `kept`; it becomes `prepared`.

    A photo that cannot be read becomes `unprepared` with the reason. Files that are whole and made from the same photo
    by the same settings are used again; those of other settings, and of rows that are not kept any more, are removed.
    `workers`: processes, by default one for each processor. Raises MissingStageError, BadLocaliserError, OSError.
    """
    told: dict[str, Any] = settings.model_dump(mode="json") | {"recipe": _RECIPE}
    if settings.mode == "specimen":
        told["localiser"] = localiser_digest()
    info = workspace.info("prepare", told)
    run = _Run(workspace, settings, shard, info)
    if not run.is_done():
        run.make(workers or processors(), progress)
    prepared, unprepared = _counts(workspace.table("prepare", shard))
    return PrepareSummary(prepared, run.made, unprepared, run.removed)


class _Run:
    """One run of the stage. `made`, `removed`: files so far."""

    def __init__(self, workspace: Workspace, settings: PrepareSettings, shard: Shard, info: TableInfo) -> None:
        self._workspace, self._settings, self._shard, self._info = workspace, settings, shard, info
        self._manifest = workspace.processed / MANIFEST
        self.made = self.removed = 0

    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        whole = self._shard.count == 1
        return self._workspace.is_done(self._info, self._shard) and (not whole or self._manifest.is_file())

    def make(self, workers: int, progress: bool) -> None:
        """Makes what is missing, then the table."""
        self._withdraw()
        own = self._workspace.table("prepare", self._shard).with_suffix(".sqlite")
        settings = hashlib.sha256(json.dumps(self._info.settings, sort_keys=True).encode()).hexdigest()
        with Journal(own, settings) as journal:
            others = [path for path in sorted(own.parent.glob("prepare*.sqlite")) if path != own]
            journal.take_over(others)
            pool = Pool(self._workspace.root, self._settings, workers)
            rows = self._finished(pool.run(self._pairs(journal)), journal)
            if self._shard.count == 1:
                rows = self._with_manifest(rows, journal)
            self._workspace.write(tqdm(rows, "prepare", unit=" rows", disable=not progress), self._info, self._shard)

    def _withdraw(self) -> None:
        """Removes tables of other settings or inputs: their files are about to be replaced, one by one."""
        for table in self._workspace.stages.glob("prepare*.parquet"):
            try:
                same = read_info(table) == self._info
            except BadManifestError:
                same = False
            if not same:
                table.unlink()
        if not self._workspace.table("prepare").is_file():
            self._manifest.unlink(missing_ok=True)

    def _pairs(self, journal: Journal) -> Iterator[tuple[Row, Job | None]]:
        """The rows of this run, with a job where there is something to do."""
        merged = _Merged(self._workspace.finished_shards(self._info) if self._shard.count == 1 else ())
        for row in self._workspace.rows_before("prepare"):
            if row.status != "kept":
                if self._shard.count == 1:
                    yield row, None
            elif self._shard.owns(row.id):
                made = merged.row(row)
                if made is not None and (not made.processed or (self._workspace.root / made.processed).is_file()):
                    yield made, None
                elif row.file is None or PurePosixPath(row.file).is_absolute() or ".." in PurePosixPath(row.file).parts:
                    yield replace(row, status="unprepared", reason=NO_FILE), None
                else:
                    target = self._target(row)
                    yield row, Job(row.file, target, journal.known(target, row.sha256) if row.sha256 else None)

    def _target(self, row: Row) -> str:
        folders = (self._workspace.processed.name, folder_name(row.split or "train"), folder_name(row.label))
        return "/".join((*folders, f"{folder_name(row.id)}.{self._settings.suffix}"))

    def _finished(self, done: Iterator[tuple[Row, Outcome | None]], journal: Journal) -> Iterator[Row]:
        for row, outcome in done:
            if outcome is None:
                finished = row
            elif outcome.reason is not None:
                finished = replace(row, status="unprepared", reason=outcome.reason)
            else:
                target = self._target(row)
                if outcome.fresh:
                    self.made += 1
                    journal.note(target, row.sha256 or "", outcome)
                finished = replace(
                    row, status="prepared", processed=target, box=outcome.box, specimen_area=outcome.area
                )
            if finished.processed:
                journal.want(finished.processed)
            yield finished

    def _with_manifest(self, rows: Iterator[Row], journal: Journal) -> Iterator[Row]:
        with atomic_file(self._manifest) as file:
            yield from with_manifest(rows, file, self._workspace.processed.name, self._settings.mode)
        self.removed = _remove_others(self._workspace.processed, journal)
        journal.forget_unwanted()


class _Merged:
    """The rows of the tables of all shards, each in the order of the whole."""

    def __init__(self, tables: tuple[Path, ...]) -> None:
        self._shards = [Shard(index + 1, len(tables)) for index in range(len(tables))]
        self._rows = [read_rows(table) for table in tables]

    def row(self, row: Row) -> Row | None:
        """The row as its shard left it, None where there are no shards. Raises BadManifestError for a wrong table."""
        for shard, rows in zip(self._shards, self._rows, strict=True):
            if shard.owns(row.id):
                made = next(rows, None)
                if made is None or made.id != row.id:
                    raise BadManifestError(f"the table of shard {shard} lacks row {row.id}: run that shard again")
                return made
        return None


def _remove_others(folder: Path, journal: Journal) -> int:
    """Removes prepared files that do not belong to the data set, what killed runs left, and folders then empty."""
    removed = 0
    for place, _, names in os.walk(folder, topdown=False):
        below = Path(place).relative_to(folder.parent).as_posix()
        for name in names:
            if _OURS.fullmatch(name) and not journal.is_wanted(f"{below}/{name}"):
                Path(place, name).unlink()
                removed += 1
        if not any(os.scandir(place)):
            Path(place).rmdir()
    return removed


def _counts(table: Path) -> tuple[int, dict[str, int]]:
    """Photos prepared, and those that could not be, by reason; only the two columns are read."""
    counts: Counter[tuple[str, str]] = Counter()
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(columns=["status", "reason"]):
            counts.update(zip(batch.column("status").to_pylist(), batch.column("reason").to_pylist(), strict=True))
    prepared = sum(count for (status, _), count in counts.items() if status == "prepared")
    return prepared, {reason: count for (status, reason), count in counts.most_common() if status == "unprepared"}
