"""The manifest: columns and rows agree, tables come back as they went, and damage is told."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import environment
from handlens.dataset.errors import BadManifestError
from handlens.dataset.manifest import (
    COLUMNS,
    ROWS_AT_ONCE,
    SCHEMA,
    Row,
    Status,
    TableInfo,
    read_info,
    read_rows,
    write_rows,
)

INFO = TableInfo("check", {"near": 6, "flags": ["dark"], "deep": {"a": None}}, ("ab12", "cd34"))
FULL = Row(
    id="0123456789abcdef", label="quartz", status="prepared", reason="why", title="Quartz, Ágata\n", also=("agate", ""),
    source="list.csv", url="https://example.org/a.jpg", path="/a/b.jpg", page="https://example.org/", author="Ann <b>",
    licence="CC0", licence_url="https://example.org/cc0", credit="by Ann", given_group="g", file="images/ab/ab.jpg",
    sha256="ab" * 32, bytes=2**40, fetched_at="2026-01-02T03:04:05Z", format="JPEG", width=1, height=0, pixel_hash="p",
    perceptual_hash="q", sharpness=0.1, brightness=0.0, contrast=1.0, text=0.5, colour=(0.1, 0.2, 0.3), flags=("dark",),
    group="g", duplicate_of="f", conflicts=("calcite",), split="test", processed="p.png", box=(1, 2, 3, 4),
    specimen_area=0.25,
)  # fmt: skip
BARE = Row("1", "calcite", "listed")


def test_rows_and_columns_agree() -> None:
    fields = {field.name: field for field in dataclasses.fields(Row)}
    assert list(fields) == [column.name for column in COLUMNS] == SCHEMA.names
    kinds = {"str": pa.string(), "Status": pa.string(), "int": pa.int64(), "float": pa.float64()}
    for column in COLUMNS:
        said = str(fields[column.name].type).removesuffix(" | None")
        if said.startswith("tuple["):
            assert column.type == pa.list_(kinds[said.removeprefix("tuple[").removesuffix(", ...]")]), column.name
        else:
            assert column.type == kinds[said], column.name
        assert column.meaning
        assert column.stage
    assert all(
        status in next(column.meaning for column in COLUMNS if column.name == "status") for status in get_args(Status)
    )


def test_a_full_row_has_no_field_left_out() -> None:
    assert all(getattr(FULL, field.name) not in (None, ()) for field in dataclasses.fields(Row))


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.parquet"
    rows = [FULL, BARE, dataclasses.replace(FULL, id="2", colour=(), box=(), also=())]
    assert write_rows(path, iter(rows), INFO) == 3
    assert list(read_rows(path)) == rows
    assert read_info(path) == INFO
    assert pq.read_table(path)["width"].to_pylist() == [1, None, 1]


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    assert write_rows(path, [], INFO) == 0
    assert list(read_rows(path)) == []
    assert read_info(path) == INFO


def test_more_rows_than_are_held_at_once_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    count = 2 * ROWS_AT_ONCE + 3
    assert write_rows(path, (Row(str(number), "quartz", "listed") for number in range(count)), INFO) == count
    assert [row.id for row in read_rows(path)] == [str(number) for number in range(count)]


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    settings = {"b": 1, "a": 2}
    write_rows(one, [FULL, BARE], TableInfo("check", settings))
    write_rows(two, iter([dataclasses.replace(FULL), BARE]), TableInfo("check", dict(reversed(settings.items()))))
    write_rows(three, [BARE, FULL], TableInfo("check", settings))
    assert one.read_bytes() == two.read_bytes() != three.read_bytes()


def test_a_failure_between_rows_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_rows(path, [BARE], INFO)

    def rows() -> Iterator[Row]:
        yield FULL
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        write_rows(path, rows(), INFO)
    assert list(read_rows(path)) == [BARE]
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


def damaged(whole: bytes) -> Iterator[bytes]:
    """Cut at every length that is likely to matter, and with a byte of the columns' data changed."""
    yield b""
    yield b"PAR1"
    yield b"PAR1" * 100
    draw = random.Random(5)
    yield from (whole[: draw.randrange(len(whole))] for _ in range(40))
    # The first column's pages lie after the four bytes of the magic; what is in the footer need not be noticed.
    for _ in range(40):
        changed = bytearray(whole)
        changed[draw.randrange(40, len(whole) // 3)] ^= 1 << draw.randrange(8)
        yield bytes(changed)


def test_damage_is_a_bad_manifest(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = [dataclasses.replace(FULL, id=f"{number:016x}", bytes=number) for number in range(2000)]
    write_rows(path, rows, INFO)
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            found = list(read_rows(path))
        except BadManifestError:
            refused += 1
        else:
            assert found == rows  # a byte that says nothing of the rows
    assert refused > 70
    path.write_bytes(b"no table")
    with pytest.raises(BadManifestError, match=r"table\.parquet"):
        read_info(path)


def test_a_table_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_rows(path, [FULL] * 50, INFO)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BadManifestError):
            list(read_rows(path))


def told(**changes: Any) -> dict[bytes, bytes]:
    stored = {"format": 1, "stage": "check", "settings": {}, "inputs": []} | changes
    return {b"handlens": json.dumps({key: value for key, value in stored.items() if value is not ...}).encode()}


FOREIGN = {
    "no metadata": SCHEMA,
    "another version": SCHEMA.with_metadata(told(format=2)),
    "no stage": SCHEMA.with_metadata(told(stage=...)),
    "inputs are a number": SCHEMA.with_metadata(told(inputs=3)),
    "not JSON": SCHEMA.with_metadata({b"handlens": b"{"}),
    "a list": SCHEMA.with_metadata({b"handlens": b"[]"}),
    "a column less": pa.schema(list(SCHEMA)[:-1], told()),
    "another type": pa.schema([pa.field("id", pa.int64()), *list(SCHEMA)[1:]], told()),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_table_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(FOREIGN[what].empty_table(), path)
    with pytest.raises(BadManifestError):
        read_info(path)
    with pytest.raises(BadManifestError):
        next(read_rows(path))


def test_no_table_is_no_bad_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_rows(tmp_path / "table.parquet"))


# Not ru_maxrss, which a process inherits from the one that started it.
MEMORY = """
import re, sys
from pathlib import Path
from handlens.dataset.manifest import Row, TableInfo, read_rows, write_rows
path = Path(sys.argv[1])
def rows():
    for number in range(100_000):
        address = f"https://photos.example.org/{number:064d}.jpg"
        yield Row(f"{number:016x}", "quartz", "checked", url=address, sha256=f"{number:064x}", colour=(0.1, 0.2, 0.3))
write_rows(path, rows(), TableInfo("check", {}))
print(sum(1 for row in read_rows(path)), re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "table.parquet")]
    said = subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=120).stdout.split()
    assert int(said[0]) == 100_000
    assert int(said[1]) < 180 * 1024, f"{int(said[1]) // 1024} MiB"
