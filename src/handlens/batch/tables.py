"""The results as Parquet, CSV and JSON lines, written while they are read: memory does not grow with the rows."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from handlens.batch.rows import ResultRow
from handlens.dataset.files import atomic_file
from handlens.safe_text import csv_cell

__all__ = ["Sink", "csv_table", "jsonl_table", "own_names", "parquet_table", "suspects_table"]

_ROWS_AT_ONCE: Final = 1024
_CANDIDATE: Final = pa.struct([("name", pa.string()), ("probability", pa.float64())])
_FIELDS: Final = (
    pa.field("photo", pa.string()),
    pa.field("photos", pa.list_(pa.string())),
    pa.field("specimen", pa.string()),
    pa.field("name", pa.string()),
    pa.field("rank", pa.string()),
    pa.field("probability", pa.float64()),
    pa.field("candidates", pa.list_(_CANDIDATE)),
    pa.field("prediction_set", pa.list_(pa.string())),
    pa.field("unknown_score", pa.float64()),
    pa.field("model", pa.string()),
    pa.field("error_type", pa.string()),
    pa.field("error_detail", pa.string()),
    pa.field("evidence", pa.list_(pa.string())),
    pa.field("contradictions", pa.list_(pa.string())),
    pa.field("next_test", pa.string()),
    pa.field("next_test_text", pa.string()),
    pa.field("hazards", pa.list_(pa.string())),
    pa.field("warnings", pa.list_(pa.string())),
    pa.field("label", pa.string()),
    pa.field("agrees", pa.bool_()),
    pa.field("suspected_label", pa.string()),
    pa.field("photos_left_out", pa.int64()),
    pa.field("sha256", pa.list_(pa.string())),
)
_TYPES: Final = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}


class Sink(Protocol):
    """Takes the rows in their order."""

    def add(self, row: ResultRow) -> None:
        """The next row. Raises OSError, ArrowException."""


def own_names(columns: Mapping[str, str]) -> dict[str, str]:
    """What a manifest's own columns are called in the results: one that has the name of a result begins `manifest_`."""
    taken = {field.name for field in _FIELDS}
    return {name: f"manifest_{name}" if name in taken else name for name in columns}


@contextmanager
def parquet_table(path: Path, columns: Mapping[str, str]) -> Iterator[Sink]:
    """results.parquet: lists as lists, a manifest's own columns with their types."""
    own = own_names(columns)
    schema = pa.schema([*_FIELDS, *(pa.field(own[name], _TYPES[kind]) for name, kind in columns.items())])
    with atomic_file(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        sink = _Parquet(writer, schema, own)
        yield sink
        sink.flush()


class _Parquet:
    def __init__(self, writer: Any, schema: Any, own: Mapping[str, str]) -> None:
        self._writer, self._schema, self._own = writer, schema, own
        self._rows: list[dict[str, Any]] = []

    def add(self, row: ResultRow) -> None:
        values = _values(row) | {self._own[name]: value for name, value in row.unit.columns.items()}
        self._rows.append({name: _valid(value) for name, value in values.items()})
        if len(self._rows) == _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


@contextmanager
def csv_table(path: Path, columns: Mapping[str, str], top: int) -> Iterator[Sink]:
    """results.csv: lists joined with |, candidates in numbered columns, no cell a spreadsheet takes for a formula."""
    own = own_names(columns)
    numbered = [f"{what}_{place}" for place in range(1, top + 1) for what in ("candidate", "probability")]
    names = [field.name for field in _FIELDS]
    place = names.index("candidates")
    header = [*names[:place], *numbered, *names[place + 1 :], *own.values()]
    with atomic_file(path) as file:
        writer = csv.DictWriter(_utf8(file), header, restval="", lineterminator="\n")
        # A manifest's column names are foreign text too.
        writer.writerow({name: csv_cell(name) for name in header})
        yield _Csv(writer, own)


class _Csv:
    def __init__(self, writer: Any, own: Mapping[str, str]) -> None:
        self._writer, self._own = writer, own

    def add(self, row: ResultRow) -> None:
        values = _values(row)
        for place, candidate in enumerate(values.pop("candidates", None) or (), 1):
            values |= {f"candidate_{place}": candidate["name"], f"probability_{place}": candidate["probability"]}
        values |= {self._own[name]: value for name, value in row.unit.columns.items()}
        self._writer.writerow({name: _cell(value) for name, value in values.items()})


@contextmanager
def jsonl_table(path: Path) -> Iterator[Sink]:
    """results.jsonl: the object that every door gives, one a line."""
    with atomic_file(path) as file:
        yield _Jsonl(file)


class _Jsonl:
    def __init__(self, file: Any) -> None:
        self._file = file

    def add(self, row: ResultRow) -> None:
        # ASCII only: names that are no valid text survive it.
        line = row.answer.document if row.answer else json.dumps(row.document)
        self._file.write(line.encode("ascii") + b"\n")


@contextmanager
def suspects_table(path: Path) -> Iterator[Sink]:
    """suspects.csv: photos whose label is probably wrong, the most doubtful first."""
    sink = _Suspects()
    yield sink
    with atomic_file(path) as file:
        writer = csv.writer(_utf8(file), lineterminator="\n")
        writer.writerow(("photo", "label", "suspected_label", "margin"))
        for margin, photo, label, name in sorted(sink.found):
            writer.writerow((csv_cell(photo), csv_cell(label), name, round(-margin, 6)))


class _Suspects:
    def __init__(self) -> None:
        self.found: list[tuple[float, str, str, str]] = []

    def add(self, row: ResultRow) -> None:
        if row.suspicion:
            name = _valid(row.unit.photos[0].name)
            self.found.append((-row.suspicion.margin, name, row.unit.label, row.suspicion.name))


_utf8: Final = codecs.getwriter("utf-8")


def _values(row: ResultRow) -> dict[str, Any]:
    unit, document, failure = row.unit, row.document, row.failure
    values: dict[str, Any] = {
        "photo": unit.photos[0].name,
        "photos": [photo.name for photo in unit.photos],
        "specimen": unit.specimen or None,
        "label": unit.label or None,
        "agrees": row.agrees,
        "suspected_label": row.suspicion.name if row.suspicion else None,
        "photos_left_out": unit.left_out,
        "sha256": list(row.record.sha256),
    }
    if failure is not None:
        # Of several photos, the sentence has to say which one it is about.
        about = f"{failure.photo}: " if len(unit.photos) > 1 else ""
        return values | {"error_type": failure.code, "error_detail": f"{about}{failure.detail}"}
    advised = document.get("next_test", {})
    answer: dict[str, Any] = (
        document["decision"]
        | {name: document[name] for name in ("candidates", "prediction_set", "unknown_score", "model")}
        | {
            "evidence": [f"{test}={observed}" for test, observed in document.get("evidence", {}).items()],
            "contradictions": [one["text"] for one in document.get("contradictions", [])],
            "next_test": advised.get("test"),
            "next_test_text": advised.get("text"),
            "hazards": [f"{one['mineral']}: {', '.join(one['hazards'])}" for one in document.get("hazards", [])],
            "warnings": list(document.get("warnings", [])),
        }
    )
    return values | answer


def _valid(value: Any) -> Any:
    """Text as Parquet takes it: bytes of a file name that are no text are written as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_valid(one) for one in value]
    return value


def _cell(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = "|".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return csv_cell(value) if isinstance(value, str) else value
