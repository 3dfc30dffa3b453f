"""The stage `split`: fractions, labels alike in every part, and no group, file or picture in two of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from conftest import SHARED_PHOTOS
from handlens.dataset.errors import MissingStageError
from handlens.dataset.manifest import Row, TableInfo, read_rows
from handlens.dataset.shards import Shard
from handlens.dataset.split import LeakageError, SplitSettings, assert_no_leakage, split
from handlens.dataset.workspace import Workspace
from handlens.training.samples import read_samples, with_split

PARTS = ("train", "validation", "test")


def kept(label: str, count: int, *, group: int = 1) -> list[Row]:
    """`count` rows of a label in groups of `group`, each with a file and a picture of its own."""
    return [
        Row(
            f"{label}{number}",
            label,
            "kept",
            group=f"{label}-{number // group}",
            sha256=f"file {label}{number}",
            pixel_hash=f"pixels {label}{number}",
        )
        for number in range(count)
    ]


def divided(root: Path, rows: Iterable[Row], **settings: Any) -> list[Row]:
    workspace = Workspace(root)
    workspace.write(rows, TableInfo("balance", {}))
    split(workspace, SplitSettings(**settings))
    return list(workspace.rows("split"))


def parts_of(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.split is not None:
            found[row.label][row.split] += 1
    return found


def many(seed: int) -> list[Row]:
    """Labels of all sizes; groups of one to twelve, some with several labels."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for number, count in enumerate((1, 2, 3, 4, 8, 20, 57, 300, 900)):
        made, group = 0, 0
        while made < count:
            size = min(int(rng.integers(1, 13)) if rng.random() < 0.3 else 1, count - made)
            for row in kept(f"label{number}", made + size)[made:]:
                rows.append(replace(row, group=f"{number}-{group}"))
            made, group = made + size, group + 1
    for place in rng.choice(len(rows), 25, replace=False).tolist():  # the same specimen under two names
        rows[place] = replace(rows[place], group=rows[int(rng.integers(len(rows)))].group)
    return [rows[place] for place in rng.permutation(len(rows))]


def test_fractions(tmp_path: Path) -> None:
    found = divided(tmp_path, [*kept("quartz", 1000), *kept("pyrite", 200)])
    assert parts_of(found) == {
        "quartz": {"train": 700, "validation": 150, "test": 150},
        "pyrite": {"train": 140, "validation": 30, "test": 30},
    }


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_alike_and_groups_whole(tmp_path: Path, seed: int) -> None:
    rows = many(seed)
    found = divided(tmp_path, rows, seed=seed)
    assert [row.id for row in found] == [row.id for row in rows]
    parts: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for old, new in zip(rows, found, strict=True):
        assert new.split is not None
        parts[str(old.group)].add(new.split)
        groups[old.label].add(str(old.group))
    assert all(len(found) == 1 for found in parts.values())
    for label, counts in parts_of(found).items():
        if len(groups[label]) >= 3:
            assert set(counts) == set(PARTS), label
        total = counts.total()
        if total >= 300:
            assert counts["validation"] / total == pytest.approx(0.15, abs=0.02)
            assert counts["test"] / total == pytest.approx(0.15, abs=0.02)


def test_three_groups_are_enough_for_three_parts(tmp_path: Path) -> None:
    found = divided(tmp_path, [*kept("quartz", 3), *kept("pyrite", 2), *kept("galena", 1)])
    assert parts_of(found) == {
        "quartz": {"train": 1, "validation": 1, "test": 1},
        "pyrite": {"train": 2},
        "galena": {"train": 1},
    }


def test_large_groups_are_trained_on_where_there_are_few(tmp_path: Path) -> None:
    rows = [replace(row, group="g0" if number < 50 else row.id) for number, row in enumerate(kept("quartz", 52))]
    assert parts_of(divided(tmp_path, rows)) == {"quartz": {"train": 50, "validation": 1, "test": 1}}


def test_a_summary_says_which_labels_lack_a_part(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write([*kept("quartz", 30), *kept("pyrite", 2)], TableInfo("balance", {}))
    summary = split(workspace, SplitSettings())
    assert summary.train + summary.validation + summary.test == 32
    assert (summary.labels, summary.groups, summary.incomplete) == (2, 32, ("pyrite",))


@pytest.mark.parametrize("column", ["group", "given_group", "sha256", "pixel_hash"])
def test_what_is_shared_is_never_parted(tmp_path: Path, column: str) -> None:
    rows = kept("quartz", 60)
    for number in range(0, 60, 2):
        other: dict[str, Any] = {column: getattr(rows[number], column) or f"upload {number}"}
        rows[number], rows[number + 1] = replace(rows[number], **other), replace(rows[number + 1], **other)
    found = divided(tmp_path, rows)
    assert all(one.split == other.split for one, other in zip(found[::2], found[1::2], strict=True))
    assert all(one.group == other.group for one, other in zip(found[::2], found[1::2], strict=True))
    assert len({row.split for row in found}) == 3


def test_chains_of_what_is_shared_stay_together(tmp_path: Path) -> None:
    rows = kept("quartz", 40)
    for number in range(12):  # row n shares its picture with n + 1, and its file with n - 1
        link = f"link {number // 2}", f"link {(number + 1) // 2}"
        rows[number] = replace(rows[number], pixel_hash=link[0], sha256=link[1])
    found = divided(tmp_path, rows)
    assert len({row.split for row in found[:12]}) == 1
    assert {row.group for row in found[:12]} == {"quartz-0"}
    assert len({row.group for row in found}) == 40 - 11


def test_a_row_without_a_group_is_its_own(tmp_path: Path) -> None:
    rows = [replace(row, group=None, sha256=None, pixel_hash=None) for row in kept("quartz", 10)]
    assert [row.group for row in divided(tmp_path, rows)] == [row.id for row in rows]


def test_only_kept_rows_are_divided(tmp_path: Path) -> None:
    others = [Row("a", "quartz", "failed"), Row("b", "quartz", "unused", group="quartz-0", sha256="file quartz0")]
    found = divided(tmp_path, [*others, *kept("quartz", 5)])
    assert found[:2] == others
    assert all(row.split in PARTS for row in found[2:])


def test_depends_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    rows = many(1)
    first = {row.id: row.split for row in divided(tmp_path / "a", rows, seed=5)}
    assert first == {row.id: row.split for row in divided(tmp_path / "b", rows[::-1], seed=5)}
    assert first != {row.id: row.split for row in divided(tmp_path / "c", rows, seed=6)}


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.0), (0.0, 0.2), (0.0, 0.0)])
def test_a_part_may_be_left_out(tmp_path: Path, validation: float, test: float) -> None:
    counts = parts_of(divided(tmp_path, kept("quartz", 50), validation=validation, test=test))["quartz"]
    assert counts["validation"] == 50 * validation
    assert counts["test"] == 50 * test


def test_shards_write_their_own_rows(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write(many(2), TableInfo("balance", {}))
    parts = []
    for index in (1, 2, 3):
        split(workspace, SplitSettings(), shard=Shard(index, 3))
        parts += list(read_rows(workspace.table("split", Shard(index, 3))))
    split(workspace, SplitSettings())
    assert sorted(parts, key=str) == sorted(workspace.rows("split"), key=str)


@pytest.mark.parametrize("column", ["group", "sha256", "pixel_hash"])
def test_leakage_is_found(column: str) -> None:
    rows = [replace(row, split=PARTS[number % 3]) for number, row in enumerate(kept("quartz", 9))]
    assert_no_leakage(rows)
    rows[7] = replace(rows[7], **{column: getattr(rows[2], column)})
    with pytest.raises(
        LeakageError, match=rf"1 values of {column} .* row 8 is in validation and row 3 in test"
    ) as caught:
        assert_no_leakage(rows)
    assert caught.value.code == "leakage"
    rows[7] = replace(rows[7], split="test")
    assert_no_leakage(rows)


def test_a_split_that_leaks_writes_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = kept("quartz", 40, group=2)
    monkeypatch.setattr("handlens.dataset.split.stratified", lambda _label, group, *_: np.arange(group.max() + 1) % 3)
    monkeypatch.setattr("handlens.dataset.split.united", lambda column, *_: np.arange(len(column)))
    with pytest.raises(LeakageError, match="20 values of group"):
        divided(tmp_path, rows)
    assert not Workspace(tmp_path).table("split").exists()


def test_an_empty_list(tmp_path: Path) -> None:
    assert divided(tmp_path, []) == []


def test_needs_the_stage_before(tmp_path: Path) -> None:
    with pytest.raises(MissingStageError, match="balance"):
        split(Workspace(tmp_path), SplitSettings())


@pytest.mark.parametrize("wrong", [{"validation": 1}, {"validation": 0.5, "test": 0.5}, {"test": -0.1}, {"valid": 0.1}])
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SplitSettings(**wrong)


@pytest.mark.real_photos
def test_the_groups_of_the_real_manifest(tmp_path: Path) -> None:
    source = SHARED_PHOTOS / "manifest.csv"
    if not source.is_file():
        pytest.skip("no real photos here: ../shared/data/photos is not part of the project")
    samples = with_split(read_samples(source), "train")
    rows = [Row(sample.file, sample.label, "kept", group=sample.group) for sample in samples]
    found = divided(tmp_path, rows)
    assert_no_leakage(found)
    groups = defaultdict(set)
    for row in rows:
        groups[row.label].add(row.group)
    parts = parts_of(found)
    assert all(set(parts[label]) == set(PARTS) for label in groups if len(groups[label]) >= 3)
    total = sum((counts for counts in parts.values()), Counter[str]())
    assert total["train"] / total.total() == pytest.approx(0.7, abs=0.02)
