"""The folder in which a data set is made, and the tables of its stages.

    WORKSPACE/
        images/                   as downloaded, named by content: images/ab/ab12....jpg; never changed, never deleted
        images_samples/<label>/   some of each label, for viewing
        images_odd/<reason>/      set aside by `check`; reasons.csv lists every flag
        images_unused/<label>/    cut by `balance`
        images_processed/<split>/<label>/   prepared, with a manifest.csv that `handlens train` reads
        stages/                   journals (download.sqlite, ...) and a table a stage: filter.parquet, ...
        manifest.parquet          the last table, with croissant.json, credits.csv and report.html beside it

Files of images_samples, images_odd and images_unused are hard links of those in images/ (copies where a file system has
none), so that setting a photo aside moves nothing, and a stage can be run again with other settings.

A stage run with `--shard i/n` writes `stages/STAGE.i-of-n.parquet`; the stage itself, run without, takes the tables of
its shards where they are complete. Each table says what it was made from, so a stage that is done is not done again,
and one whose settings or inputs changed is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handlens.dataset.errors import BadManifestError, MissingStageError
from handlens.dataset.files import file_digest
from handlens.dataset.manifest import Row, TableInfo, read_info, read_rows, write_rows
from handlens.dataset.shards import WHOLE, Shard

__all__ = ["STAGES", "Workspace"]

STAGES: Final = ("filter", "download", "check", "balance", "split", "prepare")
"""The stages that write a table, in order."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one data set, see above."""

    root: Path

    @property
    def images(self) -> Path:
        """Photos as downloaded."""
        return self.root / "images"

    @property
    def samples(self) -> Path:
        """Some of each label, for viewing."""
        return self.root / "images_samples"

    @property
    def odd(self) -> Path:
        """Photos set aside."""
        return self.root / "images_odd"

    @property
    def unused(self) -> Path:
        """Photos cut by balancing."""
        return self.root / "images_unused"

    @property
    def processed(self) -> Path:
        """Prepared photos."""
        return self.root / "images_processed"

    @property
    def stages(self) -> Path:
        """Tables and journals of the stages."""
        return self.root / "stages"

    @property
    def manifest(self) -> Path:
        """The last table."""
        return self.root / "manifest.parquet"

    def table(self, stage: str, shard: Shard = WHOLE) -> Path:
        """Where the table of a stage, or of a shard of it, is."""
        part = "" if shard.count == 1 else f".{shard.index}-of-{shard.count}"
        return self.stages / f"{stage}{part}.parquet"

    def inputs(self, stage: str) -> tuple[str, ...]:
        """Digest of the table that `stage` reads, for its `TableInfo`. Raises MissingStageError."""
        return (file_digest(self._needed(stage)),)

    def rows_before(self, stage: str) -> Iterator[Row]:
        """The rows that `stage` works on: the table of the stage before it. Raises MissingStageError."""
        return read_rows(self._needed(stage))

    def rows(self, stage: str) -> Iterator[Row]:
        """The rows that `stage` wrote. Raises MissingStageError."""
        if not self.table(stage).is_file():
            raise MissingStageError(f"{self.root}: run `handlens dataset {stage}` first")
        return read_rows(self.table(stage))

    def is_done(self, info: TableInfo, shard: Shard = WHOLE) -> bool:
        """Whether the table of the stage, or of a shard of it, was made with the same settings from the same inputs."""
        path = self.table(info.stage, shard)
        try:
            return path.is_file() and read_info(path) == info
        except BadManifestError:  # of an older version, or cut by a failing disk: made anew
            return False

    def write(self, rows: Iterable[Row], info: TableInfo, shard: Shard = WHOLE) -> int:
        """Writes the table of a stage, whole or not at all; returns its number of rows. Raises OSError."""
        return write_rows(self.table(info.stage, shard), rows, info)

    def finished_shards(self, info: TableInfo) -> tuple[Path, ...]:
        """The tables of all shards of a stage where all n of an n are there with this `info`, else none."""
        for first in sorted(self.stages.glob(f"{info.stage}.1-of-*.parquet")):
            count = first.name.split("-of-")[1].removesuffix(".parquet")
            if not count.isdecimal():  # somebody's copy
                continue
            shards = [Shard(index, int(count)) for index in range(1, int(count) + 1)]
            if all(self.is_done(info, shard) for shard in shards):
                return tuple(self.table(info.stage, shard) for shard in shards)
        return ()

    def info(self, stage: str, settings: dict[str, Any]) -> TableInfo:
        """What the table of `stage` will say of itself, made with `settings` from what is there now."""
        return TableInfo(stage, settings, self.inputs(stage))

    def _needed(self, stage: str) -> Path:
        if stage == STAGES[0]:
            raise ValueError(f"`{stage}` reads sources, not the table of a stage")
        before = STAGES[STAGES.index(stage) - 1]
        if not self.table(before).is_file():
            raise MissingStageError(f"{self.root}: `{stage}` needs the table of `{before}`: run that first")
        return self.table(before)
