"""The manifest in other forms: class folders anywhere, CSV, JSON lines."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from handlens.dataset.errors import DatasetError
from handlens.dataset.files import atomic_file, link_or_copy
from handlens.dataset.folders import folder_name
from handlens.dataset.manifest import COLUMNS, Row
from handlens.dataset.source import Source, below, open_source
from handlens.safe_text import csv_cell

__all__ = ["ExportSettings", "ExportSummary", "export_folders", "export_table"]

_LEFT_OUT: Final = frozenset({"refused", "failed", "odd", "duplicate", "unused", "unprepared"})
_NAMES: Final = tuple(column.name for column in COLUMNS)
_LISTED: Final = ("file", "label", "group", "split", "author", "licence", "licence_url", "credit", "source")


class ExportSettings(BaseModel):
    """Settings of `export_folders`.

    `split`: only the rows of this split; None for all. `photos`: the prepared files, or the originals. `copies`: files
    of their own in place of hard links, so that changing one does not change the workspace's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str | None = None
    photos: Literal["prepared", "original"] = "prepared"
    copies: bool = False


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written: the folder, `photos` in it, and rows that had no such photo (`missing`)."""

    folder: Path
    photos: int
    missing: int


def export_folders(source: Path, out: Path, settings: ExportSettings) -> ExportSummary:
    """Makes OUT/<label>/<file>, or OUT/<split>/<label>/<file> where rows have splits and all of them are wanted.

    `source`: a workspace, a manifest file or a class-folder tree. The rows in the data set are exported: not those that
    were refused, failed, set aside, cut or are duplicates. Names of folders are made from the labels by `folder_name`.
    `manifest.csv` in `out` says label, group, split, author and licence of every file, and `handlens train` reads it.
    Files of the same name are replaced, others in `out` stay; it can be run again after it was killed.
    Raises DatasetError and its kind for the source, or where no row has such a photo; OSError for `out`.
    """
    opened = open_source(source)
    photos = missing = 0
    with atomic_file(out / "manifest.csv") as file:
        file.write(_csv_line(_LISTED).encode())
        for row in opened.rows():
            if row.status in _LEFT_OUT or (settings.split is not None and row.split != settings.split):
                continue
            photo = _photo(opened, row, settings)
            if photo is None or not photo.is_file():
                missing += 1
                continue
            target = _target(row, photo, settings)
            _put(photo, out / target, settings)
            file.write(_csv_line(_listed(row, target)).encode("utf-8", "backslashreplace"))
            photos += 1
        if not photos:
            wanted = "" if settings.split is None else f" in split {settings.split}"
            raise DatasetError(f"{source}: has no photo to export{wanted}")
    return ExportSummary(out, photos, missing)


def export_table(source: Path, out: Path) -> int:
    """Writes all rows and columns as CSV (`out` ends in .csv) or JSON lines (.jsonl); returns the number of rows.

    In JSON, lists are lists and what is not known is null. In CSV, lists are JSON, what is not known is empty, and a
    text that a spreadsheet would take for a formula gets an apostrophe. Raises DatasetError and its kind; OSError.
    """
    if out.suffix not in (".csv", ".jsonl"):
        raise DatasetError(f"{out}: give a name that ends in .csv or .jsonl")
    rows, count = open_source(source).rows(), 0
    with atomic_file(out) as file:
        if out.suffix == ".csv":
            file.write(_csv_line(_NAMES).encode())
        for row in rows:
            count += 1
            line = _csv_line(_cells(row)) if out.suffix == ".csv" else _json_line(row)
            # Names of files in a tree need not be text.
            file.write(line.encode("utf-8", "backslashreplace"))
    return count


def _listed(row: Row, target: Path) -> list[str]:
    told = (row.label, row.group or row.id, row.split or "train", row.author, row.licence, row.licence_url, row.credit)
    return [target.as_posix(), *(_cell(value) for value in (*told, row.page or row.url or row.path))]


def _photo(source: Source, row: Row, settings: ExportSettings) -> Path | None:
    if settings.photos == "original" or source.table is None:  # a tree has nothing prepared
        return source.photo(row.file, row.path)
    return None if row.processed is None else below(source.root, row.processed)


def _target(row: Row, photo: Path, settings: ExportSettings) -> Path:
    label = Path(folder_name(row.label)) / folder_name(f"{row.id}{photo.suffix.lower()}")
    return label if row.split is None or settings.split is not None else Path(folder_name(row.split)) / label


def _put(photo: Path, target: Path, settings: ExportSettings) -> None:
    if not settings.copies:
        link_or_copy(photo, target)
        return
    with photo.open("rb") as content, atomic_file(target) as copy:
        shutil.copyfileobj(content, copy)


def _cells(row: Row) -> list[str]:
    return [_cell(getattr(row, name)) for name in _NAMES]


def _cell(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return csv_cell(value) if isinstance(value, str) else str(value)


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _json_line(row: Row) -> str:
    return json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n"
