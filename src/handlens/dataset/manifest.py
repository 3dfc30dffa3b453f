"""The manifest: one Parquet table that says of every row of the list where it came from and what became of it.

Every stage writes the same columns and fills in its own; what is not known yet is null. No row is ever dropped after
`filter`, so the counts of `status` add up to the list. Columns, types and meanings are `COLUMNS`, which the
documentation and the Croissant description are made from. The file's own metadata (key `handlens`) holds
`TableInfo` as JSON: the stage, the settings it ran with and the digest of what it read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from handlens.dataset.errors import BadManifestError
from handlens.dataset.files import atomic_file

__all__ = [
    "COLUMNS",
    "FORMAT",
    "SCHEMA",
    "Column",
    "Row",
    "Status",
    "TableInfo",
    "read_info",
    "read_rows",
    "write_rows",
]

FORMAT: Final = 1
ROWS_AT_ONCE: Final = 10_000
"""Rows held in memory while a table is read or written: a row group of the file."""

ROWS_AS_OBJECTS: Final = 1_000
"""Of those, how many are `Row` at once while a table is read; they are ten times as large as in the table."""

Status = Literal[
    "listed",  # filter: selected, not asked for yet
    "fetched",  # download: the file is in images/
    "refused",  # download: a rule forbids it (`reason`: robots, noai, terms, private-address, too-large, ...)
    "failed",  # download: asked for and not got (`reason`: http-404, timeout, ...)
    "odd",  # check: set aside in images_odd/ (`reason` names the first of `flags` that counts)
    "duplicate",  # check: the same picture as row `duplicate_of`, which stays
    "checked",  # check: nothing against it
    "unused",  # balance: cut, in images_unused/
    "kept",  # balance: in the data set; `split` says where once that stage has run
    "prepared",  # prepare: `processed` is the file to train from
    "unprepared",  # prepare: could not be made (`reason`)
]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list; see `COLUMNS` for what each field means. Frozen: a stage makes a changed copy."""

    id: str
    label: str
    status: Status
    reason: str | None = None
    title: str | None = None
    also: tuple[str, ...] = ()
    source: str | None = None
    url: str | None = None
    path: str | None = None
    page: str | None = None
    author: str | None = None
    licence: str | None = None
    licence_url: str | None = None
    credit: str | None = None
    given_group: str | None = None
    file: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    fetched_at: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    pixel_hash: str | None = None
    perceptual_hash: str | None = None
    sharpness: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    text: float | None = None
    colour: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    group: str | None = None
    duplicate_of: str | None = None
    conflicts: tuple[str, ...] = ()
    split: str | None = None
    processed: str | None = None
    box: tuple[int, ...] = ()
    specimen_area: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the manifest: its name, Arrow type, the stage that fills it, and what it means."""

    name: str
    type: pa.DataType
    stage: str
    meaning: str


_TEXT, _TEXTS, _WHOLE, _REAL = pa.string(), pa.list_(pa.string()), pa.int64(), pa.float64()

COLUMNS: Final = (
    Column("id", _TEXT, "filter", "the row's name: 16 hex digits of the sha256 of its URL or path"),
    Column("label", _TEXT, "filter", "canonical name of the mineral"),
    Column("status", _TEXT, "every stage", f"what became of the row: {', '.join(get_args(Status))}"),
    Column("reason", _TEXT, "every stage", "why it is refused, failed, odd or unprepared: one word"),
    Column("title", _TEXT, "filter", "the label as the source gives it"),
    Column("also", _TEXTS, "filter", "other minerals that the title names, canonical"),
    Column("source", _TEXT, "filter", "which source of the configuration the row comes from"),
    Column("url", _TEXT, "filter", "address of the photo"),
    Column("path", _TEXT, "filter", "path of a photo of a local folder, in place of url"),
    Column("page", _TEXT, "filter", "address of the page that describes the photo"),
    Column("author", _TEXT, "filter", "who made the photo, as the source says"),
    Column("licence", _TEXT, "filter", "short name of the licence, as the source says"),
    Column("licence_url", _TEXT, "filter", "address of the licence's text"),
    Column("credit", _TEXT, "filter", "the attribution that the source asks for"),
    Column("given_group", _TEXT, "filter", "group named by the source: photos of one specimen, one upload"),
    Column("file", _TEXT, "download", "the file as downloaded, below the workspace"),
    Column("sha256", _TEXT, "download", "sha256 of the file, in hex"),
    Column("bytes", _WHOLE, "download", "size of the file"),
    Column("fetched_at", _TEXT, "download", "when it was fetched, ISO 8601 in UTC"),
    Column("format", _TEXT, "check", "what the content is: JPEG, MPO, PNG, ..."),
    Column("width", _WHOLE, "check", "pixels, upright"),
    Column("height", _WHOLE, "check", "pixels, upright"),
    Column("pixel_hash", _TEXT, "check", "hash of the decoded pixels: equal for the same picture in another file"),
    Column("perceptual_hash", _TEXT, "check", "hash of what the picture looks like, in hex"),
    Column("sharpness", _REAL, "check", "0 (blurred) to 1 (sharp)"),
    Column("brightness", _REAL, "check", "0 (black) to 1 (white)"),
    Column("contrast", _REAL, "check", "0 (one colour) to 1"),
    Column("text", _REAL, "check", "0 (a picture) to 1 (a card with text)"),
    Column("colour", pa.list_(_REAL), "check", "mean red, green and blue, 0 to 1"),
    Column("flags", _TEXTS, "check", "everything that is odd about the photo"),
    Column("group", _TEXT, "check", "photos that no split may part: near-duplicates, one upload, one specimen"),
    Column("duplicate_of", _TEXT, "check", "id of the row that shows the same picture and stays"),
    Column("conflicts", _TEXTS, "check", "other labels that the same picture carries elsewhere in the list"),
    Column("split", _TEXT, "split", "train, validation or test"),
    Column("processed", _TEXT, "prepare", "the prepared file, below the workspace"),
    Column("box", pa.list_(_WHOLE), "prepare", "where the specimen is: left, top, right, bottom in pixels"),
    Column("specimen_area", _REAL, "prepare", "share of the photo that is specimen, 0 to 1"),
)

SCHEMA: Final = pa.schema([pa.field(column.name, column.type) for column in COLUMNS])

_LISTS: Final = tuple(column.name for column in COLUMNS if pa.types.is_list(column.type))
_KEY: Final = b"handlens"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """How a table came about: `stage`, its `settings` as JSON values, and `inputs`, digests of what it was made from.

    A stage whose table has the same `TableInfo` as the one it would write is done.
    """

    stage: str
    settings: dict[str, Any]
    inputs: tuple[str, ...] = ()


def write_rows(path: Path, rows: Iterable[Row], info: TableInfo) -> int:
    """Writes a table in one piece (it is there whole or not at all) and in bounded memory; returns its rows.

    Equal rows in equal order and equal `info` give equal bytes. Raises OSError.
    """
    told = {"format": FORMAT, "stage": info.stage, "settings": info.settings, "inputs": list(info.inputs)}
    schema = SCHEMA.with_metadata({_KEY: json.dumps(told, sort_keys=True)})
    count = 0
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == ROWS_AT_ONCE:
                count += _write(writer, batch, schema)
        count += _write(writer, batch, schema)
    return count


def _write(writer: pq.ParquetWriter, batch: list[Row], schema: pa.Schema) -> int:
    written = len(batch)
    columns = {field.name: [getattr(row, field.name) for row in batch] for field in schema}
    writer.write_table(pa.table(columns, schema=schema))
    batch.clear()
    return written


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table, in order and in bounded memory. Raises BadManifestError, or OSError where there is none."""
    read_info(path)
    with _reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        # One row group at a time, and not in threads: iter_batches and threads each hold 50 MB more.
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=SCHEMA.names, use_threads=False)
            for start in range(0, len(table), ROWS_AS_OBJECTS):
                yield from _rows(table.slice(start, ROWS_AS_OBJECTS))


def _rows(table: pa.Table) -> list[Row]:
    columns: list[list[Any]] = [table.column(name).to_pylist() for name in _NAMES]
    for place in _LIST_PLACES:
        columns[place] = [tuple(value or ()) for value in columns[place]]
    return [Row(*values) for values in zip(*columns, strict=True)]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what Arrow raises for a damaged file, a plain OSError or ValueError as often as not, into our own."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise BadManifestError(f"{path}: is no Parquet table, or a damaged one: {error}") from error


_NAMES: Final = tuple(field.name for field in dataclasses.fields(Row))
_LIST_PLACES: Final = tuple(place for place, name in enumerate(_NAMES) if name in _LISTS)


def read_info(path: Path) -> TableInfo:
    """How a table came about. Raises BadManifestError, or OSError where there is none."""
    with _reading(path):
        schema = pq.read_schema(path)
    stored = (schema.metadata or {}).get(_KEY)
    try:
        told = json.loads(stored) if stored else {}
        if told.get("format") != FORMAT or not schema.remove_metadata().equals(SCHEMA):
            raise BadManifestError(f"{path}: is no Handlens manifest of format {FORMAT}")
        return TableInfo(told["stage"], told["settings"], tuple(told["inputs"]))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadManifestError(f"{path}: its metadata cannot be read: {error}") from error
