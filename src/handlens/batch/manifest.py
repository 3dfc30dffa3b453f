"""A table of photos, CSV or Parquet, in which every row is a photo and every other column is kept.

file         (or photo, path, filename, url) the photo: a path below the table's folder, an absolute path or a URL
specimen     (or specimen_id) photos with the same one are of one specimen
label        what somebody called it: it is kept, compared with, and looked at for mistakes
hardness …   the tests, named as `handlens identify` names them; as `test_NAME` too, which a steel `file` needs
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handlens.batch.errors import BadSourceError
from handlens.batch.local_files import file_ref
from handlens.batch.units import Listed, PhotoRef
from handlens.field_tests import CHOICES

__all__ = ["Manifest", "open_manifest"]

_FILE: Final = ("file", "photo", "path", "filename", "url")
_SPECIMEN: Final = ("specimen", "specimen_id")
_TESTS: Final = ("hardness", "gravity", *CHOICES)
_DELIMITERS: Final = ",;\t"
_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """An opened table. `columns`: its own columns and their types: string, int64, double or bool."""

    path: Path
    file: str
    specimen: str | None
    label: str | None
    tests: Mapping[str, str]
    columns: Mapping[str, str]

    def photos(self) -> Iterator[Listed]:
        """The rows, in their order. Raises BadSourceError."""
        for number, row in enumerate(_rows(self.path), 1):
            name = _text(row.get(self.file))
            yield Listed(
                self._photo(name, number),
                specimen=_text(row.get(self.specimen)) if self.specimen else "",
                label=_text(row.get(self.label)) if self.label else "",
                evidence={test: text for column, test in self.tests.items() if (text := _text(row.get(column)))},
                columns={name: _value(row.get(name), kind) for name, kind in self.columns.items()},
            )

    def _photo(self, name: str, number: int) -> PhotoRef:
        if not name or "\0" in name:
            return PhotoRef(f"(row {number})", "file", "", refusal="not-found")
        if "://" in name:
            return PhotoRef(name, "url", name)
        return file_ref(os.path.join(self.path.parent.absolute(), name), name)  # noqa: PTH118 - keeps what is no path


def open_manifest(path: Path) -> Manifest:
    """Looks at the header. Raises BadSourceError where no column names the photos."""
    types = _types(path)
    # Names are compared without case and blanks at their ends, as spreadsheets are written by hand.
    plain = {name.strip().casefold(): name for name in types}
    file = next((plain[name] for name in _FILE if name in plain), None)
    if file is None:
        raise BadSourceError(f"{path}: no column names the photos: one of {', '.join(_FILE)} is needed")
    specimen = next((plain[name] for name in _SPECIMEN if name in plain), None)
    label = plain.get("label")
    tests = {plain[name]: test for test in _TESTS for name in (test, f"test_{test}") if name in plain}
    tests.pop(file, None)
    taken = {file, specimen, label}
    return Manifest(
        path, file, specimen, label, tests, {name: kind for name, kind in types.items() if name not in taken}
    )


def _types(path: Path) -> dict[str, str]:
    if path.suffix.lower() == ".parquet":
        schema = _parquet(path).schema_arrow
        known = {"int64": "int64", "int32": "int64", "int16": "int64", "int8": "int64", "double": "double"}
        known |= {"float": "double", "bool": "bool"}
        names = list(schema.names)
        types = {field.name: known.get(str(field.type), "string") for field in schema}
    else:
        with _lines(path) as lines:
            names = next(_reader(path, lines), [])
        types = dict.fromkeys(names, "string")
    if len(types) != len(names) or not names:
        raise BadSourceError(f"{path}: the header is empty or names a column twice")
    return types


def _rows(path: Path) -> Iterator[_Row]:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa

        try:
            for batch in _parquet(path).iter_batches(4096):
                yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise BadSourceError(f"{path}: cannot be read: {error}") from error
        return
    try:
        with _lines(path) as lines:
            reader = _reader(path, lines)
            header = next(reader, [])
            for row in reader:
                if row:
                    yield dict(zip(header, row, strict=False))
    except UnicodeDecodeError as error:
        raise BadSourceError(f"{path}: is not UTF-8 text: {error.reason}") from error
    except (OSError, csv.Error) as error:
        raise BadSourceError(f"{path}: cannot be read: {error}") from error


def _lines(path: Path) -> Any:
    try:
        # Spreadsheets put a byte-order mark before the first column's name.
        return path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise BadSourceError(f"{path}: cannot be read: {error}") from error


def _reader(path: Path, lines: Any) -> Iterator[list[str]]:
    try:
        first = lines.readline()
    except UnicodeDecodeError as error:
        raise BadSourceError(f"{path}: is not UTF-8 text: {error.reason}") from error
    lines.seek(0)
    return csv.reader(lines, delimiter=max(_DELIMITERS, key=first.count), strict=True)


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise BadSourceError(f"{path}: cannot be read as Parquet: {error}") from error


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():  # what a table with gaps makes of whole numbers
        value = int(value)
    return "" if value is None else str(value).strip()


def _value(value: object, kind: str) -> str | int | float | bool | None:
    if value is None or kind == "string":
        return None if value is None else str(value)
    assert isinstance(value, int | float | bool)
    return value
