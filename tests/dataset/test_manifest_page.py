"""docs/data-manifest.md lists every column with its type, stage and meaning, and every status; its Python runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from conftest import ROOT
from dataset.drawn_workspace import drawn_workspace
from handlens.dataset.croissant import CroissantSettings, write_croissant
from handlens.dataset.manifest import COLUMNS, Column, Status

PAGE = (ROOT / "docs" / "data-manifest.md").read_text("utf-8")
KINDS = {"string": "text", "int64": "integer", "double": "number"}


def line_of(column: Column) -> str:
    listed = pa.types.is_list(column.type)
    kind = f"list of {KINDS[str(column.type.value_type)]}s" if listed else KINDS[str(column.type)]
    return f"| `{column.name}` | {kind} | {column.stage} | {column.meaning} |"


def test_every_column_and_no_other() -> None:
    part = PAGE.split("## Columns")[1].split("| status | set by")[0]
    assert [line for line in part.splitlines() if line.startswith("| `")] == [line_of(column) for column in COLUMNS]


def test_every_status() -> None:
    part = PAGE.split("| status | set by")[1].split("## The file")[0]
    assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == list(get_args(Status))


@pytest.mark.parametrize("place", range(PAGE.count("```python")))
def test_the_examples_run(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[place]
    for name in ("pandas", "mlcroissant"):
        if f"import {name}" in example:
            pytest.importorskip(name, reason=f"{name} is not installed")
    write_croissant(drawn_workspace(tmp_path / "minerals"), CroissantSettings())
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/data-manifest.md", "exec"), {})
    assert capsys.readouterr().out
