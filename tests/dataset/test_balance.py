"""The stage `balance`: how many photos of each label stay, and which."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from handlens.dataset.balance import BalanceSettings, balance
from handlens.dataset.errors import MissingStageError
from handlens.dataset.manifest import Row, TableInfo, read_rows
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace


def checked(label: str, count: int, *, group: int = 1) -> list[Row]:
    """`count` rows of a label in groups of `group`."""
    return [
        Row(
            f"{label}{number:04d}",
            label,
            "checked",
            file=f"images/{label}{number:04d}.jpg",
            group=f"{label}-{number // group}",
        )
        for number in range(count)
    ]


def workspace_of(root: Path, rows: list[Row]) -> Workspace:
    workspace = Workspace(root)
    for row in rows:
        if row.file:
            (root / row.file).parent.mkdir(parents=True, exist_ok=True)
            (root / row.file).write_text(row.id)
    workspace.write(rows, TableInfo("check", {}))
    return workspace


def kept(workspace: Workspace) -> set[str]:
    return {row.id for row in workspace.rows("balance") if row.status == "kept"}


def test_at_most_so_many_of_a_label(tmp_path: Path) -> None:
    rows = [*checked("quartz", 30), *checked("pyrite", 7)]
    workspace = workspace_of(tmp_path, rows)
    summary = balance(workspace, BalanceSettings(max_per_label=10))
    assert (summary.kept, summary.labels, summary.full, summary.thin) == (17, 2, 20, 0)
    found = list(workspace.rows("balance"))
    assert [row.id for row in found] == [row.id for row in rows]
    assert Counter((row.label, row.status, row.reason) for row in found) == {
        ("quartz", "kept", None): 10,
        ("quartz", "unused", "label-full"): 20,
        ("pyrite", "kept", None): 7,
    }
    links = {path.relative_to(workspace.unused).as_posix() for path in workspace.unused.rglob("*.jpg")}
    assert links == {f"quartz/{row.id}.jpg" for row in found if row.status == "unused"}
    assert all((workspace.unused / link).read_text() == Path(link).stem for link in links)


def test_without_a_limit_all_stay(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, checked("quartz", 30))
    assert balance(workspace, BalanceSettings()).kept == 30
    assert not list(workspace.unused.iterdir())


def test_thin_labels_are_left_out(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, [*checked("quartz", 5), *checked("pyrite", 4)])
    summary = balance(workspace, BalanceSettings(min_per_label=5))
    assert (summary.kept, summary.thin, summary.thin_labels) == (5, 4, ("pyrite",))
    assert {row.reason for row in workspace.rows("balance") if row.label == "pyrite"} == {"label-too-thin"}


def test_other_rows_stay_as_they_are(tmp_path: Path) -> None:
    others = [
        Row("a", "quartz", "failed", reason="http-404"),
        Row("b", "quartz", "odd", reason="blurred", file="images/b.jpg"),
        Row("c", "quartz", "duplicate", duplicate_of="quartz0000", file="images/c.jpg"),
    ]
    workspace = workspace_of(tmp_path, [*others, *checked("quartz", 3)])
    balance(workspace, BalanceSettings(max_per_label=1))
    assert list(workspace.rows("balance"))[:3] == others


def test_which_stay_depends_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    rows = [row for label in ("quartz", "pyrite") for row in checked(label, 40, group=2)]
    settings = BalanceSettings(max_per_label=11, seed=3)
    found = []
    for name, order in (("a", rows), ("b", rows[::-1]), ("c", [row for row in rows if row.label == "quartz"])):
        workspace = workspace_of(tmp_path / name, order)
        balance(workspace, settings)
        found.append(kept(workspace))
    assert found[0] == found[1]
    assert found[2] == {name for name in found[0] if name.startswith("quartz")}
    balance(workspace, BalanceSettings(max_per_label=11, seed=4))
    assert kept(workspace) != found[2]


@pytest.mark.parametrize(("size", "limit", "cut"), [(3, 12, 0), (3, 13, 1), (5, 12, 1), (40, 12, 1)])
def test_groups_stay_whole_where_they_can(tmp_path: Path, size: int, limit: int, cut: int) -> None:
    workspace = workspace_of(tmp_path, checked("quartz", 60, group=size))
    assert balance(workspace, BalanceSettings(max_per_label=limit)).kept == limit
    sizes = Counter(row.group for row in workspace.rows("balance") if row.status == "kept")
    whole = Counter(row.group for row in workspace.rows("balance"))
    assert sum(count < whole[group] for group, count in sizes.items()) == cut


def test_a_group_that_fits_is_preferred_to_cutting_one(tmp_path: Path) -> None:
    for seed in range(8):
        rows = [
            *checked("quartz", 8, group=8),
            *(replace(row, id=f"x{row.id}", group=row.id) for row in checked("quartz", 5)),
        ]
        workspace = workspace_of(tmp_path / str(seed), [replace(row, file=None) for row in rows])
        balance(workspace, BalanceSettings(max_per_label=5, seed=seed))
        assert kept(workspace) == {row.id for row in rows if row.id.startswith("x")}


def test_done_once(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, checked("quartz", 9))
    first = balance(workspace, BalanceSettings(max_per_label=4))
    table = workspace.table("balance").stat().st_mtime_ns
    assert balance(workspace, BalanceSettings(max_per_label=4)) == first
    assert workspace.table("balance").stat().st_mtime_ns == table
    assert balance(workspace, BalanceSettings(max_per_label=5)).kept == 5
    assert len(list(workspace.unused.rglob("*.jpg"))) == 4


def test_shards_write_their_own_rows(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path, checked("quartz", 20))
    settings = BalanceSettings(max_per_label=8)
    parts = []
    for index in (1, 2):
        balance(workspace, settings, shard=Shard(index, 2))
        parts += list(read_rows(workspace.table("balance", Shard(index, 2))))
    balance(workspace, settings)
    assert sorted(parts, key=lambda row: row.id) == list(workspace.rows("balance"))


def test_an_empty_list(tmp_path: Path) -> None:
    assert balance(workspace_of(tmp_path, []), BalanceSettings(max_per_label=1, min_per_label=2)).kept == 0


def test_needs_the_stage_before(tmp_path: Path) -> None:
    with pytest.raises(MissingStageError, match="check"):
        balance(Workspace(tmp_path), BalanceSettings())


@pytest.mark.parametrize("wrong", [{"max_per_label": 0}, {"min_per_label": 0}, {"seed": -1}, {"most": 3}])
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BalanceSettings(**wrong)
