"""One row of the journal, and a shard of them as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from handlens.batch.plan import inputs_digest
from handlens.batch.units import Answer, Failure, Outcome, Unit
from handlens.dataset.files import atomic_file

__all__ = ["COLUMNS", "Record", "read_records", "write_records"]

_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("inputs", pa.string(), nullable=False),
        pa.field("stamps", pa.list_(pa.string()), nullable=False),
        pa.field("sha256", pa.list_(pa.string()), nullable=False),
        pa.field("document", pa.string()),
        pa.field("name", pa.string()),
        pa.field("rank", pa.string()),
        pa.field("probability", pa.float64()),
        pa.field("unknown_score", pa.float64()),
        pa.field("scores", pa.binary()),
        pa.field("embedding", pa.binary()),
        pa.field("thumbnail", pa.binary()),
        pa.field("error_photo", pa.binary()),
        pa.field("error_type", pa.string()),
        pa.field("error_detail", pa.binary()),
    ]
)
COLUMNS: Final = tuple(_SCHEMA.names)
_DIGEST: Final = b"handlens.run"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a unit. `inputs`: digest of what its answer depends on beside the photos' content."""

    key: bytes
    inputs: str
    stamps: tuple[str, ...]
    sha256: tuple[str, ...]
    result: Answer | Failure

    @classmethod
    def of(cls, unit: Unit, outcome: Outcome, before: Record | None) -> Record:
        """Of an outcome; where it says that nothing has changed, the result is that of `before`."""
        result = outcome.result
        if result is None:
            assert before is not None
            result = before.result
        return cls(unit.key, inputs_digest(unit), tuple(one.stamp for one in unit.photos), outcome.sha256, result)

    def stands(self, unit: Unit) -> bool:
        """Whether neither the unit nor the stamps of its photos have changed, and its photos could be read."""
        stamps = tuple(one.stamp for one in unit.photos)
        return self.may_stand(unit) and self.stamps == stamps and all(stamps)

    def may_stand(self, unit: Unit) -> bool:
        """Whether only the photos' content can have changed."""
        return self.inputs == inputs_digest(unit) and len(self.sha256) == len(unit.photos)


def write_records(path: Path, digest: str, records: Sequence[Record]) -> None:
    """Writes a shard, whole or not at all. Raises OSError, ArrowException."""
    table = pa.Table.from_pylist([_row(record) for record in records], schema=_SCHEMA)
    table = table.replace_schema_metadata({_DIGEST: digest.encode()})
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_records(path: Path, digest: str, columns: Sequence[str] = COLUMNS) -> list[Record] | None:
    """The rows of a shard with this digest; None where there is none that can be read.

    `columns`: those to read of the results; what is not read is empty.
    """
    needed = dict.fromkeys(("key", "inputs", "stamps", "sha256", "error_type", *columns))
    try:
        with pq.ParquetFile(path) as file:
            if (file.schema_arrow.metadata or {}).get(_DIGEST) != digest.encode():
                return None
            rows = file.read(columns=list(needed)).to_pylist()
    except (OSError, pa.ArrowException):  # not there, or damaged: it is made anew
        return None
    return [_record(row) for row in rows]


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": record.key,
        "inputs": record.inputs,
        "stamps": list(record.stamps),
        "sha256": list(record.sha256),
    }
    result = record.result
    if isinstance(result, Failure):
        return row | {
            "error_photo": result.photo.encode("utf-8", "surrogateescape"),
            "error_type": result.code,
            "error_detail": result.detail.encode("utf-8", "surrogateescape"),
        }
    return row | {name: getattr(result, name) for name in Answer.__dataclass_fields__}


def _record(row: dict[str, Any]) -> Record:
    result: Answer | Failure
    if row["error_type"] is not None:
        photo, detail = ((row.get(name) or b"").decode("utf-8", "surrogateescape") for name in _FAILURE)
        result = Failure(photo, row["error_type"], detail)
    else:
        empty: dict[str, Any] = {"document": "", "name": "", "rank": "", "probability": 0.0, "unknown_score": 0.0}
        empty |= {"scores": b"", "embedding": b"", "thumbnail": b""}
        result = Answer(**{name: row.get(name, default) for name, default in empty.items()})
    return Record(row["key"], row["inputs"], tuple(row["stamps"]), tuple(row["sha256"]), result)


_FAILURE: Final = ("error_photo", "error_detail")
